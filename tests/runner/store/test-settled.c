/* SPDX-License-Identifier: MIT */
#include "runner/store/settled.h"

#include <stdlib.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "runner/store/inbound-look.h"
#include "runner/store/outbound-look.h"
#include "tests/runner/store/outbound.h"

#define HISTORY "5000"

static struct settled *settled;

static int setup_settled(void **state)
{
	setup(state);
	assert_int_equal(settled_new(&settled, NULL), 0);
	return 0;
}

static int teardown_settled(void **state)
{
	settled_free(steal_ptr(settled));
	return teardown(state);
}

static void host(const char *sql)
{
	sqlite_run(world.inbound, sql);
}

/* Through the runner's own connection. */
static void ours(const char *sql)
{
	sqlite_exec(db_handle(outbound_db(world.outbound)), sql);
}

/* Answered rows h1, h2, …: as a host and we leave them, though this host marks none of its own. */
static void add_history(void)
{
	static const char numbers[] =
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " HISTORY
		") INSERT INTO ";
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
		       "%smessages_in (id, seq, kind, timestamp, content)"
		       " SELECT 'h' || i, 2 * i + 10000, 'chat', '', '{}' FROM n",
		       numbers);
	host(sql);
	(void)snprintf(sql, sizeof(sql), "%sprocessing_ack SELECT 'h' || i, 'completed', '' FROM n",
		       numbers);
	ours(sql);
}

static void add(const char *id, const char *more)
{
	char sql[512];

	(void)snprintf(
		sql, sizeof(sql),
		"INSERT INTO messages_in (id, seq, kind, timestamp, content)"
		" VALUES ('%s', (SELECT coalesce(max(seq), 0) + 2 FROM messages_in), 'chat', '',"
		" '{}'); %s",
		id, more ? more : "");
	host(sql);
}

static void append_due(struct inbound *inbound, struct strbuf *text)
{
	struct inbound_due due;

	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	while (inbound_due_next(inbound, &due, NULL) > 0)
		if (outbound_has_ack(world.outbound, due.id, NULL) == 0)
			strbuf_printf(text, "%s ", due.id);
	strbuf_puts(text, "");
}

/* A row that falls due later is known, though not one that is acknowledged by now. */
static void assert_later(struct inbound *inbound)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
		       "ATTACH '%s' AS host; SELECT count(*) FROM host.messages_in"
		       " WHERE status = 'pending' AND datetime(process_after) > datetime('now')"
		       " AND id NOT IN (SELECT message_id FROM processing_ack"
		       " WHERE status <> 'processing')",
		       world.inbound);
	if (strcmp(sqlite_query(world.path, sql, &result), "0\n") != 0)
		assert_true(inbound_next_due_ms(inbound) > 0);
}

/* The steps of SQLite's machine that walks took since this was asked last. */
static int walk_cost(struct inbound *inbound)
{
	static const enum inbound_sql walks[] = { INBOUND_SQL_DUE, INBOUND_SQL_DUE_OR_OPEN };
	int cost = 0;

	for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
		sqlite3_stmt *s;

		assert_int_equal(inbound_statement(inbound, walks[i], &s, NULL), 0);
		cost += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 1);
	}
	return cost;
}

/*
 * What is due, in order: the same with what is settled and without. *ret_cost: the steps of SQLite's
 * machine for it.
 */
static void assert_due(const char *expected, int *ret_cost)
{
	cleanup_strbuf struct strbuf all = STRBUF_EMPTY, text = STRBUF_EMPTY;
	struct inbound *inbound;

	assert_int_equal(inbound_open(world.inbound, &inbound, NULL), 0);
	outbound_begin_reads(world.outbound);
	append_due(inbound, &all);
	(void)walk_cost(inbound);
	settled_apply(settled, inbound, world.outbound);
	append_due(inbound, &text);
	assert_later(inbound);
	if (ret_cost)
		*ret_cost = walk_cost(inbound);
	if (expected)
		assert_string_equal(text.data, expected);
	assert_string_equal(text.data, all.data);
	outbound_end_reads(world.outbound);
	inbound_close(inbound);
}

