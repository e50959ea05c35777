/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-sql.h"

#include <errno.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"

/*
 * What a look reads: all rows but those that are settled (settled.h). :open holds the numbers of those
 * that are read nevertheless, INBOUND_OPEN_WIDTH characters each; of none it makes row 0. SQLite looks
 * both parts up by rowid.
 */
#define INBOUND_SQL_UNSETTLED                                                       \
	" AND (rid >= :from OR rid IN (WITH RECURSIVE place(i) AS (SELECT 1"        \
	" UNION ALL SELECT i + :width FROM place WHERE i + :width < length(:open))" \
	" SELECT CAST(substr(:open, i, :width) AS INTEGER) FROM place))"

/* @table stands for the table with every column that we know: inbound_sql_append_source(). */
static const char *const inbound_sql_texts[] = {
	[INBOUND_SQL_BEGIN] = "BEGIN",
	/* What answers a tool of the agent comes first: nothing of it may wait behind a flood. */
	[INBOUND_SQL_DUE] =
		"SELECT rid, id, coalesce(\"trigger\", 1) != 0 OR kind IS 'system',"
		" process_after IS NOT NULL AND datetime(process_after) IS NULL,"
		" coalesce(on_wake, 0) != 0"
		" FROM @messages_in WHERE status = 'pending'"
		" AND id IS NOT NULL AND (process_after IS NULL OR datetime(process_after) IS NULL"
		" OR datetime(process_after) <= datetime('now'))" INBOUND_SQL_UNSETTLED
		" ORDER BY kind IS NOT 'system', seq IS NULL, seq, rid",
	[INBOUND_SQL_NEXT_DUE] =
		"SELECT min(CAST(strftime('%s', process_after) AS INTEGER))"
		" FROM @messages_in WHERE status = 'pending'"
		" AND id IS NOT NULL"
		" AND (kind IS 'system' OR coalesce(\"trigger\", 1) != 0)"
		" AND datetime(process_after) > datetime('now')" INBOUND_SQL_UNSETTLED,
	[INBOUND_SQL_FROM_ROW] = "SELECT rid, id FROM @messages_in WHERE rid >= :from"
				 " ORDER BY rid LIMIT :max",
	[INBOUND_SQL_LAST_ROW] = "SELECT coalesce(max(rid), 0) FROM @messages_in",
	[INBOUND_SQL_ROW] = "SELECT rid, iif(typeof(seq) = 'integer'"
			    " AND seq BETWEEN 0 AND :max_seq, seq, NULL),"
			    " coalesce(\"trigger\", 1) != 0, id, kind, timestamp, platform_id,"
			    " channel_type, thread_id,"
			    " CASE WHEN length(CAST(content AS BLOB)) <= :max THEN content END,"
			    " length(CAST(content AS BLOB)) > :max"
			    " FROM @messages_in WHERE rid = :rid",
	[INBOUND_SQL_FROM] = "SELECT rid, id FROM @messages_in"
			     " WHERE channel_type = :channel_type AND platform_id = :platform_id"
			     " AND id IS NOT NULL"
			     " ORDER BY seq IS NOT NULL, seq DESC, rid DESC",
	[INBOUND_SQL_MAX_SEQ] =
		"SELECT max(seq) FROM @messages_in WHERE seq BETWEEN 0 AND :max_seq",
	[INBOUND_SQL_DESTINATIONS] = "SELECT name, coalesce(nullif(display_name, ''), name),"
				     " type IS 'agent', CASE type WHEN 'agent' THEN 'agent'"
				     " ELSE channel_type END, CASE type WHEN 'agent'"
				     " THEN agent_group_id ELSE platform_id END"
				     " FROM @destinations WHERE name IS NOT NULL ORDER BY name",
	[INBOUND_SQL_SESSION] = ("SELECT channel_type, platform_id, thread_id"
				 " FROM @session_routing WHERE id = 1"),
	[INBOUND_SQL_BY_SEQ] = "SELECT id, channel_type, platform_id, thread_id"
			       " FROM @messages_in WHERE seq = :seq AND id IS NOT NULL",
	[INBOUND_SQL_DELIVERED_ID] = "SELECT platform_message_id FROM @delivered"
				     " WHERE message_out_id = :id"
				     " AND nullif(platform_message_id, '') IS NOT NULL",
	/* Deliveries pile up, and no index tells those that failed: what is long past is not told. */
	[INBOUND_SQL_FAILURES] =
		"SELECT rid, message_out_id FROM (SELECT rid, message_out_id, status"
		" FROM @delivered ORDER BY rid DESC LIMIT :newest)"
		" WHERE status = 'failed' AND message_out_id IS NOT NULL"
		" ORDER BY rid DESC LIMIT :max",
	/*
	 * A window function copies its rows, all columns of them, and @table is not flattened into
	 * one: the subquery between the two keeps the contents out of it.
	 */
	[INBOUND_SQL_TASKS] =
		"SELECT rid, series, status, process_after, recurrence, count(*) OVER ()"
		" FROM (SELECT *, row_number() OVER (PARTITION BY series"
		" ORDER BY seq DESC, rid DESC) AS place"
		" FROM (SELECT rid, seq, status, process_after, recurrence,"
		" coalesce(nullif(series_id, ''), id) AS series"
		" FROM @messages_in WHERE kind = 'task' AND id IS NOT NULL"
		" AND status IN ('pending', 'paused') AND (:status IS NULL OR status = :status)))"
		" WHERE place = 1 ORDER BY datetime(process_after), seq, rid LIMIT :limit",
};
TABLE_COVERS(inbound_sql_texts, INBOUND_SQL_QUERIES);

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

