/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-task.h"

#include "common/strbuf.h"
#include "common/table.h"
#include "tests/runner/store/inbound.h"

/* The tasks as "rowid id status process_after recurrence\n" each, and the total. */
static void assert_tasks(const char *status, size_t limit, const char *expected)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound *inbound = look();
	struct inbound_tasks tasks;

	assert_int_equal(inbound_tasks(inbound, status, limit, &tasks, NULL), 0);
	for (size_t i = 0; i < tasks.count; i++)
		strbuf_printf(&text, "%d %s %s %s %s\n", (int)tasks.rows[i].rowid, tasks.rows[i].id,
			      tasks.rows[i].status,
			      tasks.rows[i].process_after ? tasks.rows[i].process_after : "-",
			      tasks.rows[i].recurrence ? tasks.rows[i].recurrence : "-");
	strbuf_printf(&text, "%d", (int)tasks.total);
	assert_string_equal(text.data, expected);
	inbound_tasks_deinit(&tasks);
	inbound_tasks_deinit(&tasks);
	inbound_close(inbound);
}

static void fill(void)
{
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, content, status,"
	    " process_after, recurrence, series_id) VALUES"
	    " (1, 't-1', 2, 'task', '', '', 'completed', '2026-01-01', NULL, 't-1'),"
	    " (2, 't-1b', 4, 'task', '', '', 'pending', '2026-01-03T09:00:00.000Z', '0 9 * * *', "
	    "'t-1'),"
	    " (3, 't-2', 6, 'task', '', '', 'paused', '2026-01-02 09:00:00', NULL, NULL),"
	    " (4, 't-3', 8, 'task', '', '', 'pending', NULL, '', ''),"
	    " (5, 't-4', 10, 'task', '', '', 'failed', NULL, NULL, 't-4'),"
	    " (6, 'c-1', 12, 'chat', '', '', 'pending', NULL, NULL, 'c-1'),"
	    " (7, NULL, 14, 'task', '', '', 'pending', NULL, NULL, 'x')");
}

static void test_tasks(void **state)
{
	(void)state;
	assert_tasks(NULL, 10, "0");
	fill();
	assert_tasks(NULL, 10,
		     "4 t-3 pending - \n"
		     "3 t-2 paused 2026-01-02 09:00:00 -\n"
		     "2 t-1 pending 2026-01-03T09:00:00.000Z 0 9 * * *\n"
		     "3");
}

static void test_status(void **state)
{
	(void)state;
	fill();
	assert_tasks("paused", 10, "3 t-2 paused 2026-01-02 09:00:00 -\n1");
	assert_tasks("pending", 10,
		     "4 t-3 pending - \n2 t-1 pending 2026-01-03T09:00:00.000Z 0 9 * * *\n2");
	/* What is over is no task any more. */
	assert_tasks("completed", 10, "0");
}

static void test_limit(void **state)
{
	(void)state;
	fill();
	assert_tasks(NULL, 2, "4 t-3 pending - \n3 t-2 paused 2026-01-02 09:00:00 -\n3");
}

/* The bytes of UTF-8 count; what is no text has none that would be read. */
static void test_long_contents(void **state)
{
	static const bool expected[] = { false, true, true, false, true, false };
	struct inbound *inbound;
	struct inbound_tasks tasks;

	(void)state;
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, content) VALUES"
	    " (1, 'a', 2, 'task', '', substr(hex(zeroblob(65536)), 1, 65536)),"
	    " (2, 'b', 4, 'task', '', substr(hex(zeroblob(65536)), 1, 65537)),"
	    " (3, 'c', 6, 'task', '', replace(hex(zeroblob(20000)), '00', '\xc3\xa9\xc3\xa9')),"
	    " (4, 'd', 8, 'task', '', ''),"
	    " (5, 'e', 10, 'task', '', zeroblob(20000000)),"
	    " (6, 'f', 12, 'task', '', 7)");
	inbound = look();
	assert_int_equal(inbound_tasks(inbound, NULL, 10, &tasks, NULL), 0);
	assert_int_equal(tasks.count, ARRAY_LEN(expected));
	for (size_t i = 0; i < tasks.count; i++)
		assert_int_equal(tasks.rows[i].is_long, expected[i]);
	inbound_tasks_deinit(&tasks);
	inbound_close(inbound);
}

/* One line for each series, whatever lives of it. */
static void test_series(void **state)
{
	(void)state;
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, content, status,"
	    " process_after, series_id) VALUES"
	    " (1, 'a', 20, 'task', '', '', 'paused', '2026-01-02', 's'),"
	    " (2, 'b', 4, 'task', '', '', 'pending', '2026-01-01', 's'),"
	    " (3, 'c', NULL, 'task', '', '', 'pending', '2026-01-03', 's'),"
	    " (4, 'd', NULL, 'task', '', '', 'pending', '2026-01-04', 'r'),"
	    " (5, 'r', NULL, 'task', '', '', 'pending', '2026-01-05', NULL)");
	assert_tasks(NULL, 10, "1 s paused 2026-01-02 -\n5 r pending 2026-01-05 -\n2");
	assert_tasks("pending", 10, "2 s pending 2026-01-01 -\n5 r pending 2026-01-05 -\n2");
}

static void test_older_host(void **state)
{
	(void)state;
	run("CREATE TABLE messages_in (id TEXT PRIMARY KEY, content TEXT NOT NULL);"
	    "INSERT INTO messages_in VALUES ('a', 'x')");
	assert_tasks(NULL, 10, "0");
	run("ALTER TABLE messages_in ADD kind TEXT; UPDATE messages_in SET kind = 'task'");
	assert_tasks(NULL, 10, "1 a pending - -\n1");
	run("ALTER TABLE messages_in ADD series_id TEXT; UPDATE messages_in SET series_id = 's'");
	assert_tasks(NULL, 10, "1 s pending - -\n1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tasks, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_long_contents, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_series, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_older_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
