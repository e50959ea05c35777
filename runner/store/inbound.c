/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/store/db.h"
#include "runner/store/watch.h"

enum inbound_query {
	INBOUND_BEGIN,
	INBOUND_DUE,
	INBOUND_NEXT_DUE,
	INBOUND_ROW,
	INBOUND_FROM,
	INBOUND_MAX_SEQ,
	INBOUND_DESTINATIONS,
	INBOUND_SESSION,
	INBOUND_QUERIES,
};

/* MESSAGES stands for messages_in with every column that we know: see inbound_source(). */
static const char *const inbound_sql[] = {
	[INBOUND_BEGIN] = "BEGIN",
	[INBOUND_DUE] = "SELECT rid, id, \"trigger\" != 0, kind,"
			" process_after IS NOT NULL AND datetime(process_after) IS NULL"
			" FROM MESSAGES WHERE status = 'pending'"
			" AND (process_after IS NULL OR datetime(process_after) IS NULL"
			" OR datetime(process_after) <= datetime('now'))"
			" AND (on_wake = 0 OR :first)"
			" ORDER BY seq IS NULL, seq, rid",
	[INBOUND_NEXT_DUE] = "SELECT min(CAST(strftime('%s', process_after) AS INTEGER))"
			     " FROM MESSAGES WHERE status = 'pending' AND \"trigger\" != 0"
			     " AND datetime(process_after) > datetime('now')",
	[INBOUND_ROW] = "SELECT rid, seq, \"trigger\" != 0, id, kind, timestamp, platform_id,"
			" channel_type, thread_id,"
			" CASE WHEN length(CAST(content AS BLOB)) <= :max THEN content END,"
			" length(CAST(content AS BLOB)) > :max"
			" FROM MESSAGES WHERE rid = :rid",
	[INBOUND_FROM] = "SELECT rid, id FROM MESSAGES"
			 " WHERE channel_type = :channel_type AND platform_id = :platform_id"
			 " ORDER BY seq IS NOT NULL, seq DESC, rid DESC",
	[INBOUND_MAX_SEQ] = "SELECT max(seq) FROM MESSAGES",
	[INBOUND_DESTINATIONS] = "SELECT name, coalesce(nullif(display_name, ''), name),"
				 " type = 'agent', CASE type WHEN 'agent' THEN 'agent'"
				 " ELSE channel_type END, CASE type WHEN 'agent'"
				 " THEN agent_group_id ELSE platform_id END"
				 " FROM destinations WHERE name IS NOT NULL ORDER BY name",
	[INBOUND_SESSION] = ("SELECT channel_type, platform_id, thread_id"
			     " FROM session_routing WHERE id = 1"),
};
TABLE_COVERS(inbound_sql, INBOUND_QUERIES);

/* What an older host's messages_in may lack, and what stands in for it. */
static const struct {
	const char *name;
	const char *fallback;
} inbound_columns[] = {
	{ "seq", "NULL" },	   { "process_after", "NULL" }, { "trigger", "1" },
	{ "on_wake", "0" },	   { "platform_id", "NULL" },	{ "channel_type", "NULL" },
	{ "thread_id", "NULL" },   { "timestamp", "NULL" },	{ "kind", "'chat'" },
	{ "status", "'pending'" },
};

struct inbound {
	struct db *db;
	char *sql[INBOUND_QUERIES];
};

/* Rows and lists */

void inbound_row_deinit(struct inbound_row *row)
{
	char **const strings[] = { &row->id,	      &row->kind,	  &row->timestamp,
				   &row->platform_id, &row->channel_type, &row->thread_id,
				   &row->content };

	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		free(*strings[i]);
	*row = (struct inbound_row){ .seq = -1 };
}

static void inbound_rows_free(struct inbound_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		inbound_row_deinit(&rows[i]);
	free(rows);
}

void inbound_batch_deinit(struct inbound_batch *batch)
{
	inbound_rows_free(batch->rows, batch->count);
	inbound_rows_free(batch->aside, batch->aside_count);
	for (size_t i = 0; i < batch->passed_over_count; i++)
		free(batch->passed_over[i]);
	free(batch->passed_over);
	*batch = (struct inbound_batch){ .next_due_ms = -1 };
}

