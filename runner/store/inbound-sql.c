/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-sql.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"

/*
 * The walk over what waits: what falls due later first, then what is due. Of the rest of a row nothing,
 * not even the id: SQLite keeps what is selected of all rows to order them. Where the host has a column
 * of an alias' name, ORDER BY means the column.
 */
#define INBOUND_SQL_WAITING                                                                \
	"SELECT rowid, coalesce(@trigger, 1) != 0 OR @kind IS 'system',"                   \
	" @process_after IS NOT NULL, strftime('%s', @process_after) AS agent_runner_due," \
	" coalesce(@on_wake, 0) != 0 FROM @messages_in WHERE @status = 'pending'"          \
	" AND @id IS NOT NULL AND "
/* What answers a tool of the agent comes first: nothing of it may wait behind a flood. */
#define INBOUND_SQL_WAITING_ORDER                                \
	" ORDER BY ifnull(agent_runner_due + 0 > :now, 0) DESC," \
	" @kind IS NOT 'system', @seq IS NULL, @seq, rowid LIMIT :limit OFFSET :seen"

/*
 * @name is a table of inbound_sql_tables[], or a column of the one that the statement reads: what
 * stands for it if the host's has none. Each has one such table.
 */
static const char *const inbound_sql_texts[] = {
	[INBOUND_SQL_BEGIN] = "BEGIN",
	[INBOUND_SQL_SCHEMA] = "SELECT rootpage, name, sql FROM sqlite_master",
	[INBOUND_SQL_DUE] = INBOUND_SQL_WAITING "rowid >= :from" INBOUND_SQL_WAITING_ORDER,
	/*
	 * All rows but those that are settled (settled.h). :open holds the numbers of those that are
	 * read nevertheless, INBOUND_OPEN_WIDTH characters each. SQLite looks both parts up by rowid.
	 */
	[INBOUND_SQL_DUE_OR_OPEN] = INBOUND_SQL_WAITING
	"(rowid >= :from OR rowid IN (WITH RECURSIVE place(i) AS (SELECT 1"
	" UNION ALL SELECT i + :width FROM place WHERE i + :width < length(:open))"
	" SELECT CAST(substr(:open, i, :width) AS INTEGER) FROM place))" INBOUND_SQL_WAITING_ORDER,
	[INBOUND_SQL_FROM_ROW] = "SELECT rowid, @id FROM @messages_in WHERE rowid >= :from"
				 " ORDER BY rowid LIMIT :max",
	[INBOUND_SQL_LAST_ROW] = "SELECT coalesce(max(rowid), 0) FROM @messages_in",
	[INBOUND_SQL_ROW] = "SELECT rowid, iif(typeof(@seq) = 'integer'"
			    " AND @seq BETWEEN 0 AND :max_seq, @seq, NULL),"
			    " coalesce(@trigger, 1) != 0, @id, @kind, @timestamp, @platform_id,"
			    " @channel_type, @thread_id,"
			    " CASE WHEN length(CAST(@content AS BLOB)) <= :max THEN @content END,"
			    " length(CAST(@content AS BLOB)) > :max"
			    " FROM @messages_in WHERE rowid = :rid",
	[INBOUND_SQL_FROM] = "SELECT rowid, @id FROM @messages_in"
			     " WHERE @channel_type = :channel_type AND @platform_id = :platform_id"
			     " AND @id IS NOT NULL"
			     " ORDER BY @seq IS NOT NULL, @seq DESC, rowid DESC",
	[INBOUND_SQL_MAX_SEQ] =
		"SELECT max(@seq) FROM @messages_in WHERE @seq BETWEEN 0 AND :max_seq",
	[INBOUND_SQL_DESTINATIONS] = "SELECT @name, @display_name, @type IS 'agent', @channel_type,"
				     " @platform_id, @agent_group_id"
				     " FROM @destinations WHERE @name IS NOT NULL ORDER BY @name",
	[INBOUND_SQL_SESSION] = ("SELECT @channel_type, @platform_id, @thread_id"
				 " FROM @session_routing WHERE @id = 1"),
	[INBOUND_SQL_BY_SEQ] = "SELECT @id, @channel_type, @platform_id, @thread_id"
			       " FROM @messages_in WHERE @seq = :seq AND @id IS NOT NULL",
	[INBOUND_SQL_DELIVERED_ID] = "SELECT @platform_message_id FROM @delivered"
				     " WHERE @message_out_id = :id"
				     " AND nullif(@platform_message_id, '') IS NOT NULL",
	/* Deliveries pile up, and no index tells those that failed: what is long past is not told. */
	[INBOUND_SQL_FAILURES] =
		"SELECT rid, out_id FROM (SELECT rowid AS rid, @message_out_id AS out_id,"
		" @status AS state FROM @delivered ORDER BY rowid DESC LIMIT :newest)"
		" WHERE state = 'failed' AND out_id IS NOT NULL"
		" ORDER BY rid DESC LIMIT :max",
	/* A window function copies its rows: the innermost query keeps the contents out of it. */
	[INBOUND_SQL_TASKS] =
		"SELECT rid, series, state, due, again, count(*) OVER ()"
		" FROM (SELECT *, row_number() OVER (PARTITION BY series"
		" ORDER BY number DESC, rid DESC) AS place"
		" FROM (SELECT rowid AS rid, @seq AS number, @status AS state,"
		" @process_after AS due, @recurrence AS again,"
		" coalesce(nullif(@series_id, ''), @id) AS series"
		" FROM @messages_in WHERE @kind = 'task' AND @id IS NOT NULL"
		" AND @status IN ('pending', 'paused') AND (:status IS NULL OR @status = :status)))"
		" WHERE place = 1 ORDER BY datetime(due), number, rid LIMIT :limit",
};
TABLE_COVERS(inbound_sql_texts, INBOUND_SQL_QUERIES);

