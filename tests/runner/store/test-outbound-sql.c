/* SPDX-License-Identifier: MIT */
/* Every statement is prepared against schema/, and against files that older hosts made. */
#include "runner/store/outbound-sql.h"

#include <errno.h>

#include "schema/outbound.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct db *memory(const char *schema)
{
	const struct db_options options = {
		.mode = DB_WRITE,
		.sql = outbound_sql_texts(),
		.sql_count = OUTBOUND_SQL_QUERIES,
	};
	struct db *db = NULL;

	assert_int_equal(db_open(":memory:", &options, &db, NULL), 0);
	sqlite_exec(db_handle(db), schema);
	return db;
}

static void assert_prepared(struct db *db)
{
	for (enum outbound_sql i = 0; i < OUTBOUND_SQL_QUERIES; i++) {
		struct err err = { "" };
		sqlite3_stmt *s;

		if (db_statement(db, i, &s, &err) < 0)
			fail_msg("statement %d: %s", (int)i, err.text);
	}
}

/* How often the schema was changed. */
static int schema_version(struct db *db)
{
	sqlite3_stmt *s;
	int version;

	assert_int_equal(sqlite3_prepare_v2(db_handle(db), "PRAGMA schema_version", -1, &s, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return version;
}

static void test_schema(void **state)
{
	struct db *db = memory(schema_outbound);
	int version = schema_version(db);

	(void)state;
	assert_prepared(db);
	/* Nothing is missing in the schema, so nothing is added. */
	assert_int_equal(outbound_sql_set_up(db, NULL), 0);
	assert_int_equal(schema_version(db), version);
	db_close(db);
}

static void test_empty(void **state)
{
	struct db *db = memory("");
	int version;

	(void)state;
	assert_int_equal(outbound_sql_set_up(db, NULL), 0);
	assert_prepared(db);
	version = schema_version(db);
	assert_int_equal(outbound_sql_set_up(db, NULL), 0);
	assert_int_equal(schema_version(db), version);
	db_close(db);
}

/* The keys of the tables, and rows, which a column that is NOT NULL cannot simply join. */
static void test_older(void **state)
{
	struct db *db =
		memory("CREATE TABLE messages_out (id TEXT PRIMARY KEY, timestamp TEXT NOT"
		       " NULL, kind TEXT NOT NULL, content TEXT NOT NULL);"
		       "CREATE TABLE processing_ack (message_id TEXT PRIMARY KEY, status TEXT);"
		       "CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT);"
		       "CREATE TABLE container_state (id INTEGER PRIMARY KEY);"
		       "INSERT INTO messages_out VALUES ('kept', '', '', '');"
		       "INSERT INTO processing_ack VALUES ('kept', '');"
		       "INSERT INTO session_state VALUES ('kept', '');"
		       "INSERT INTO container_state VALUES (1);");

	(void)state;
	assert_int_equal(outbound_sql_set_up(db, NULL), 0);
	assert_prepared(db);
	db_close(db);
}

static void test_refused(void **state)
{
	struct db *db = memory("CREATE VIEW processing_ack AS SELECT 1 AS message_id");
	struct err err;

	(void)state;
	assert_int_equal(outbound_sql_set_up(db, &err), -EIO);
	assert_string_equal(err.text, "Cannot add a column to a view (SQLite 1)");
	db_close(db);
}

static void test_a_table_that_was_dropped(void **state)
{
	struct db *db = memory(schema_outbound);

	(void)state;
	assert_false(outbound_sql_lacks_table(db));
	sqlite_exec(db_handle(db), "DROP TABLE session_state");
	assert_true(outbound_sql_lacks_table(db));
	assert_int_equal(outbound_sql_set_up(db, NULL), 0);
	assert_false(outbound_sql_lacks_table(db));
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_a_table_that_was_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