void inbound_destinations_deinit(struct inbound_destinations *destinations)
{
	for (size_t i = 0; i < destinations->count; i++) {
		struct inbound_destination *d = &destinations->rows[i];

		free(d->name);
		free(d->display_name);
		free(d->channel_type);
		free(d->platform_id);
	}
	free(destinations->rows);
	*destinations = (struct inbound_destinations){ .rows = NULL };
}

/* Grows an array of n elements by one, at powers of two. */
static void *inbound_grow(void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n ? 2 * n : 1, size);
}

/* Opening */

/* Which columns does messages_in have? Bit i: inbound_columns[i]. 0: there is no such table. */
static int inbound_read_columns(struct inbound *inbound, unsigned int *ret_columns, bool *ret_table,
				struct err *err)
{
	sqlite3_stmt *info = NULL;
	int r;

	if (sqlite3_prepare_v2(db_handle(inbound->db), "PRAGMA table_info(messages_in)", -1, &info,
			       NULL) != SQLITE_OK)
		return db_exec(inbound->db, "PRAGMA table_info(messages_in)", err);
	*ret_columns = 0;
	*ret_table = false;
	while ((r = db_step(inbound->db, info, err)) > 0) {
		const char *name = (const char *)sqlite3_column_text(info, 1);

		*ret_table = true;
		for (size_t i = 0; name && i < ARRAY_LEN(inbound_columns); i++)
			if (strcmp(name, inbound_columns[i].name) == 0)
				*ret_columns |= 1U << i;
	}
	sqlite3_finalize(info);
	return r;
}

/* The subquery behind MESSAGES: flattened by SQLite, so it costs nothing. */
static char *inbound_source(unsigned int columns)
{
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;

	strbuf_puts(&sql, "(SELECT rowid AS rid, id, content");
	for (size_t i = 0; i < ARRAY_LEN(inbound_columns); i++)
		if (columns & 1U << i)
			strbuf_printf(&sql, ", \"%s\"", inbound_columns[i].name);
		else
			strbuf_printf(&sql, ", %s AS \"%s\"", inbound_columns[i].fallback,
				      inbound_columns[i].name);
	strbuf_puts(&sql, " FROM messages_in WHERE id IS NOT NULL)");
	return strbuf_steal(&sql);
}

static int inbound_compose(struct inbound *inbound, unsigned int columns, struct err *err)
{
	cleanup_free char *source = inbound_source(columns);

	for (size_t i = 0; source && i < INBOUND_QUERIES; i++) {
		const char *place = strstr(inbound_sql[i], "MESSAGES");
		cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;

		if (place) {
			strbuf_append(&sql, inbound_sql[i], (size_t)(place - inbound_sql[i]));
			strbuf_puts(&sql, source);
			strbuf_puts(&sql, place + strlen("MESSAGES"));
		} else {
			strbuf_puts(&sql, inbound_sql[i]);
		}
		inbound->sql[i] = strbuf_steal(&sql);
		if (!inbound->sql[i])
			return err_sys(err, -ENOMEM, "cannot read messages");
	}
	return source ? 0 : err_sys(err, -ENOMEM, "cannot read messages");
}

static int inbound_check_header(const char *path, struct err *err)
{
	switch (watch_header(path)) {
	case WATCH_WAL:
		return err_set(err, -ENOTSUP,
			       "%s is in WAL mode, whose index cannot be shared with a container: "
			       "the host must run \"PRAGMA journal_mode=DELETE\" on it",
			       path);
	case WATCH_MISSING:
		return err_set(err, -EAGAIN, "%s is missing: the host has to create it", path);
	case WATCH_EMPTY:
		return err_set(err, -EAGAIN, "%s is empty: the host has to create its tables",
			       path);
	case WATCH_ALIEN:
		return err_set(err, -EBADMSG, "%s is not a readable SQLite database", path);
	case WATCH_DATABASE:
		break;
	}
	return 0;
}

