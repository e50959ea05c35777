/* SPDX-License-Identifier: MIT */
/* Every statement is prepared against schema/, and against what older hosts leave of it. */
#include "runner/store/inbound-sql.h"

#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "schema/inbound.h"
#include "tests/sqlite.h"
#include "tests/test.h"

/* What the statements read. A column that were misspelt there would be missing for ever. */
static const struct {
	const char *table;
	const char *columns[15];
} known[] = {
	{ "messages_in",
	  { "id", "content", "seq", "kind", "timestamp", "status", "process_after", "trigger",
	    "on_wake", "platform_id", "channel_type", "thread_id", "recurrence", "series_id" } },
	{ "destinations",
	  { "name", "display_name", "type", "channel_type", "platform_id", "agent_group_id" } },
	{ "session_routing", { "id", "channel_type", "platform_id", "thread_id" } },
	{ "delivered", { "message_out_id", "platform_message_id" } },
};

/* The least of messages_in: without these two there is nothing to read. */
#define LEAST 2

/* Composes every statement for this schema, prepares it, and hands out its text. */
static void compose(const char *schema, struct strbuf *texts)
{
	const struct db_options options = { .mode = DB_WRITE };
	struct db *db;

	assert_int_equal(db_open(":memory:", &options, &db, NULL), 0);
	sqlite_exec(db_handle(db), schema);
	for (enum inbound_sql i = 0; i < INBOUND_SQL_QUERIES; i++) {
		sqlite3_stmt *s = NULL;
		char *text = NULL;

		assert_int_equal(inbound_sql_compose(db, i, &text, NULL), 0);
		if (sqlite3_prepare_v2(db_handle(db), text, -1, &s, NULL) != SQLITE_OK)
			fail_msg("%s: %s: %s", schema, text, sqlite3_errmsg(db_handle(db)));
		sqlite3_finalize(s);
		if (texts)
			strbuf_printf(texts, "%s\n", text);
		free(text);
	}
	db_close(db);
}

static void test_schema(void **state)
{
	cleanup_strbuf struct strbuf texts = STRBUF_EMPTY;

	(void)state;
	compose(schema_inbound, &texts);
	/* Every column is read from its table; none has a value that stands for it. */
	for (size_t t = 0; t < ARRAY_LEN(known); t++)
		for (size_t i = 0; known[t].columns[i]; i++) {
			char column[128];

			(void)snprintf(column, sizeof(column), "%s.\"%s\"", known[t].table,
				       known[t].columns[i]);
			if (!strstr(texts.data, column))
				fail_msg("not read: %s", column);
		}
	assert_null(strchr(texts.data, '@'));
}

/* schema_inbound, but one table without a column (skip), or with no more than its first ones. */
static void append_schema(struct strbuf *schema, size_t table, size_t skip, size_t count)
{
	strbuf_puts(schema, schema_inbound);
	strbuf_printf(schema, "DROP TABLE %s; CREATE TABLE %s (other", known[table].table,
		      known[table].table);
	for (size_t i = 0; i < count && known[table].columns[i]; i++)
		if (i != skip)
			strbuf_printf(schema, ", \"%s\"", known[table].columns[i]);
	strbuf_puts(schema, ")");
}

static void test_missing_columns(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(known); t++) {
		cleanup_strbuf struct strbuf least = STRBUF_EMPTY;

		for (size_t i = t == 0 ? LEAST : 0; known[t].columns[i]; i++) {
			cleanup_strbuf struct strbuf schema = STRBUF_EMPTY;

			append_schema(&schema, t, i, SIZE_MAX);
			compose(schema.data, NULL);
		}
		append_schema(&least, t, SIZE_MAX, t == 0 ? LEAST : 0);
		compose(least.data, NULL);
	}
}

static void test_missing_tables(void **state)
{
	(void)state;
	compose("CREATE TABLE messages_in (id, content)", NULL);
	compose("CREATE TABLE messages_in (id, content); CREATE TABLE destinations (name)", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_missing_columns),
		cmocka_unit_test(test_missing_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
