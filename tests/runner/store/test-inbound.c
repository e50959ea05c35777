/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "tests/runner/store/inbound.h"

/* The walk over the due rows, as "id" with - for context, ! for an odd time and ^ for on_wake. */
static const char *due(struct strbuf *text)
{
	struct inbound *inbound = look();
	struct inbound_due row;
	int r;

	strbuf_reset(text);
	strbuf_puts(text, "");
	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	while ((r = inbound_due_next(inbound, &row, NULL)) > 0)
		strbuf_printf(text, "%s%s%s%s%s", text->len ? " " : "", row.wakes ? "" : "-",
			      row.id, row.odd_time ? "!" : "", row.on_wake ? "^" : "");
	assert_int_equal(r, 0);
	inbound_close(inbound);
	return text->data;
}

static void test_due(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)state;
	assert_string_equal(due(&text), "");
	run("INSERT INTO messages_in (id, seq, kind, timestamp, content, status) VALUES"
	    " ('completed', 2, 'chat', '', '', 'completed'), ('failed', 4, 'chat', '', '', "
	    "'failed'),"
	    " ('paused', 6, 'chat', '', '', 'paused'), ('null', 8, 'chat', '', '', NULL),"
	    " ('pending', 10, 'chat', '', '', 'pending'), ('system', 12, 'system', '', '', "
	    "'pending'),"
	    " ('odd-kind', 14, 'no kind', '', '', 'pending')");
	run("INSERT INTO messages_in (id, seq, kind, timestamp, content, \"trigger\", on_wake) "
	    "VALUES"
	    " ('context', 16, 'chat', '', '', 0, 0), ('negative', 18, 'chat', '', '', -1, 0),"
	    " ('on-wake', 20, 'task', '', '', 1, 1)");
	assert_string_equal(due(&text), "system pending odd-kind -context negative on-wake^");
}

static void test_order(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)state;
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, content) VALUES"
	    " (9, 'null-9', NULL, 'chat', '', ''), (5, 'ten', 10, 'chat', '', ''),"
	    " (6, 'two', 2, 'chat', '', ''), (7, 'null-7', NULL, 'chat', '', ''),"
	    " (4, 'hundred', 100, 'chat', '', '')");
	assert_string_equal(due(&text), "two ten hundred null-7 null-9");
}

/* Answers that somebody waits for do not wait behind what is to be done; trigger does not matter. */
static void test_system_rows_come_first(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)state;
	run("INSERT INTO messages_in (id, seq, kind, timestamp, content, \"trigger\") VALUES"
	    " ('a', 2, 'chat', '', '', 1), ('b', 4, 'system', '', '', 0),"
	    " ('c', NULL, 'system', '', '', 1), ('d', 6, 'task', '', '', 0),"
	    " ('e', 8, 'system', '', '', 1), ('f', NULL, 'chat', '', '', 1)");
	assert_string_equal(due(&text), "b e c a -d f");
}

static void test_process_after(void **state)
{
	static const struct {
		const char *time; /* SQL */
		const char *due;
	} rows[] = {
		{ "NULL", "a" },
		{ "datetime('now')", "a" },
		{ "datetime('now', '-1 second')", "a" },
		{ "datetime('now', '+1 hour')", "" },
		{ "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 second')", "a" },
		{ "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')", "" },
		{ "strftime('%Y-%m-%dT%H:%M:%S+05:00', 'now', '+1 hour')", "a" },
		{ "strftime('%Y-%m-%dT%H:%M:%S-05:00', 'now', '-1 hour')", "" },
		{ "date('now', '+2 days')", "" },
		{ "'2020-01-01'", "a" },
		{ "''", "a!" },
		{ "'abc'", "a!" },
		{ "'tomorrow'", "a!" },
		{ "1999999999", "a!" },
		{ "'1999999999000'", "a!" },
		{ "x'00ff'", "a!" },
		{ "'2999-13-01'", "a!" },
	};
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)state;
	run("INSERT INTO messages_in (id, seq, kind, timestamp, content)"
	    " VALUES ('a', 2, 'chat', '', '')");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;

		strbuf_printf(&sql, "UPDATE messages_in SET process_after = %s", rows[i].time);
		run(sql.data);
		assert_string_equal(due(&text), rows[i].due);
	}
}