/* Appends the subquery behind @table. SQLite flattens it, so it costs nothing. */
static int inbound_sql_append_source(struct db *db, const struct inbound_sql_table *table,
				     struct strbuf *sql, struct err *err)
{
	int has_table = db_has(db, table->name, NULL, err);

	if (has_table < 0)
		return has_table;
	strbuf_puts(sql, "(SELECT rowid AS rid");
	for (size_t i = 0; i < ARRAY_LEN(table->columns) && table->columns[i].name; i++) {
		const char *name = table->columns[i].name, *fallback = table->columns[i].fallback;
		int r = has_table ? db_has(db, table->name, name, err) : 0;

		if (r < 0)
			return r;
		if (r > 0 || !fallback)
			/* Qualified: a bare name in quotes that is no column would be a string. */
			strbuf_printf(sql, ", %s.\"%s\" AS \"%s\"", table->name, name, name);
		else
			strbuf_printf(sql, ", %s AS \"%s\"", fallback, name);
	}
	if (has_table)
		return strbuf_printf(sql, " FROM %s)", table->name);
	return strbuf_puts(sql, " FROM (SELECT 0 AS rowid) WHERE 0)");
}

int inbound_sql_compose(struct db *db, enum inbound_sql query, char **ret_text, struct err *err)
{
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;
	const char *text = inbound_sql_texts[query], *place = strchr(text, '@');
	char *composed;
	size_t len;
	int r;

	strbuf_append(&sql, text, place ? (size_t)(place - text) : strlen(text));
	for (size_t i = 0; place && i < ARRAY_LEN(inbound_sql_tables); i++) {
		len = strlen(inbound_sql_tables[i].name);
		if (strncmp(place + 1, inbound_sql_tables[i].name, len) != 0)
			continue;
		r = inbound_sql_append_source(db, &inbound_sql_tables[i], &sql, err);
		if (r < 0)
			return r;
		strbuf_puts(&sql, place + 1 + len);
		break;
	}
	composed = strbuf_steal(&sql);
	if (!composed)
		return err_sys(err, -ENOMEM, "cannot read messages");
	*ret_text = composed;
	return 0;
}