static void advance(bool busy)
{
	struct inbound *inbound;

	assert_int_equal(inbound_open(world.inbound, &inbound, NULL), 0);
	outbound_begin_reads(world.outbound);
	settled_apply(settled, inbound, world.outbound);
	settled_advance(settled, inbound, world.outbound, busy);
	outbound_end_reads(world.outbound);
	inbound_close(inbound);
}

static void advance_to_the_end(void)
{
	for (int i = 0; i < 10; i++)
		advance(false);
}

static int cost(void)
{
	int steps;

	assert_due(NULL, &steps);
	return steps;
}

static void test_history_is_read_once(void **state)
{
	int before, after;

	(void)state;
	add_history();
	add("new", NULL);
	assert_due("new ", &before);
	advance_to_the_end();
	assert_due("new ", &after);
	assert_in_range(after, 1, before / 100);
	add("newer", NULL);
	assert_due("new newer ", &after);
	assert_in_range(after, 1, before / 100);
}

/* What waits among what is done: found, with nothing else read again. */
static void test_open_rows_are_seen(void **state)
{
	int before;

	(void)state;
	add("paused", "UPDATE messages_in SET status = 'paused' WHERE id = 'paused'");
	add("scheduled", "UPDATE messages_in SET process_after = datetime('now', '1 day')"
			 " WHERE id = 'scheduled'");
	add("cancelled", "UPDATE messages_in SET status = 'completed' WHERE id = 'cancelled'");
	add_history();
	before = cost();
	advance_to_the_end();
	assert_due("", NULL);
	host("UPDATE messages_in SET status = 'pending'");
	assert_due("paused cancelled ", NULL);
	host("UPDATE messages_in SET process_after = datetime('now', '-1 day')");
	assert_due("paused scheduled cancelled ", NULL);
	assert_in_range(cost(), 1, before / 50);
	/* An answer of the agent's tools comes first. */
	add("system", "UPDATE messages_in SET kind = 'system' WHERE id = 'system'");
	assert_due("system paused scheduled cancelled ", NULL);
	ours("INSERT INTO processing_ack VALUES ('paused', 'processing', '')");
	assert_due("system scheduled cancelled ", NULL);
	/* Given back: a claim settles nothing. */
	advance_to_the_end();
	ours("DELETE FROM processing_ack WHERE status = 'processing'");
	assert_due("system paused scheduled cancelled ", NULL);
	ours("INSERT INTO processing_ack VALUES ('paused', 'failed', '')");
	advance_to_the_end();
	assert_due("system scheduled cancelled ", NULL);
}

/* That its acknowledgement cannot be read does not settle a row. */
static void test_a_failed_read_settles_nothing(void **state)
{
	(void)state;
	add("paused", "UPDATE messages_in SET status = 'paused' WHERE id = 'paused'");
	add_history();
	advance_to_the_end();
	ours("ALTER TABLE processing_ack RENAME TO hidden");
	advance(false);
	ours("ALTER TABLE hidden RENAME TO processing_ack");
	host("UPDATE messages_in SET status = 'pending'");
	assert_due("paused ", NULL);
}

/* In a flood: what was answered is not read again, and what waits does not become open. */
static void test_busy_looks(void **state)
{
	int before;

	(void)state;
	add_history();
	add("first", NULL);
	add("second", NULL);
	add("third", NULL);
	before = cost();
	ours("INSERT INTO processing_ack VALUES ('second', 'completed', '')");
	for (int i = 0; i < 10; i++)
		advance(true);
	assert_due("first third ", NULL);
	assert_in_range(cost(), 1, before / 50);
	ours("INSERT INTO processing_ack VALUES ('first', 'completed', '')");
	advance(true);
	assert_due("third ", NULL);
}

static void test_too_many_open_rows(void **state)
{
	(void)state;
	for (int i = 0; i < SETTLED_OPEN_MAX + 2; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "o%d", i);
		add(id, NULL);
	}
	add_history();
	advance_to_the_end();
	assert_due(NULL, NULL);
	/* They are read; that history behind them is, too, as long as they are so many. */
	ours("INSERT INTO processing_ack VALUES ('o1', 'completed', ''), ('o3', 'completed', '')");
	advance_to_the_end();
	assert_in_range(cost(), 1, 50000);
}