static int64_t next_due(void)
{
	struct inbound *inbound = look();
	struct inbound_due row;
	int64_t ms;

	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	while (inbound_due_next(inbound, &row, NULL) > 0)
		;
	ms = inbound_next_due_ms(inbound);
	inbound_close(inbound);
	return ms;
}

static void test_next_due(void **state)
{
	(void)state;
	assert_int_equal(next_due(), -1);
	run("INSERT INTO messages_in (id, kind, timestamp, content, process_after, status,"
	    " \"trigger\") VALUES"
	    " ('past', 'chat', '', '', '2020-01-01', 'pending', 1),"
	    " ('garbage', 'chat', '', '', 'abc', 'pending', 1),"
	    " ('done', 'chat', '', '', '2900-01-01', 'completed', 1),"
	    " ('context', 'chat', '', '', '2900-01-01', 'pending', 0),"
	    " ('old answer', 'system', '', '', '2900-01-01', 'completed', 1)");
	assert_int_equal(next_due(), -1);
	/* One that was taken up by a container that died is put off like any other. */
	run("INSERT INTO messages_in (id, kind, timestamp, content, process_after, \"trigger\")"
	    " VALUES ('answer', 'system', '', '', '2999-02-01', 0)");
	assert_int_equal(next_due(), 32474822400000);
	run("INSERT INTO messages_in (id, kind, timestamp, content, process_after) VALUES"
	    " ('late', 'chat', '', '', '2999-01-01'),"
	    " ('soon', 'task', '', '', '2950-06-01T12:00:00.500+02:00')");
	assert_int_equal(next_due(), 30938925600000);
}

/* A walk falls in two parts where much waits: nothing is lost or seen twice where they meet. */
static void test_many_wait(void **state)
{
	static const int counts[] = { 999, 1000, 1001, 2500 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct inbound_due row;
		struct inbound *inbound;
		char sql[400];
		int seen = 0;

		/* The later a row, the lower its seq; and as many that are due later come before. */
		(void)snprintf(sql, sizeof(sql),
			       "DELETE FROM messages_in; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
			       " SELECT i + 1 FROM n WHERE i < %d * 2) INSERT INTO messages_in"
			       " (id, seq, kind, timestamp, content, process_after) SELECT"
			       " 'm' || (%d - i), (%d - i) * 2, 'chat', '', '',"
			       " iif(i > %d, '2100-01-01', NULL) FROM n",
			       counts[i], counts[i], counts[i], counts[i]);
		run(sql);
		inbound = look();
		assert_int_equal(inbound_due_start(inbound, NULL), 0);
		while (inbound_due_next(inbound, &row, NULL) > 0) {
			char id[16];

			(void)snprintf(id, sizeof(id), "m%d", seen++);
			assert_string_equal(row.id, id);
		}
		assert_int_equal(seen, counts[i]);
		assert_int_equal(inbound_next_due_ms(inbound), 4102444800000);
		inbound_close(inbound);
	}
}

/* Is a temporary file of SQLite's open? It has no name any more. */
static bool has_temporary_file(void)
{
	cleanup_closedir DIR *fds = opendir("/proc/self/fd");
	const struct dirent *entry;

	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char target[256] = "";

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0 &&
		    strstr(target, "/etilqs"))
			return true;
	}
	return false;
}

/* There may be no room for one. */
static void test_order_needs_no_file(void **state)
{
	struct inbound_due row;
	struct inbound *inbound;

	(void)state;
	run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
	    " INSERT INTO messages_in (id, seq, kind, timestamp, content)"
	    " SELECT 'm' || i, 2 * i, 'chat', '', '' FROM n");
	inbound = look();
	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	for (int i = 0; i < 15000; i++) {
		assert_int_equal(inbound_due_next(inbound, &row, NULL), 1);
		assert_false(i % 1000 == 0 && has_temporary_file());
	}
	inbound_close(inbound);
}