int inbound_open(const char *path, struct inbound **ret_inbound, struct err *err)
{
	cleanup_inbound struct inbound *inbound = calloc(1, sizeof(*inbound));
	/* The first statements need no columns; the composed ones replace them below. */
	struct db_options options = {
		.mode = DB_READ,
		.busy_timeout_ms = INBOUND_BUSY_MS,
		.sql_count = INBOUND_QUERIES,
	};
	unsigned int columns;
	sqlite3_stmt *begin;
	bool has_table;
	int r;

	if (!inbound)
		return err_sys(err, -ENOMEM, "%s", path);
	r = inbound_check_header(path, err);
	if (r < 0)
		return r;
	options.sql = (const char *const *)inbound->sql;
	r = db_open(path, &options, &inbound->db, err);
	if (r < 0)
		/* It was there a moment ago: somebody is replacing it. */
		return r == -ENOENT ? -EAGAIN : r;
	/* Takes the shared lock: from here to the end everything is of one moment. */
	r = inbound_read_columns(inbound, &columns, &has_table, err);
	if (r == 0 && !has_table)
		r = err_set(err, -EAGAIN, "there is no table messages_in: the host has to make it");
	if (r == 0)
		r = inbound_compose(inbound, columns, err);
	if (r == 0)
		r = db_statement(inbound->db, INBOUND_BEGIN, &begin, err);
	if (r == 0)
		r = db_run(inbound->db, begin, err);
	if (r < 0)
		return err_prefix(err, r, "%s", path);
	*ret_inbound = steal_ptr(inbound);
	return 0;
}

void inbound_close(struct inbound *inbound)
{
	if (!inbound)
		return;
	db_close(inbound->db);
	for (size_t i = 0; i < INBOUND_QUERIES; i++)
		free(inbound->sql[i]);
	free(inbound);
}

/* Reading */

static int inbound_read_row(struct inbound *inbound, int64_t rid, struct inbound_row *ret_row,
			    struct err *err)
{
	struct inbound_row row = { .seq = -1 };
	sqlite3_stmt *s;
	int r;

	r = db_statement(inbound->db, INBOUND_ROW, &s, err);
	if (r < 0)
		return r;
	db_bind_int(s, ":rid", rid);
	db_bind_int(s, ":max", INBOUND_CONTENT_MAX);
	r = db_step(inbound->db, s, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -EAGAIN, "a row vanished while it was read");
	row.rowid = sqlite3_column_int64(s, 0);
	if (sqlite3_column_type(s, 1) != SQLITE_NULL)
		row.seq = sqlite3_column_int64(s, 1);
	row.wakes = sqlite3_column_int(s, 2) != 0;
	row.id = db_column_dup(s, 3, NULL);
	row.kind = db_column_dup(s, 4, NULL);
	row.timestamp = db_column_dup(s, 5, NULL);
	row.platform_id = db_column_dup(s, 6, NULL);
	row.channel_type = db_column_dup(s, 7, NULL);
	row.thread_id = db_column_dup(s, 8, NULL);
	row.content = db_column_dup(s, 9, &row.content_len);
	row.oversize = sqlite3_column_int(s, 10) != 0;
	sqlite3_reset(s);
	if (!row.kind)
		row.kind = strdup("");
	if (!row.content)
		row.content = strdup("");
	if (!row.id || !row.kind || !row.content) {
		inbound_row_deinit(&row);
		return err_sys(err, -ENOMEM, "cannot read a message");
	}
	*ret_row = row;
	return 0;
}

/* The rowids of context rows seen so far, oldest first. */
struct inbound_context {
	int64_t *rids;
	size_t count;
	size_t before_last; /* those that precede the last chosen row */
};

static int inbound_append(struct inbound_row **rows, size_t *count, struct inbound_row *row)
{
	struct inbound_row *grown = inbound_grow(*rows, *count, sizeof(*row));

	if (!grown)
		return -ENOMEM;
	*rows = grown;
	grown[(*count)++] = *row;
	*row = (struct inbound_row){ .seq = -1 };
	return 0;
}

/* Looks at one due row that wakes. 1: it was taken alone; 0: go on. */
static int inbound_consider(struct inbound *inbound, const struct inbound_choice *choice,
			    int64_t rid, struct inbound_batch *batch, struct err *err)
{
	struct inbound_row row;
	bool alone = false;
	int r;

	r = inbound_read_row(inbound, rid, &row, err);
	if (r < 0)
		return r;
	switch (choice->pick(choice->userdata, &row)) {
	case INBOUND_ASIDE:
		r = inbound_append(&batch->aside, &batch->aside_count, &row);
		break;
	case INBOUND_TAKE_ONLY:
		alone = true;
		r = inbound_append(&batch->rows, &batch->count, &row);
		break;
	case INBOUND_TAKE:
		r = inbound_append(&batch->rows, &batch->count, &row);
		break;
	case INBOUND_LEAVE:
		batch->more = true;
		break;
	}
	inbound_row_deinit(&row);
	return r < 0 ? err_sys(err, r, "cannot read messages") : alone;
}