/* The longest name behind an @. */
#define INBOUND_SQL_NAME_MAX 31

/* The tables with what stands in for a column that an older host lacks; NULL: none lacks it. */
static const struct inbound_sql_table {
	const char *name;
	struct {
		const char *name;
		const char *fallback;
	} columns[14];
} inbound_sql_tables[] = {
	{ "messages_in",
	  { { "id", NULL },
	    { "content", NULL },
	    { "seq", "NULL" },
	    { "kind", "'chat'" },
	    { "timestamp", "NULL" },
	    { "status", "'pending'" },
	    { "process_after", "NULL" },
	    { "trigger", "1" },
	    { "on_wake", "0" },
	    { "platform_id", "NULL" },
	    { "channel_type", "NULL" },
	    { "thread_id", "NULL" },
	    { "recurrence", "NULL" },
	    { "series_id", "NULL" } } },
	{ "destinations",
	  { { "name", "NULL" },
	    { "display_name", "NULL" },
	    { "type", "'channel'" },
	    { "channel_type", "NULL" },
	    { "platform_id", "NULL" },
	    { "agent_group_id", "NULL" } } },
	{ "session_routing",
	  { { "id", "1" },
	    { "channel_type", "NULL" },
	    { "platform_id", "NULL" },
	    { "thread_id", "NULL" } } },
	{ "delivered",
	  { { "message_out_id", "NULL" },
	    { "platform_message_id", "NULL" },
	    { "status", "'delivered'" } } },
};

/* The table that the text is about; NULL: none. */
static const struct inbound_sql_table *inbound_sql_find_table(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(inbound_sql_tables); i++) {
		const char *name = inbound_sql_tables[i].name;
		const char *place = strstr(text, name);

		if (place && place > text && place[-1] == '@')
			return &inbound_sql_tables[i];
	}
	return NULL;
}

/* Appends what the column is, or what stands for it. 0, or of db_has(); sql knows its own failure. */
static int inbound_sql_append_column(struct db *db, const struct inbound_sql_table *table,
				     bool has_table, const char *name, struct strbuf *sql,
				     struct err *err)
{
	const char *fallback = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(table->columns) && table->columns[i].name; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			fallback = table->columns[i].fallback;
	if (fallback && has_table)
		r = db_has(db, table->name, name, err);
	if (r < 0)
		return r;
	if (r == 0 && fallback) {
		strbuf_puts(sql, fallback);
		return 0;
	}
	/* Qualified: a bare name in quotes that is no column would be a string. */
	strbuf_puts(sql, table->name);
	strbuf_puts(sql, ".\"");
	strbuf_puts(sql, name);
	strbuf_putc(sql, '"');
	return 0;
}

/* Appends what is behind an @. */
static int inbound_sql_append_name(struct db *db, const struct inbound_sql_table *table,
				   bool has_table, const char *name, struct strbuf *sql,
				   struct err *err)
{
	if (strcmp(name, table->name) != 0)
		return inbound_sql_append_column(db, table, has_table, name, sql, err);
	strbuf_puts(sql, has_table ? name : "(SELECT 0 AS rowid WHERE 0)");
	return 0;
}

int inbound_sql_compose(struct db *db, enum inbound_sql query, char **ret_text, struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;
	const char *text = inbound_sql_texts[query], *place;
	const struct inbound_sql_table *table = inbound_sql_find_table(text);
	int has_table = table ? db_has(db, table->name, NULL, err) : 0;
	char *composed;

	if (has_table < 0)
		return has_table;
	for (; table && (place = strchr(text, '@')); text = place) {
		char name[INBOUND_SQL_NAME_MAX + 1] = "";
		size_t len = strspn(place + 1, letters);
		int r;

		assert(len <= INBOUND_SQL_NAME_MAX);
		memcpy(name, place + 1, len);
		strbuf_append(&sql, text, (size_t)(place - text));
		r = inbound_sql_append_name(db, table, has_table, name, &sql, err);
		if (r < 0)
			return r;
		place += 1 + len;
	}
	strbuf_puts(&sql, text);
	composed = strbuf_steal(&sql);
	if (!composed)
		return err_sys(err, -ENOMEM, "cannot read messages");
	*ret_text = composed;
	return 0;
}