static void test_row(void **state)
{
	struct inbound *inbound;
	struct inbound_row row = { .seq = 0 };
	struct err err;

	(void)state;
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, platform_id, channel_type,"
	    " thread_id, content) VALUES (7, 'in-1', 4, 'chat-sdk', '2026-02-04 13:30:00', 'p-1',"
	    " 'slack', 't-1', '{\"text\":\"hi\"}')");
	inbound = look();
	assert_int_equal(inbound_read_row(inbound, 7, &row, NULL), 0);
	assert_int_equal(row.rowid, 7);
	assert_int_equal(row.seq, 4);
	assert_true(row.wakes);
	assert_false(row.oversize);
	assert_string_equal(row.id, "in-1");
	assert_string_equal(row.kind, "chat-sdk");
	assert_string_equal(row.timestamp, "2026-02-04 13:30:00");
	assert_string_equal(row.platform_id, "p-1");
	assert_string_equal(row.channel_type, "slack");
	assert_string_equal(row.thread_id, "t-1");
	assert_string_equal(row.content, "{\"text\":\"hi\"}");
	assert_int_equal(row.content_len, 13);
	inbound_row_deinit(&row);
	inbound_row_deinit(&row);
	assert_int_equal(inbound_read_row(inbound, 8, &row, &err), -EAGAIN);
	assert_string_equal(err.text, "a row vanished while it was read");
	inbound_close(inbound);
}

/* Row 1 of messages_in. */
static struct inbound_row read_row(void)
{
	struct inbound *inbound = look();
	struct inbound_row row;
	struct err err = { "" };

	if (inbound_read_row(inbound, 1, &row, &err) < 0)
		fail_msg("%s", err.text);
	inbound_close(inbound);
	return row;
}

/* Nothing that a column can hold is an error. */
static void test_odd_rows(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound_row row;

	(void)state;
	run("CREATE TABLE messages_in (id, seq, kind, timestamp, status, process_after, "
	    "\"trigger\","
	    " on_wake, platform_id, channel_type, thread_id, content);"
	    "INSERT INTO messages_in (id, status) VALUES (5, 'pending')");
	row = read_row();
	assert_string_equal(row.id, "5");
	assert_int_equal(row.seq, -1);
	assert_true(row.wakes); /* null is what the column's default says */
	assert_string_equal(row.kind, "");
	assert_null(row.timestamp);
	assert_null(row.platform_id);
	assert_null(row.channel_type);
	assert_null(row.thread_id);
	assert_string_equal(row.content, "");
	assert_int_equal(row.content_len, 0);
	assert_false(row.oversize);
	inbound_row_deinit(&row);
	assert_string_equal(due(&text), "5");

	run("UPDATE messages_in SET id = x'610062ff', kind = 2.5, timestamp = 1770000000,"
	    " platform_id = x'c328', channel_type = 'a' || char(0), thread_id = '',"
	    " content = CAST(x'7b00ff7d' AS TEXT)");
	row = read_row();
	assert_string_equal(row.id, "a\xef\xbf\xbd"
				    "b\xff");
	assert_string_equal(row.kind, "2.5");
	assert_string_equal(row.timestamp, "1770000000");
	assert_string_equal(row.platform_id, "\xc3(");
	assert_string_equal(row.channel_type, "a\xef\xbf\xbd");
	assert_string_equal(row.thread_id, "");
	assert_string_equal(row.content, "{\xef\xbf\xbd\xff}");
	assert_int_equal(row.content_len, 6);
	/* An id is the same wherever it is read, or its row would be taken up for ever. */
	assert_string_equal(due(&text), row.id);
	inbound_row_deinit(&row);
	run("UPDATE messages_in SET id = NULL");
	assert_string_equal(due(&text), "");
}

static void test_odd_seq(void **state)
{
	static const struct {
		const char *value; /* SQL */
		int64_t seq, max;
	} rows[] = {
		{ "0", 0, 0 },
		{ "'12'", 12, 12 },
		{ "-4", -1, 0 },
		{ "'abc'", -1, 0 },
		{ "x'00'", -1, 0 },
		{ "9007199254740991", 9007199254740991, 9007199254740991 },
		{ "9007199254740992", -1, 0 },
		{ "9223372036854775807", -1, 0 },
		{ "9e99", -1, 0 },
	};

	(void)state;
	run("INSERT INTO messages_in (id, kind, timestamp, content) VALUES ('a', 'chat', '', '')");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;
		struct inbound_row row;
		struct inbound *inbound;
		int64_t max;

		strbuf_printf(&sql, "UPDATE messages_in SET seq = %s", rows[i].value);
		run(sql.data);
		row = read_row();
		assert_int_equal(row.seq, rows[i].seq);
		inbound_row_deinit(&row);
		inbound = look();
		assert_int_equal(inbound_max_seq(inbound, &max, NULL), 0);
		assert_int_equal(max, rows[i].max);
		inbound_close(inbound);
	}
}

