/* SPDX-License-Identifier: MIT */
#include "runner/store/outbound-lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "runner/store/inbound.h"
#include "tests/runner/store/outbound.h"

static void test_find(void **state)
{
	struct inbound_address address = { .channel_type = NULL };
	char *id = NULL;

	(void)state;
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	sqlite_run(world.path,
		   "INSERT INTO messages_out (id, seq, timestamp, kind, content)"
		   " VALUES ('named', 9, '', 'system', '{}'), (NULL, 11, '', 'chat', '')");
	assert_int_equal(outbound_find(world.outbound, 1, &id, &address, NULL), 1);
	assert_memory_equal(id, "msg-", 4);
	assert_string_equal(address.channel_type, "slack");
	assert_string_equal(address.platform_id, "C1");
	assert_string_equal(address.thread_id, "t1");
	inbound_address_deinit(&address);
	free(steal_ptr(id));

	assert_int_equal(outbound_find(world.outbound, 9, &id, &address, NULL), 1);
	assert_string_equal(id, "named");
	assert_null(address.channel_type);
	assert_null(address.platform_id);
	assert_null(address.thread_id);
	inbound_address_deinit(&address);
	free(steal_ptr(id));

	assert_int_equal(outbound_find(world.outbound, 2, &id, &address, NULL), 0);
	assert_int_equal(outbound_find(world.outbound, 11, &id, &address, NULL), 0);
	assert_null(id);
	/* Nothing is left open that would hold the host up. */
	sqlite_run(world.path, "BEGIN EXCLUSIVE; COMMIT");
}

static void test_read(void **state)
{
	struct outbound_row row = { .seq = -1 };
	struct err err;

	(void)state;
	sqlite_run(world.path, "INSERT INTO messages_out (id, seq, timestamp, kind, content,"
			       " channel_type, platform_id) VALUES"
			       " ('a', 9, '', 'chat', '{\"text\":\"hi\"}', 'slack', 'C1'),"
			       " ('b', NULL, '', 'system', '', NULL, NULL)");
	assert_int_equal(outbound_read(world.outbound, "a", &row, NULL), 1);
	assert_int_equal(row.seq, 9);
	assert_string_equal(row.content, "{\"text\":\"hi\"}");
	assert_string_equal(row.channel_type, "slack");
	assert_string_equal(row.platform_id, "C1");
	outbound_row_deinit(&row);
	assert_int_equal(outbound_read(world.outbound, "b", &row, NULL), 1);
	assert_int_equal(row.seq, 0);
	assert_string_equal(row.content, "");
	assert_null(row.channel_type);
	assert_null(row.platform_id);
	outbound_row_deinit(&row);
	assert_null(row.content);
	assert_int_equal(outbound_read(world.outbound, "c", &row, NULL), 0);
	/* Nothing is left open that would hold the host up. */
	sqlite_run(world.path, "BEGIN EXCLUSIVE; COMMIT");
	sqlite_run(world.path, "ALTER TABLE messages_out RENAME TO hidden");
	assert_int_equal(outbound_read(world.outbound, "a", &row, &err), -EIO);
	assert_string_equal(err.text, "no such table: messages_out (SQLite 1)");
}

static void test_oldest_claim(void **state)
{
	struct outbound_claim_age age = { .count = 9 };
	sqlite3 *host;
	struct err err;

	(void)state;
	assert_int_equal(outbound_oldest_claim(world.path, &age, NULL), 0);
	assert_int_equal(age.count, 0);
	assert_int_equal(age.oldest_s, 0);
	assert_int_equal(age.tool_timeout_ms, 0);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	sqlite_run(world.path, "INSERT INTO processing_ack VALUES"
			       " ('x', 'processing', '2026-02-04 13:30:00'),"
			       " ('y', 'processing', '2026-02-04 13:29:00');"
			       "UPDATE processing_ack SET status_changed = '2020-01-01'"
			       " WHERE status <> 'processing'");
	assert_int_equal(outbound_set_tool(world.outbound, "Bash", 600000, 0, NULL), 0);
	assert_int_equal(outbound_oldest_claim(world.path, &age, NULL), 0);
	assert_int_equal(age.count, 2);
	assert_int_equal(age.oldest_s, 1770211740);
	assert_int_equal(age.tool_timeout_ms, 600000);
	assert_int_equal(outbound_oldest_claim(world.path, NULL, NULL), 0);
	/* It waits for nobody. */
	host = sqlite_open(world.path);
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	fault.waited_us = 0;
	assert_int_equal(outbound_oldest_claim(world.path, &age, &err), -EAGAIN);
	assert_int_equal(fault.waited_us, 0);
	sqlite3_close(host);
}

/* Attempts */

static void assert_attempt(const char *id, int64_t starts, int64_t broken)
{
	struct outbound_attempt attempt = { .starts = -1 };

	assert_int_equal(outbound_attempt(world.outbound, id, &attempt, NULL), 1);
	assert_int_equal(attempt.starts, starts);
	assert_int_equal(attempt.broken, broken);
	outbound_attempt_deinit(&attempt);
}

static void assert_no_attempt(const char *id)
{
	struct outbound_attempt attempt;

	assert_int_equal(outbound_attempt(world.outbound, id, &attempt, NULL), 0);
}

static void give_back(bool excused)
{
	const struct outbound_ids ids = { ids_ab, 1 };
	const struct outbound_commit commit = {
		.given_back = excused ? (struct outbound_ids){ NULL, 0 } : ids,
		.excused = excused ? ids : (struct outbound_ids){ NULL, 0 },
	};

	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
}

