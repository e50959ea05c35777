/* SPDX-License-Identifier: MIT */
#include "runner/store/outbound-sql.h"

#include <stdio.h>

#include "common/table.h"
#include "schema/outbound.h"

/* What a loop leaves behind that is killed at work. */
#define OUTBOUND_SQL_IS_CLAIM "status = 'processing'"
#define OUTBOUND_SQL_HAS_TOOL \
	"coalesce(current_tool, tool_declared_timeout_ms, tool_started_at) IS NOT NULL"

static const char *const outbound_sql_table[] = {
	/* IMMEDIATE: the lock is taken before seq is computed, so that nobody comes between. */
	[OUTBOUND_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[OUTBOUND_SQL_BEGIN_READS] = "BEGIN",
	[OUTBOUND_SQL_COMMIT] = "COMMIT",
	[OUTBOUND_SQL_ROLLBACK] = "ROLLBACK",
	[OUTBOUND_SQL_HAS_ACK] = "SELECT 1 FROM processing_ack WHERE message_id = :id",
	[OUTBOUND_SQL_IS_FINAL] = "SELECT 1 FROM processing_ack WHERE message_id = :id"
				  " AND status IN ('completed', 'failed')",
	[OUTBOUND_SQL_FOREIGN_VERSION] = "PRAGMA data_version",
	[OUTBOUND_SQL_ACK] = "INSERT INTO processing_ack (message_id, status, status_changed)"
			     " VALUES (:id, :status, datetime('now'))"
			     " ON CONFLICT (message_id) DO UPDATE SET status = excluded.status,"
			     " status_changed = excluded.status_changed",
	[OUTBOUND_SQL_HAS_LEFTOVERS] =
		"SELECT EXISTS (SELECT 1 FROM processing_ack WHERE " OUTBOUND_SQL_IS_CLAIM
		") OR EXISTS (SELECT 1 FROM attempts WHERE running)"
		" OR EXISTS (SELECT 1 FROM container_state WHERE " OUTBOUND_SQL_HAS_TOOL ")",
	[OUTBOUND_SQL_RELEASE] = "DELETE FROM processing_ack WHERE " OUTBOUND_SQL_IS_CLAIM,
	[OUTBOUND_SQL_GIVE_BACK] = "DELETE FROM processing_ack"
				   " WHERE message_id = :id AND " OUTBOUND_SQL_IS_CLAIM,
	/* An id that the host uses again begins anew. Any row of the turn that runs tells its name. */
	[OUTBOUND_SQL_BEGIN_ATTEMPT] =
		"INSERT INTO attempts (message_id, turn, starts, running) VALUES (:id,"
		" coalesce((SELECT turn FROM attempts WHERE running LIMIT 1), :turn), 1, 1)"
		" ON CONFLICT (message_id) DO UPDATE SET"
		" turn = CASE WHEN done THEN excluded.turn ELSE turn END,"
		" starts = CASE WHEN done THEN 1 ELSE starts + 1 END,"
		" excused = CASE WHEN done THEN 0 ELSE excused END,"
		" script_output = CASE WHEN done THEN NULL ELSE script_output END,"
		" running = 1, done = 0",
	[OUTBOUND_SQL_BREAK_OFF] = "UPDATE attempts SET running = 0 WHERE message_id = :id",
	[OUTBOUND_SQL_BREAK_OFF_ALL] = "UPDATE attempts SET running = 0 WHERE running",
	[OUTBOUND_SQL_EXCUSE] = "UPDATE attempts SET running = 0, excused = excused + 1"
				" WHERE message_id = :id AND running",
	[OUTBOUND_SQL_EXCUSE_ALL] = "UPDATE attempts SET running = 0, excused = excused + 1"
				    " WHERE running",
	[OUTBOUND_SQL_END_ATTEMPTS] = "UPDATE attempts SET running = 0, done = 1"
				      " WHERE message_id = :id",
	/* Kept for those of its turn that wait for another attempt; else a long turn would pile up. */
	[OUTBOUND_SQL_FORGET_ATTEMPTS] = "DELETE FROM attempts WHERE done AND NOT EXISTS"
					 " (SELECT 1 FROM attempts AS other"
					 " WHERE other.turn = attempts.turn"
					 " AND NOT other.done AND NOT other.running)",
	[OUTBOUND_SQL_GET_ATTEMPT] = "SELECT starts, starts - excused, script_output, turn"
				     " FROM attempts"
				     " WHERE message_id = :id AND NOT done",
	[OUTBOUND_SQL_KEEP_OUTPUT] = "UPDATE attempts SET script_output = :output"
				     " WHERE message_id = :id",
	/* The last ones, oldest first: what replies to any message that shared a turn with it. */
	[OUTBOUND_SQL_SENT_FOR] =
		"SELECT content, channel_type, platform_id, thread_id FROM ("
		"SELECT rowid AS n, coalesce(content, '') AS content, channel_type, platform_id,"
		" thread_id FROM messages_out WHERE in_reply_to IN"
		" (SELECT message_id FROM attempts WHERE message_id = :id OR turn ="
		" (SELECT turn FROM attempts WHERE message_id = :id))"
		" ORDER BY n DESC LIMIT :limit) ORDER BY n",
	[OUTBOUND_SQL_MAX_SEQ] = "SELECT max(seq) FROM messages_out WHERE seq BETWEEN 0 AND :max",
	[OUTBOUND_SQL_INSERT] = "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind,"
				" platform_id, channel_type, thread_id, content)"
				" VALUES (:id, :seq, :in_reply_to, datetime('now'), :kind,"
				" :platform_id, :channel_type, :thread_id, :content)",
	[OUTBOUND_SQL_BY_ID] = "SELECT seq, coalesce(content, ''), channel_type, platform_id"
			       " FROM messages_out WHERE id = :id",
	[OUTBOUND_SQL_BY_SEQ] = "SELECT id, channel_type, platform_id, thread_id"
				" FROM messages_out WHERE seq = :seq AND id IS NOT NULL",
	[OUTBOUND_SQL_GET_STATE] = "SELECT value FROM session_state WHERE key = :key",
	[OUTBOUND_SQL_SET_STATE] = "INSERT INTO session_state (key, value, updated_at)"
				   " VALUES (:key, :value, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
				   " ON CONFLICT (key) DO UPDATE SET value = excluded.value,"
				   " updated_at = excluded.updated_at",
	[OUTBOUND_SQL_DELETE_STATE] = "DELETE FROM session_state WHERE key = :key",
	[OUTBOUND_SQL_SET_TOOL] = "INSERT OR REPLACE INTO container_state (id, current_tool,"
				  " tool_declared_timeout_ms, tool_started_at, updated_at)"
				  " VALUES (1, :tool, :timeout, :started,"
				  " strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
	[OUTBOUND_SQL_CLEAR_TOOL] = "UPDATE container_state SET current_tool = NULL,"
				    " tool_declared_timeout_ms = NULL, tool_started_at = NULL,"
				    " updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
				    " WHERE " OUTBOUND_SQL_HAS_TOOL,
	[OUTBOUND_SQL_OLDEST_CLAIM] = "SELECT count(*),"
				      " min(CAST(strftime('%s', status_changed) AS INTEGER)),"
				      " (SELECT tool_declared_timeout_ms FROM container_state"
				      " WHERE id = 1)"
				      " FROM processing_ack WHERE " OUTBOUND_SQL_IS_CLAIM,
};
TABLE_COVERS(outbound_sql_table, OUTBOUND_SQL_QUERIES);

/*
 * Columns that a file made by an older host may lack. A NOT NULL column can only be added with a
 * default (https://www.sqlite.org/lang_altertable.html).
 */
static const struct {
	const char *table;
	const char *column;
	const char *declaration;
} outbound_sql_columns[] = {
	{ "messages_out", "seq", "INTEGER" },
	{ "messages_out", "in_reply_to", "TEXT" },
	{ "messages_out", "deliver_after", "TEXT" },
	{ "messages_out", "recurrence", "TEXT" },
	{ "messages_out", "platform_id", "TEXT" },
	{ "messages_out", "channel_type", "TEXT" },
	{ "messages_out", "thread_id", "TEXT" },
	{ "processing_ack", "status_changed", "TEXT NOT NULL DEFAULT ''" },
	{ "session_state", "updated_at", "TEXT NOT NULL DEFAULT ''" },
	{ "attempts", "turn", "TEXT NOT NULL DEFAULT ''" },
	{ "attempts", "starts", "INTEGER NOT NULL DEFAULT 0" },
	{ "attempts", "excused", "INTEGER NOT NULL DEFAULT 0" },
	{ "attempts", "running", "INTEGER NOT NULL DEFAULT 0" },
	{ "attempts", "done", "INTEGER NOT NULL DEFAULT 0" },
	{ "attempts", "script_output", "TEXT" },
	{ "container_state", "current_tool", "TEXT" },
	{ "container_state", "tool_declared_timeout_ms", "INTEGER" },
	{ "container_state", "tool_started_at", "TEXT" },
	{ "container_state", "updated_at", "TEXT NOT NULL DEFAULT ''" },
};

const char *const *outbound_sql_texts(void)
{
	return outbound_sql_table;
}

static int outbound_sql_add_columns(struct db *db, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(outbound_sql_columns); i++) {
		char sql[160];
		int r;

		r = db_has(db, outbound_sql_columns[i].table, outbound_sql_columns[i].column, err);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		(void)snprintf(sql, sizeof(sql), "ALTER TABLE %s ADD COLUMN %s %s",
			       outbound_sql_columns[i].table, outbound_sql_columns[i].column,
			       outbound_sql_columns[i].declaration);
		r = db_exec(db, sql, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1, 0, or of db_has(). */
static int outbound_sql_find_missing(struct db *db, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(outbound_sql_columns); i++) {
		int r = db_has(db, outbound_sql_columns[i].table, NULL, err);

		if (r <= 0)
			return r < 0 ? r : 1;
	}
	return 0;
}

bool outbound_sql_lacks_table(struct db *db)
{
	return outbound_sql_find_missing(db, NULL) > 0;
}

/* All of them in one transaction, or none. */
static int outbound_sql_make_tables(struct db *db, struct err *err)
{
	int r = db_exec(db, outbound_sql_table[OUTBOUND_SQL_BEGIN], err);

	if (r == 0)
		r = db_exec(db, schema_outbound, err);
	if (r == 0)
		r = db_exec(db, outbound_sql_table[OUTBOUND_SQL_COMMIT], err);
	if (r < 0 && !sqlite3_get_autocommit(db_handle(db)))
		(void)db_exec(db, outbound_sql_table[OUTBOUND_SQL_ROLLBACK], NULL);
	return r;
}

int outbound_sql_set_up(struct db *db, struct err *err)
{
	/* As a rule none is missing, and a CREATE that has nothing to do still locks the file. */
	int r = outbound_sql_find_missing(db, err);

	if (r > 0)
		r = outbound_sql_make_tables(db, err);
	return r < 0 ? r : outbound_sql_add_columns(db, err);
}