static void test_large_content(void **state)
{
	struct inbound_row row;

	(void)state;
	run("INSERT INTO messages_in (rowid, id, kind, timestamp, content)"
	    " VALUES (1, 'a', 'chat', '', replace(hex(zeroblob(8388608)), '0', 'x'))");
	row = read_row();
	assert_int_equal(row.content_len, INBOUND_CONTENT_MAX);
	assert_int_equal(strspn(row.content, "x"), INBOUND_CONTENT_MAX);
	assert_false(row.oversize);
	inbound_row_deinit(&row);
	run("UPDATE messages_in SET content = content || 'y'");
	row = read_row();
	assert_string_equal(row.content, "");
	assert_int_equal(row.content_len, 0);
	assert_true(row.oversize);
	inbound_row_deinit(&row);
	/* Bytes count, not characters. */
	run("UPDATE messages_in SET content = substr(content, 3) || '\xe2\x82\xac'");
	row = read_row();
	assert_true(row.oversize);
	inbound_row_deinit(&row);
}

struct acks {
	const char *known; /* "|a|b|" */
	int error;
};

static int is_acked(void *userdata, const char *id)
{
	const struct acks *acks = userdata;
	char quoted[64];

	(void)snprintf(quoted, sizeof(quoted), "|%s|", id);
	return acks->error ? acks->error : strstr(acks->known, quoted) != NULL;
}

/* The id of the newest row from there that is in known; "" if there is none. */
static void assert_newest(const char *channel, const char *platform, const char *known,
			  const char *id)
{
	struct acks acks = { known };
	struct inbound *inbound = look();
	struct inbound_row row = { .seq = -1 };

	assert_int_equal(
		inbound_newest_from(inbound, channel, platform, is_acked, &acks, &row, NULL),
		id[0] != '\0');
	assert_string_equal(row.id ? row.id : "", id);
	inbound_row_deinit(&row);
	inbound_close(inbound);
}

static void test_newest_from(void **state)
{
	struct acks acks = { .error = -EIO };
	struct inbound *inbound;
	struct inbound_row row;
	struct err err;

	(void)state;
	run("INSERT INTO messages_in (id, seq, kind, timestamp, channel_type, platform_id, content)"
	    " VALUES ('a', 10, 'chat', '', 'slack', 'p', ''), ('b', 4, 'chat', '', 'slack', 'p', "
	    "''),"
	    " ('c', 12, 'chat', '', 'slack', 'q', ''), ('d', 14, 'chat', '', 'discord', 'p', ''),"
	    " ('e', 16, 'chat', '', 'slack', 'p', ''), ('f', NULL, 'chat', '', 'slack', 'p', '')");
	assert_newest("slack", "p", "|a||b||c||d|", "a");
	assert_newest("slack", "p", "|b||c||d|", "b");
	assert_newest("slack", "p", "|a||e||f|", "f");
	assert_newest("slack", "p", "|c|", "");
	assert_newest("slack", NULL, "|a|", "");
	inbound = look();
	assert_int_equal(inbound_newest_from(inbound, "slack", "q", is_acked, &acks, &row, &err),
			 -EIO);
	assert_string_equal(err.text, "cannot read the acknowledgement of c: Input/output error");
	inbound_close(inbound);
}

/* Addresses */