static void inbound_warn_odd_time(sqlite3_stmt *s)
{
	if (sqlite3_column_int(s, 4))
		log_warning("message %s: process_after is no time that SQLite understands: "
			    "it is due now",
			    (const char *)sqlite3_column_text(s, 1));
}

/* Walks the due rows in order; fills batch->rows with those that wake, and notes the context. */
static int inbound_select(struct inbound *inbound, const struct inbound_choice *choice,
			  struct inbound_context *context, struct inbound_batch *batch,
			  struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = db_statement(inbound->db, INBOUND_DUE, &s, err);
	if (r < 0)
		return r;
	db_bind_int(s, ":first", choice->first_look);
	while ((r = db_step(inbound->db, s, err)) > 0) {
		const char *id = (const char *)sqlite3_column_text(s, 1);
		const char *kind = (const char *)sqlite3_column_text(s, 3);
		int64_t rid = sqlite3_column_int64(s, 0);
		size_t before = batch->count;

		if (!id || (kind && strcmp(kind, "system") == 0) ||
		    choice->is_acked(choice->userdata, id))
			continue;
		if (!sqlite3_column_int(s, 2)) {
			int64_t *rids = inbound_grow(context->rids, context->count, sizeof(*rids));

			if (!rids)
				return err_sys(err, -ENOMEM, "cannot read messages");
			context->rids = rids;
			rids[context->count++] = rid;
			continue;
		}
		if (batch->count >= choice->limit) {
			batch->more = true;
			return 0;
		}
		inbound_warn_odd_time(s);
		r = inbound_consider(inbound, choice, rid, batch, err);
		if (r < 0)
			return r;
		if (batch->count > before)
			context->before_last = r > 0 ? 0 : context->count;
	}
	return r;
}

static int inbound_compare(const void *a, const void *b)
{
	const struct inbound_row *x = a, *y = b;

	/* seq IS NULL, seq, rid */
	if ((x->seq < 0) != (y->seq < 0))
		return x->seq < 0 ? 1 : -1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return (x->rowid > y->rowid) - (x->rowid < y->rowid);
}

/* Fills the room that is left with the newest context; the rest is passed over. */
static int inbound_fill(struct inbound *inbound, const struct inbound_choice *choice,
			const struct inbound_context *context, struct inbound_batch *batch,
			struct err *err)
{
	size_t room = choice->limit - batch->count;
	size_t skip = context->before_last > room ? context->before_last - room : 0;
	struct inbound_row row;
	int r;

	if (skip > 0) {
		batch->passed_over = calloc(skip, sizeof(char *));
		if (!batch->passed_over)
			return err_sys(err, -ENOMEM, "cannot read messages");
	}
	for (size_t i = 0; i < context->before_last; i++) {
		r = inbound_read_row(inbound, context->rids[i], &row, err);
		if (r < 0)
			return r;
		if (i < skip)
			batch->passed_over[batch->passed_over_count++] = steal_ptr(row.id);
		else
			r = inbound_append(&batch->rows, &batch->count, &row);
		inbound_row_deinit(&row);
		if (r < 0)
			return err_sys(err, r, "cannot read messages");
	}
	if (batch->count > 1)
		qsort(batch->rows, batch->count, sizeof(*batch->rows), inbound_compare);
	return 0;
}

static int inbound_next_due(struct inbound *inbound, int64_t *ret_ms, struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = db_statement(inbound->db, INBOUND_NEXT_DUE, &s, err);
	if (r < 0)
		return r;
	r = db_step(inbound->db, s, err);
	if (r < 0)
		return r;
	*ret_ms = r == 0 || sqlite3_column_type(s, 0) == SQLITE_NULL
			  ? -1
			  : sqlite3_column_int64(s, 0) * 1000;
	sqlite3_reset(s);
	return 0;
}

