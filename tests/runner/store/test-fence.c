/* SPDX-License-Identifier: MIT */
#include "runner/store/fence.h"

#include <errno.h>

#include "common/cleanup.h"
#include "runner/store/outbound-sql.h"
#include "tests/folder.h"
#include "tests/sqlite.h"
#include "tests/test.h"

#define ROW "SELECT key, value FROM session_state"

struct world {
	struct folder folder;
	char path[128];
	struct db *db;
	struct fence fence;
	int lost;
};

static struct world world;
static struct sqlite_result result;

static void on_lost(void *userdata)
{
	++*(int *)userdata;
}

static int setup(void **state)
{
	const struct db_options options = {
		.mode = DB_WRITE,
		.sql = outbound_sql_texts(),
		.sql_count = OUTBOUND_SQL_QUERIES,
	};

	(void)state;
	world = (struct world){ .fence = {
					.id = "one", .lost = on_lost, .userdata = &world.lost } };
	folder_make(&world.folder);
	strcpy(world.path, folder_file(&world.folder, "outbound.db"));
	assert_int_equal(db_open(world.path, &options, &world.db, NULL), 0);
	assert_int_equal(outbound_sql_set_up(world.db, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	db_close(world.db);
	folder_remove(&world.folder);
	return 0;
}

static void assert_row(const char *rows)
{
	assert_string_equal(sqlite_query(world.path, ROW, &result), rows);
}

/* A transaction that passes the fence, and is committed or taken back. */
static void pass(bool commit)
{
	assert_int_equal(db_exec(world.db, "BEGIN IMMEDIATE", NULL), 0);
	assert_int_equal(fence_pass(&world.fence, world.db, NULL), 0);
	assert_int_equal(db_exec(world.db, commit ? "COMMIT" : "ROLLBACK", NULL), 0);
	fence_settle(&world.fence, commit);
}

static void assert_lost(void)
{
	struct err err = { "" };

	assert_int_equal(fence_pass(&world.fence, world.db, &err), -ESTALE);
	assert_string_equal(err.text, "another agent-runner has taken over");
	assert_int_equal(fence_look(&world.fence, world.db, NULL), -ESTALE);
	assert_int_equal(world.lost, 1);
}

static void test_nothing_is_fenced_without_a_name(void **state)
{
	(void)state;
	world.fence.id[0] = '\0';
	pass(true);
	assert_row("");
	assert_int_equal(fence_look(&world.fence, world.db, NULL), 0);
}

static void test_the_first_pass_raises_it(void **state)
{
	(void)state;
	sqlite_run(world.path, "INSERT INTO session_state VALUES ('lease', 'before us', '')");
	assert_int_equal(fence_begin(&world.fence, world.db, NULL), 0);
	assert_int_equal(fence_look(&world.fence, world.db, NULL), 0);
	pass(true);
	assert_row("lease|one\n");
	pass(true);
	assert_int_equal(world.lost, 0);
}

/* Ours was never written: who came meanwhile has the folder, whatever it knows of us. */
static void test_another_came_before_the_first_pass(void **state)
{
	(void)state;
	sqlite_run(world.path, "INSERT INTO session_state VALUES ('lease', 'before us', '')");
	assert_int_equal(fence_begin(&world.fence, world.db, NULL), 0);
	sqlite_run(world.path, "UPDATE session_state SET value = 'two'");
	assert_lost();
	assert_row("lease|two\n");
}

static void test_it_is_not_up_before_the_commit(void **state)
{
	(void)state;
	sqlite_run(world.path, "INSERT INTO session_state VALUES ('lease', 'before us', '')");
	assert_int_equal(fence_begin(&world.fence, world.db, NULL), 0);
	pass(false);
	assert_row("lease|before us\n");
	pass(true);
	assert_row("lease|one\n");
}

static void test_a_missing_row_is_written_anew(void **state)
{
	(void)state;
	pass(true);
	sqlite_run(world.path, "DELETE FROM session_state");
	assert_int_equal(fence_look(&world.fence, world.db, NULL), 0);
	pass(true);
	assert_row("lease|one\n");
	sqlite_run(world.path, "UPDATE session_state SET value = ''");
	pass(true);
	assert_row("lease|one\n");
}

static void test_another_name_counts(void **state)
{
	(void)state;
	pass(true);
	sqlite_run(world.path, "UPDATE session_state SET value = 'two'");
	assert_lost();
	assert_row("lease|two\n");
	/* For good. */
	sqlite_run(world.path, "DELETE FROM session_state");
	assert_lost();
	assert_row("");
}

static void test_a_look_tells_it_too(void **state)
{
	(void)state;
	pass(true);
	sqlite_run(world.path, "UPDATE session_state SET value = 'two'");
	assert_int_equal(fence_look(&world.fence, world.db, NULL), -ESTALE);
	assert_lost();
}

static void test_what_cannot_be_read_is_not_lost(void **state)
{
	sqlite3 *host;

	(void)state;
	pass(true);
	host = sqlite_open(world.path);
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	assert_int_equal(fence_look(&world.fence, world.db, NULL), -EAGAIN);
	sqlite3_close(host);
	assert_int_equal(fence_look(&world.fence, world.db, NULL), 0);
	assert_int_equal(world.lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_fenced_without_a_name, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_first_pass_raises_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_came_before_the_first_pass, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_it_is_not_up_before_the_commit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_missing_row_is_written_anew, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_another_name_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_look_tells_it_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_not_lost, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