static void test_destinations(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound_destinations list;
	struct inbound *inbound = look();

	(void)state;
	assert_int_equal(inbound_destinations(inbound, &list, NULL), 0);
	assert_int_equal(list.count, 0);
	inbound_destinations_deinit(&list);
	inbound_close(inbound);
	run("INSERT INTO destinations (name, display_name, type, channel_type, platform_id,"
	    " agent_group_id) VALUES ('null', NULL, 'channel', NULL, NULL, 'x'),"
	    " ('casa', '', 'channel', 'slack', 'C1', NULL),"
	    " ('beta', 'Beta', 'agent', 'slack', 'P9', 'ag-2'),"
	    " (NULL, 'x', 'channel', 'x', 'x', 'x')");
	inbound = look();
	assert_int_equal(inbound_destinations(inbound, &list, NULL), 0);
	for (size_t i = 0; i < list.count; i++)
		strbuf_printf(&text, "%s (%s): %s %s %s\n", list.rows[i].name,
			      list.rows[i].display_name,
			      list.rows[i].is_agent ? "agent" : "channel",
			      list.rows[i].channel_type ? list.rows[i].channel_type : "null",
			      list.rows[i].platform_id ? list.rows[i].platform_id : "null");
	assert_string_equal(text.data, "beta (Beta): agent agent ag-2\n"
				       "casa (casa): channel slack C1\n"
				       "null (null): channel null null\n");
	inbound_destinations_deinit(&list);
	inbound_destinations_deinit(&list);
	inbound_close(inbound);
}

static void test_session_address(void **state)
{
	struct inbound_address address = { .channel_type = NULL };
	struct inbound *inbound = look();

	(void)state;
	assert_int_equal(inbound_session_address(inbound, &address, NULL), 0);
	inbound_close(inbound);
	run("INSERT INTO session_routing VALUES (1, 'slack', 'C1', NULL)");
	inbound = look();
	assert_int_equal(inbound_session_address(inbound, &address, NULL), 1);
	assert_string_equal(address.channel_type, "slack");
	assert_string_equal(address.platform_id, "C1");
	assert_null(address.thread_id);
	inbound_address_deinit(&address);
	inbound_close(inbound);
}

/* Only what the first hosts had. */
static void test_older_host(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound_destinations list;
	struct inbound_address address;
	struct inbound_row row;
	struct inbound *inbound;
	int64_t seq;

	(void)state;
	run("CREATE TABLE messages_in (id TEXT PRIMARY KEY, content TEXT NOT NULL);"
	    "INSERT INTO messages_in VALUES ('a', 'x'), ('b', 'y')");
	assert_string_equal(due(&text), "a b");
	row = read_row();
	assert_string_equal(row.kind, "chat");
	assert_true(row.wakes);
	assert_int_equal(row.seq, -1);
	assert_null(row.timestamp);
	inbound_row_deinit(&row);
	inbound = look();
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 0);
	assert_int_equal(next_due(), -1);
	assert_int_equal(inbound_destinations(inbound, &list, NULL), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(inbound_session_address(inbound, &address, NULL), 0);
	inbound_close(inbound);
	assert_newest("slack", "p", "|a|", "");
	run("CREATE TABLE destinations (name TEXT, channel_type TEXT, platform_id TEXT);"
	    "INSERT INTO destinations VALUES ('casa', 'slack', 'C1');"
	    "CREATE TABLE session_routing (channel_type TEXT, platform_id TEXT);"
	    "INSERT INTO session_routing VALUES ('slack', 'C1')");
	inbound = look();
	assert_int_equal(inbound_destinations(inbound, &list, NULL), 0);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.rows[0].display_name, "casa");
	assert_false(list.rows[0].is_agent);
	inbound_destinations_deinit(&list);
	assert_int_equal(inbound_session_address(inbound, &address, NULL), 1);
	assert_string_equal(address.platform_id, "C1");
	inbound_address_deinit(&address);
	inbound_close(inbound);
}

static void test_no_content_column(void **state)
{
	struct inbound *inbound;
	struct inbound_row row;
	struct err err;

	(void)state;
	run("CREATE TABLE messages_in (id TEXT PRIMARY KEY); INSERT INTO messages_in VALUES ('a')");
	inbound = look();
	assert_int_equal(inbound_read_row(inbound, 1, &row, &err), -EIO);
	assert_string_equal(err.text, "no such column: messages_in.content (SQLite 1)");
	inbound_close(inbound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_due, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_system_rows_come_first, setup_schema,
						teardown),
		cmocka_unit_test_setup_teardown(test_process_after, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_next_due, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_many_wait, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_order_needs_no_file, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_row, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_odd_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_seq, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_large_content, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_newest_from, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_destinations, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_session_address, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_older_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_content_column, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
