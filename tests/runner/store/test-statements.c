/* SPDX-License-Identifier: MIT */
/*
 * Every SQL statement of the stores is prepared against schema/, and against what is left of it on
 * an older host. The tables are private to their modules, so these are part of the test.
 */
#include "runner/store/inbound.c"
#include "runner/store/outbound.c"
#include "schema/inbound.h"
#include "tests/sqlite.h"
#include "tests/test.h"

/* A database in memory with this schema, for which statements can be prepared. */
static struct db *memory(const char *schema, const char *const *sql, size_t count)
{
	const struct db_options options = { .mode = DB_WRITE, .sql = sql, .sql_count = count };
	struct db *db = NULL;

	assert_int_equal(db_open(":memory:", &options, &db, NULL), 0);
	sqlite_exec(db_handle(db), schema);
	return db;
}

static void assert_prepared(struct db *db, size_t count, const char *where)
{
	for (size_t i = 0; i < count; i++) {
		struct err err = { "" };
		sqlite3_stmt *s;

		if (db_statement(db, i, &s, &err) < 0)
			fail_msg("%s, statement %zu: %s", where, i, err.text);
	}
}

/* Composes the statements of inbound.db for this schema. */
static void assert_inbound(const char *schema, const char *where)
{
	struct inbound inbound = { .db = NULL };

	inbound.db = memory(schema, (const char *const *)inbound.sql, INBOUND_QUERIES);
	for (enum inbound_query i = 0; i < INBOUND_QUERIES; i++)
		assert_int_equal(inbound_compose(&inbound, i, NULL), 0);
	assert_prepared(inbound.db, INBOUND_QUERIES, where);
	db_close(inbound.db);
	for (enum inbound_query i = 0; i < INBOUND_QUERIES; i++)
		free(inbound.sql[i]);
}

static void test_inbound(void **state)
{
	(void)state;
	assert_inbound(schema_inbound, "all");
	assert_inbound("CREATE TABLE messages_in (id, content)", "the least");
}

/* Each table that may be missing, each column, and all columns that may be. */
static void test_inbound_of_older_hosts(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(inbound_tables); t++) {
		const struct inbound_table *table = &inbound_tables[t];
		char sql[128], where[128];

		for (size_t i = 0; i < ARRAY_LEN(table->columns) && table->columns[i].name; i++) {
			cleanup_strbuf struct strbuf schema = STRBUF_EMPTY;

			if (!table->columns[i].fallback)
				continue;
			strbuf_puts(&schema, schema_inbound);
			strbuf_printf(&schema, "DROP TABLE %s; CREATE TABLE %s (x", table->name,
				      table->name);
			for (size_t j = 0; j < ARRAY_LEN(table->columns) && table->columns[j].name;
			     j++)
				if (j != i)
					strbuf_printf(&schema, ", \"%s\"", table->columns[j].name);
			strbuf_puts(&schema, ")");
			(void)snprintf(where, sizeof(where), "without %s.%s", table->name,
				       table->columns[i].name);
			assert_inbound(schema.data, where);
		}
		if (t > 0) {
			cleanup_strbuf struct strbuf schema = STRBUF_EMPTY;

			(void)snprintf(sql, sizeof(sql), "DROP TABLE %s", table->name);
			strbuf_puts(&schema, schema_inbound);
			strbuf_puts(&schema, sql);
			assert_inbound(schema.data, sql);
		}
	}
}

/* The table names what the schema has: a column that is misspelt would be missing for ever. */
static void test_inbound_columns_exist(void **state)
{
	struct db *db = memory(schema_inbound, NULL, 0);

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(inbound_tables); t++)
		for (size_t i = 0;
		     i < ARRAY_LEN(inbound_tables[t].columns) && inbound_tables[t].columns[i].name;
		     i++)
			assert_int_equal(db_has(db, inbound_tables[t].name,
						inbound_tables[t].columns[i].name, NULL),
					 1);
	db_close(db);
}

static void test_outbound(void **state)
{
	struct db *db = memory(schema_outbound, outbound_sql, OUTBOUND_QUERIES);

	(void)state;
	assert_prepared(db, OUTBOUND_QUERIES, "all");
	/* Nothing is missing in the schema. */
	for (size_t i = 0; i < ARRAY_LEN(outbound_columns); i++)
		assert_int_equal(
			db_has(db, outbound_columns[i].table, outbound_columns[i].column, NULL), 1);
	db_close(db);
}

static void test_outbound_of_older_hosts(void **state)
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
		       "INSERT INTO container_state VALUES (1);",
		       outbound_sql, OUTBOUND_QUERIES);

	(void)state;
	sqlite_exec(db_handle(db), schema_outbound);
	assert_int_equal(outbound_add_columns(db, NULL), 0);
	assert_int_equal(outbound_add_columns(db, NULL), 0);
	assert_prepared(db, OUTBOUND_QUERIES, "older");
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inbound),
		cmocka_unit_test(test_inbound_of_older_hosts),
		cmocka_unit_test(test_inbound_columns_exist),
		cmocka_unit_test(test_outbound),
		cmocka_unit_test(test_outbound_of_older_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
