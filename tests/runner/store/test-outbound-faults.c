/* SPDX-License-Identifier: MIT */
/*
 * All or nothing: a transaction whose row is refused, whose file is locked, whose disk fails, or
 * whose process dies.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "common/table.h"
#include "tests/runner/store/outbound.h"

#define ALL_OF_IT                                                                         \
	"SELECT (SELECT group_concat(message_id || status) FROM processing_ack), (SELECT" \
	" count(*) FROM messages_out), (SELECT group_concat(value) FROM session_state)"
#define NOTHING_OF_IT_TEXT "aprocessing,bprocessing|0|a\n"
#define ALL_OF_IT_TEXT	   "acompleted,bcompleted,cfailed|2|a,next\n"

static void test_refused_row_takes_all_back(void **state)
{
	const struct outbound_message broken[] = { messages[0], { .kind = "chat" } };
	struct outbound_commit commit = whole;
	struct err err;

	(void)state;
	claim("a");
	commit.messages = broken;
	assert_int_equal(outbound_commit(world.outbound, &commit, &err), -EIO);
	assert_string_equal(err.text, "cannot write outbound.db: NOT NULL constraint failed: "
				      "messages_out.content (SQLite 1299)");
	assert_rows(ALL_OF_IT, NOTHING_OF_IT_TEXT);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_rows(ALL_OF_IT, ALL_OF_IT_TEXT);
}

static void test_locked(void **state)
{
	sqlite3 *host = sqlite_open(world.path);
	struct err err;

	(void)state;
	claim("a");
	/* A reader does not let us commit, a writer not even begin. */
	for (int i = 0; i < 2; i++) {
		fault.waited_us = 0;
		sqlite_exec(host, i ? "BEGIN IMMEDIATE" : "BEGIN; SELECT * FROM messages_out");
		assert_int_equal(outbound_commit(world.outbound, &whole, &err), -EAGAIN);
		assert_string_equal(err.text,
				    "cannot write outbound.db: database is locked (SQLite 5)");
		assert_int_equal(fault.waited_us, OUTBOUND_BUSY_MS * 1000);
		sqlite_exec(host, "COMMIT");
		assert_rows(ALL_OF_IT, NOTHING_OF_IT_TEXT);
	}
	/* At the end of the process there is less patience. */
	fault.waited_us = 0;
	outbound_hurry(world.outbound);
	sqlite_exec(host, "BEGIN IMMEDIATE");
	assert_int_equal(outbound_release(world.outbound, NULL), -EAGAIN);
	assert_int_equal(fault.waited_us, OUTBOUND_HURRY_MS * 1000);
	sqlite3_close(host);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_rows(ALL_OF_IT, ALL_OF_IT_TEXT);
}

/* Sets everything back to what it was before the commit. */
static void start_over(void)
{
	fault_order(FAULT_NONE, 0);
	sqlite_run(world.path, "DELETE FROM messages_out; DELETE FROM processing_ack;"
			       "DELETE FROM session_state");
	claim("a");
}

/* A disk that refuses at any point: nothing is written, and the next try writes all, once. */
static void test_disk_refuses(void **state)
{
	static const enum fault_action actions[] = { FAULT_FULL, FAULT_ERROR };
	static const char *const texts[] = {
		"cannot write outbound.db: database or disk is full (SQLite 13)",
		"cannot write outbound.db: disk I/O error (SQLite ",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		int n = 0, r;

		do {
			struct err err = { "" };

			start_over();
			fault_order(actions[i], ++n);
			r = outbound_commit(world.outbound, &whole, &err);
			fault_order(FAULT_NONE, 0);
			if (r == 0)
				break;
			assert_true(r == -EAGAIN || (i == 0 && r == -ENOSPC));
			assert_memory_equal(err.text, texts[r == -EAGAIN],
					    strlen(texts[r == -EAGAIN]));
			assert_rows(ALL_OF_IT, NOTHING_OF_IT_TEXT);
			assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
			assert_rows(ALL_OF_IT, ALL_OF_IT_TEXT);
		} while (true);
		assert_rows(ALL_OF_IT, ALL_OF_IT_TEXT);
		assert_true(n > 10);
	}
}

/* What is written is written, also if its lock stays; nobody may write it again. */
static void test_lock_is_not_given_up(void **state)
{
	(void)state;
	for (int n = 1; n <= 4; n++) {
		start_over();
		fault_order(FAULT_KEEP, n);
		assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
		assert_rows(ALL_OF_IT, ALL_OF_IT_TEXT);
		fault_order(FAULT_KEEP, n);
		assert_int_equal(outbound_release(world.outbound, NULL), 0);
		fault_order(FAULT_NONE, 0);
		/* With the next one it is given up. */
		assert_int_equal(outbound_release(world.outbound, NULL), 0);
		sqlite_run(world.path, "DELETE FROM container_state");
		assert_true(outbound_let_go(world.outbound));
	}
}

/* Or by trying until it works: the host cannot wait for the next one. */
static void test_lock_is_given_up_later(void **state)
{
	sqlite3 *host = sqlite_open(world.path);

	(void)state;
	start_over();
	fault_order(FAULT_KEEP_ALL, 0);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_int_equal(sqlite3_exec(host, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_BUSY);
	assert_false(outbound_let_go(world.outbound));
	fault_order(FAULT_NONE, 0);
	assert_true(outbound_let_go(world.outbound));
	sqlite_exec(host, "BEGIN EXCLUSIVE; COMMIT");
	sqlite3_close(host);
}

/* Commits in a process of its own, which ends in the midst of it. true: it did not. */
static bool commit_and_die(enum fault_action action, int n)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct outbound *outbound;
		int r = outbound_open(world.path, world.inbound, &outbound, NULL);

		fault_order(action, n);
		if (r == 0)
			r = outbound_commit(outbound, &whole, NULL);
		_exit(r == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_KILLED);
	return WEXITSTATUS(status) == 0;
}

static void test_killed_at_any_point(void **state)
{
	static const enum fault_action actions[] = { FAULT_KILL, FAULT_TEAR };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		bool finished, nothing = true;
		int n = 0;

		do {
			const char *found;

			start_over();
			outbound_close(steal_ptr(world.outbound));
			finished = commit_and_die(actions[i], ++n);
			/* The next container: plays back what is to be played back. */
			reopen();
			found = sqlite_query(world.path, ALL_OF_IT, &result);
			/* From one instant on it is all there, and before it nothing. */
			nothing = nothing && strcmp(found, NOTHING_OF_IT_TEXT) == 0;
			if (!nothing)
				assert_string_equal(found, ALL_OF_IT_TEXT);
			assert_rows("PRAGMA integrity_check", "ok\n");
		} while (!finished);
		assert_false(nothing);
		assert_true(n > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused_row_takes_all_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_is_not_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_is_given_up_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_at_any_point, setup, teardown),
	};

	fault_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