static void test_attempts(void **state)
{
	(void)state;
	assert_no_attempt("a");
	claim("a");
	assert_attempt("a", 1, 1);
	/* A container that was killed. */
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	claim("a");
	assert_attempt("a", 2, 2);
	/* One that ended in order: no message is to blame. */
	assert_int_equal(outbound_release(world.outbound, NULL), 0);
	assert_attempt("a", 2, 1);
	assert_int_equal(outbound_release(world.outbound, NULL), 0);
	assert_attempt("a", 2, 1);
	/* The host clears claims, and stops the container behind it. */
	claim("a");
	sqlite_run(world.path, "DELETE FROM processing_ack");
	assert_attempt("a", 3, 2);
	assert_int_equal(outbound_release(world.outbound, NULL), 0);
	assert_attempt("a", 3, 1);
	/* The last acknowledgement ends it. */
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_no_attempt("a");
	assert_no_attempt("b");
	assert_no_attempt("c");
}

static void test_give_back(void **state)
{
	(void)state;
	claim("a");
	give_back(false);
	assert_rows("SELECT message_id, status FROM processing_ack", "b|processing\n");
	assert_attempt("a", 1, 1);
	claim("a");
	give_back(true);
	assert_rows("SELECT message_id, status FROM processing_ack", "b|processing\n");
	assert_attempt("a", 2, 1);
	/* What is acknowledged stays so. */
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	give_back(true);
	assert_rows("SELECT status FROM processing_ack WHERE message_id = 'a'", "completed\n");
	assert_no_attempt("a");
}

static void test_script_output(void **state)
{
	const struct outbound_state outputs[] = { { "a", "{\"n\":1}" }, { "nobody", "1" } };
	const struct outbound_commit commit = { .outputs = outputs, .output_count = 2 };
	struct outbound_attempt attempt;

	(void)state;
	claim("a");
	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	claim("a");
	assert_int_equal(outbound_attempt(world.outbound, "a", &attempt, NULL), 1);
	assert_string_equal(attempt.script_output, "{\"n\":1}");
	outbound_attempt_deinit(&attempt);
	assert_null(attempt.script_output);
	assert_no_attempt("nobody");
}

/* What was sent */

static int note_sent(void *userdata, const struct outbound_sent *sent)
{
	char *seen = userdata;

	strcat(seen, sent->content);
	strcat(seen, sent->channel_type ? sent->channel_type : "-");
	strcat(seen, sent->platform_id ? sent->platform_id : "-");
	strcat(seen, sent->thread_id ? sent->thread_id : "-");
	strcat(seen, ";");
	return strstr(seen, "stop") ? -EINTR : 0;
}

static void assert_sent_for(const char *id, int limit, const char *sent)
{
	char seen[512] = "";

	assert_int_equal(outbound_sent_for(world.outbound, id, limit, note_sent, seen, NULL), 0);
	assert_string_equal(seen, sent);
}

static void test_sent_for(void **state)
{
	char seen[256] = "";

	(void)state;
	claim("a");
	assert_int_equal(outbound_commit(world.outbound,
					 &(struct outbound_commit){ .messages = messages,
								    .message_count = 2 },
					 NULL),
			 0);
	sqlite_run(world.path, "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind,"
			       " content) VALUES ('x', 7, 'b', '', 'system', 'two'),"
			       " ('y', 9, 'z', '', 'chat', 'of another')");
	assert_sent_for("z", 9, "");
	/* One is enough to tell of both: they shared a turn. */
	assert_sent_for("a", 9, "{\"text\":\"one\"}slackC1t1;two---;");
	assert_sent_for("b", 9, "{\"text\":\"one\"}slackC1t1;two---;");
	assert_sent_for("b", 1, "two---;");
	/* Also when one of them is answered, and the other taken up by itself. */
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_int_equal(outbound_commit(world.outbound,
					 &(struct outbound_commit){ .completed = { ids_ab, 1 } },
					 NULL),
			 0);
	assert_no_attempt("a");
	assert_sent_for("b", 9, "{\"text\":\"one\"}slackC1t1;two---;");
	sqlite_run(world.path,
		   "INSERT INTO messages_out (id, in_reply_to, timestamp, kind, content)"
		   " VALUES ('s', 'b', '', 'chat', 'stop'), ('t', 'b', '', 'chat', '-')");
	assert_int_equal(outbound_sent_for(world.outbound, "b", 3, note_sent, seen, NULL), -EINTR);
	assert_string_equal(seen, "two---;stop---;");
	/* Nothing is left open that would hold the host up. */
	sqlite_run(world.path, "BEGIN EXCLUSIVE; COMMIT");
}

/* Whoever is claimed while others are worked on belongs to their turn. */
static void test_turns(void **state)
{
	(void)state;
	claim("a");
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_c, 1 }, NULL, NULL), 0);
	assert_rows("SELECT message_id, turn FROM attempts ORDER BY 1", "a|a\nb|a\nc|a\n");
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_c, 1 }, NULL, NULL), 0);
	assert_rows("SELECT message_id, turn, running FROM attempts ORDER BY 1",
		    "a|a|0\nb|a|0\nc|a|1\n");
	/* The rows go together; an id that comes back is a new one. */
	assert_int_equal(outbound_commit(world.outbound,
					 &(struct outbound_commit){ .failed = { ids_c, 1 } }, NULL),
			 0);
	assert_rows("SELECT message_id, done FROM attempts ORDER BY 1", "a|0\nb|0\nc|1\n");
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_c, 1 }, NULL, NULL), 0);
	assert_attempt("c", 1, 1);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_rows("SELECT count(*) FROM attempts", "0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_oldest_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_give_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_script_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sent_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
	};

	return cmocka_run_group_tests_name("runner/store/outbound-lookup", tests, NULL, NULL);
}