/* What makes another row of the last settled one, or takes an acknowledgement away. */
static void test_what_is_forgotten(void **state)
{
	static const char *const changes[] = {
		("DELETE FROM messages_in WHERE rowid > 10; INSERT INTO messages_in"
		 " (id, kind, timestamp, content) VALUES ('again', 'chat', '', '{}')"),
		("DELETE FROM messages_in WHERE rowid < 10; VACUUM; INSERT INTO messages_in"
		 " (id, kind, timestamp, content) VALUES ('again', 'chat', '', '{}')"),
		("DELETE FROM messages_in; INSERT INTO messages_in (id, kind, timestamp, content)"
		 " VALUES ('again', 'chat', '', '{}')"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		host("DELETE FROM messages_in");
		ours("DELETE FROM processing_ack");
		add_history();
		advance_to_the_end();
		host(changes[i]);
		assert_due("again ", NULL);
	}
	host("DELETE FROM messages_in");
	ours("DELETE FROM processing_ack");
	add_history();
	advance_to_the_end();
	assert_due("", NULL);
	sqlite_run(world.path, "DELETE FROM processing_ack WHERE message_id IN ('h7', 'h9')");
	assert_due("h7 h9 ", NULL);
}

/* Whatever a host does, in whatever order: a look finds the same as one that reads all. */
static void test_any_host(void **state)
{
	static const char *const steps[] = {
		"INSERT INTO messages_in (id, seq, kind, timestamp, content) SELECT"
		" hex(randomblob(8)), (SELECT coalesce(max(seq), 0) + 2 FROM messages_in), 'chat',"
		" '', '{}'",
		"UPDATE messages_in SET status = 'pending' WHERE random() % 5 = 0",
		"UPDATE messages_in SET status = 'paused' WHERE random() % 5 = 0",
		"UPDATE messages_in SET status = 'completed' WHERE random() % 5 = 0",
		"UPDATE messages_in SET process_after = datetime('now', (random() % 9) || ' days')"
		" WHERE random() % 5 = 0",
		"DELETE FROM messages_in WHERE random() % 7 = 0",
		"DELETE FROM messages_in WHERE rowid = (SELECT max(rowid) FROM messages_in)",
		"INSERT OR REPLACE INTO messages_in (id, seq, kind, timestamp, content) SELECT id,"
		" seq, kind, timestamp, content FROM messages_in WHERE random() % 5 = 0",
		"VACUUM",
	};

	static char take_some[512];

	(void)state;
	/* Claims, some of which end at once; what is acknowledged for good stays so. */
	(void)snprintf(take_some, sizeof(take_some),
		       "ATTACH '%s' AS host; INSERT OR IGNORE INTO processing_ack"
		       " SELECT id, iif(random() %% 4, 'completed', 'processing'), ''"
		       " FROM host.messages_in WHERE random() %% 3 = 0; DETACH host",
		       world.inbound);
	srand(1);
	for (int i = 0; i < 600; i++) {
		size_t step = (size_t)rand() % 20;

		if (step < ARRAY_LEN(steps))
			host(steps[step]);
		else if (step < 12)
			host(steps[0]);
		else if (step == 12)
			sqlite_run(world.path, "DELETE FROM processing_ack WHERE random() % 9 = 0");
		else if (step == 13)
			ours("DELETE FROM processing_ack WHERE status = 'processing'");
		else if (step < 16)
			ours(take_some);
		else
			advance(rand() % 2);
		assert_due(NULL, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_history_is_read_once, setup_settled,
						teardown_settled),
		cmocka_unit_test_setup_teardown(test_open_rows_are_seen, setup_settled,
						teardown_settled),
		cmocka_unit_test_setup_teardown(test_a_failed_read_settles_nothing, setup_settled,
						teardown_settled),
		cmocka_unit_test_setup_teardown(test_busy_looks, setup_settled, teardown_settled),
		cmocka_unit_test_setup_teardown(test_too_many_open_rows, setup_settled,
						teardown_settled),
		cmocka_unit_test_setup_teardown(test_what_is_forgotten, setup_settled,
						teardown_settled),
		cmocka_unit_test_setup_teardown(test_any_host, setup_settled, teardown_settled),
	};

	return cmocka_run_group_tests_name("runner/store/settled", tests, NULL, NULL);
}