int inbound_due(struct inbound *inbound, const struct inbound_choice *choice,
		struct inbound_batch *ret_batch, struct err *err)
{
	struct inbound_batch batch = { .next_due_ms = -1 };
	struct inbound_context context = { .rids = NULL };
	int r;

	r = inbound_select(inbound, choice, &context, &batch, err);
	if (r == 0 && batch.count > 0)
		r = inbound_fill(inbound, choice, &context, &batch, err);
	if (r == 0)
		r = inbound_next_due(inbound, &batch.next_due_ms, err);
	free(context.rids);
	if (r < 0) {
		inbound_batch_deinit(&batch);
		return r;
	}
	*ret_batch = batch;
	return 0;
}

int inbound_newest_from(struct inbound *inbound, const struct inbound_choice *choice,
			const char *channel_type, const char *platform_id,
			struct inbound_row *ret_row, struct err *err)
{
	sqlite3_stmt *s;
	int64_t rid;
	int r;

	r = db_statement(inbound->db, INBOUND_FROM, &s, err);
	if (r < 0)
		return r;
	db_bind_text(s, ":channel_type", channel_type);
	db_bind_text(s, ":platform_id", platform_id);
	while ((r = db_step(inbound->db, s, err)) > 0) {
		const char *id = (const char *)sqlite3_column_text(s, 1);

		if (!id || !choice->is_acked(choice->userdata, id))
			continue;
		rid = sqlite3_column_int64(s, 0);
		sqlite3_reset(s);
		r = inbound_read_row(inbound, rid, ret_row, err);
		return r < 0 ? r : 1;
	}
	return r;
}

int inbound_max_seq(struct inbound *inbound, int64_t *ret_seq, struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = db_statement(inbound->db, INBOUND_MAX_SEQ, &s, err);
	if (r < 0)
		return r;
	r = db_step(inbound->db, s, err);
	if (r < 0)
		return r;
	*ret_seq = r == 0 ? 0 : sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

static bool inbound_has_table(struct inbound *inbound, const char *name)
{
	return sqlite3_table_column_metadata(db_handle(inbound->db), NULL, name, NULL, NULL, NULL,
					     NULL, NULL, NULL) == SQLITE_OK;
}

int inbound_destinations(struct inbound *inbound, struct inbound_destinations *ret_destinations,
			 struct err *err)
{
	struct inbound_destinations list = { .rows = NULL };
	sqlite3_stmt *s;
	int r;

	*ret_destinations = list;
	if (!inbound_has_table(inbound, "destinations"))
		return 0;
	r = db_statement(inbound->db, INBOUND_DESTINATIONS, &s, err);
	if (r < 0)
		return r;
	while ((r = db_step(inbound->db, s, err)) > 0) {
		struct inbound_destination *rows =
			inbound_grow(list.rows, list.count, sizeof(*rows));

		if (!rows) {
			r = err_sys(err, -ENOMEM, "cannot read destinations");
			break;
		}
		list.rows = rows;
		rows[list.count++] = (struct inbound_destination){
			.name = db_column_dup(s, 0, NULL),
			.display_name = db_column_dup(s, 1, NULL),
			.is_agent = sqlite3_column_int(s, 2) != 0,
			.channel_type = db_column_dup(s, 3, NULL),
			.platform_id = db_column_dup(s, 4, NULL),
		};
	}
	if (r < 0) {
		inbound_destinations_deinit(&list);
		return r;
	}
	*ret_destinations = list;
	return 0;
}

int inbound_session_address(struct inbound *inbound, struct inbound_address *ret_address,
			    struct err *err)
{
	sqlite3_stmt *s;
	int r;

	if (!inbound_has_table(inbound, "session_routing"))
		return 0;
	r = db_statement(inbound->db, INBOUND_SESSION, &s, err);
	if (r < 0)
		return r;
	r = db_step(inbound->db, s, err);
	if (r <= 0)
		return r;
	*ret_address = (struct inbound_address){
		.channel_type = db_column_dup(s, 0, NULL),
		.platform_id = db_column_dup(s, 1, NULL),
		.thread_id = db_column_dup(s, 2, NULL),
	};
	sqlite3_reset(s);
	return 1;
}

void inbound_address_deinit(struct inbound_address *address)
{
	free(address->channel_type);
	free(address->platform_id);
	free(address->thread_id);
	*address = (struct inbound_address){ .channel_type = NULL };
}
