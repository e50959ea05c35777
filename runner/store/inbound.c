/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/store/db.h"
#include "runner/store/inbound-look.h"
#include "runner/store/seq.h"
#include "runner/store/watch.h"

/*
 * SQLite keeps so many rows to order them, however many wait: most walks end before. The few that do
 * not have the others, too, in memory.
 */
#define INBOUND_WALK 1000

/* A schema that is longer, in bytes, is read anew for each look. */
#define INBOUND_SCHEMA_MAX (64 * 1024)

struct inbound {
	struct db *db;
	char *sql[INBOUND_SQL_QUERIES]; /* NULL: not composed yet */
	sqlite3_stmt *due;		/* the walk over the due rows */
	char *due_id;
	int64_t now_s;	 /* at which the walk began; real time */
	int64_t later_s; /* when the next row falls due, as far as the walk knows; -1: none */
	int64_t seen;	 /* rows of the walk, which falls in two parts: */
	int64_t limit;	 /* rows of this one; -1: all that are left */
	int64_t from;	 /* of inbound_pass_over() */
	const char *open;
	struct strbuf
		schema; /* what the statements are made for; empty: nothing that can be kept */
};

/* Opening */

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
	case WATCH_CLOSED:
		return err_set(err, -EAGAIN, "%s cannot be read: %s", path, strerror(errno));
	case WATCH_ALIEN:
		return err_set(err, -EBADMSG, "%s is not a readable SQLite database", path);
	case WATCH_DATABASE:
		break;
	}
	return 0;
}

struct db *inbound_db(const struct inbound *inbound)
{
	return inbound->db;
}

int inbound_statement(struct inbound *inbound, enum inbound_sql query, sqlite3_stmt **ret_statement,
		      struct err *err)
{
	int r = 0;

	if (!inbound->sql[query])
		r = inbound_sql_compose(inbound->db, query, &inbound->sql[query], err);
	return r < 0 ? r : db_statement(inbound->db, query, ret_statement, err);
}

static int inbound_begin(struct inbound *inbound, struct err *err)
{
	sqlite3_stmt *begin;
	int r = inbound_statement(inbound, INBOUND_SQL_BEGIN, &begin, err);

	inbound_pass_over(inbound, INT64_MIN, "");
	return r < 0 ? r : db_run(inbound->db, begin, err);
}

/*
 * The first query takes the shared lock; from there on everything is of one moment. Statements are
 * composed by the schema of that moment, and not by one that is just being made.
 */
static int inbound_set_up(struct inbound *inbound, struct err *err)
{
	sqlite3_stmt *s;
	int r = inbound_begin(inbound, err);

	if (r == 0)
		r = inbound_statement(inbound, INBOUND_SQL_SCHEMA, &s, err);
	if (r == 0)
		r = db_step(inbound->db, s, err);
	if (r < 0)
		return r;
	sqlite3_reset(s);
	r = db_has(inbound->db, "messages_in", NULL, err);
	if (r == 0)
		r = err_set(err, -EAGAIN, "there is no table messages_in: the host has to make it");
	return r < 0 ? r : 0;
}

static int inbound_open_waiting(const char *path, int busy_ms, struct inbound **ret_inbound,
				struct err *err)
{
	cleanup_inbound struct inbound *inbound = calloc(1, sizeof(*inbound));
	struct db_options options = {
		.mode = DB_READ,
		.busy_timeout_ms = busy_ms,
		.sql_count = INBOUND_SQL_QUERIES,
	};
	int r;

	if (!inbound)
		return err_sys(err, -ENOMEM, "%s", path);
	r = inbound_check_header(path, err);
	if (r < 0)
		return r;
	/* Filled as they are needed: which columns there are is known when the file is open. */
	options.sql = (const char *const *)inbound->sql;
	r = db_open(path, &options, &inbound->db, err);
	if (r == 0) {
		r = inbound_set_up(inbound, err);
		if (r < 0)
			err_prefix(err, r, "%s", path);
	}
	/* -ENOENT: it was there a moment ago, and somebody is replacing it. */
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	*ret_inbound = steal_ptr(inbound);
	return 0;
}

int inbound_open(const char *path, struct inbound **ret_inbound, struct err *err)
{
	return inbound_open_waiting(path, INBOUND_BUSY_MS, ret_inbound, err);
}

int inbound_try(const char *path, struct inbound **ret_inbound, struct err *err)
{
	return inbound_open_waiting(path, 0, ret_inbound, err);
}

/* The schema, in the order of the file; what is too long is cut off behind the limit. 0 or <0. */
static int inbound_read_schema(struct inbound *inbound, struct strbuf *schema, struct err *err)
{
	sqlite3_stmt *s;
	int r = inbound_statement(inbound, INBOUND_SQL_SCHEMA, &s, err);

	while (r >= 0 && schema->len <= INBOUND_SCHEMA_MAX &&
	       (r = db_step(inbound->db, s, err)) > 0)
		for (int i = 0; i < sqlite3_column_count(s); i++) {
			const char *text = (const char *)sqlite3_column_text(s, i);

			strbuf_puts(schema, text ? text : "");
			strbuf_putc(schema, '\n');
		}
	return r < 0 ? r : schema->error;
}

/* Learns what the statements are made for: they belong to this transaction. */
static bool inbound_can_rest(struct inbound *inbound)
{
	/* SQLite has ended it by itself. */
	if (sqlite3_get_autocommit(db_handle(inbound->db)))
		return false;
	if (inbound->schema.len == 0 && inbound_read_schema(inbound, &inbound->schema, NULL) < 0)
		return false;
	return inbound->schema.len <= INBOUND_SCHEMA_MAX;
}

void inbound_rest(struct inbound **inbound)
{
	if (!inbound_can_rest(*inbound) || db_rest((*inbound)->db, NULL) < 0)
		inbound_close(steal_ptr(*inbound));
}

/* 1: all that is known of the schema holds; 0: it is another; <0. */
static int inbound_wake(struct inbound *inbound, const char *path, struct err *err)
{
	cleanup_strbuf struct strbuf schema = STRBUF_EMPTY;
	int r = inbound_check_header(path, err);

	if (r < 0)
		return r;
	r = db_wake(inbound->db, path, err);
	if (r == 0)
		return 0;
	if (r > 0)
		r = inbound_begin(inbound, err);
	if (r == 0)
		r = inbound_read_schema(inbound, &schema, err);
	if (r < 0)
		return err_prefix(err, r, "%s", path);
	return schema.len == inbound->schema.len &&
	       memcmp(schema.data, inbound->schema.data, schema.len) == 0;
}

int inbound_resume(const char *path, struct inbound **inbound, struct err *err)
{
	int r = *inbound ? inbound_wake(*inbound, path, err) : 0;

	if (r > 0)
		return 0;
	inbound_close(steal_ptr(*inbound));
	/* Any other failure may lie in what was kept. */
	return r == -EAGAIN ? r : inbound_open(path, inbound, err);
}

int inbound_probe(const char *path, struct err *err)
{
	cleanup_inbound struct inbound *inbound = NULL;

	return inbound_try(path, &inbound, err);
}

void inbound_close(struct inbound *inbound)
{
	if (!inbound)
		return;
	db_close(inbound->db);
	for (size_t i = 0; i < INBOUND_SQL_QUERIES; i++)
		free(inbound->sql[i]);
	free(inbound->due_id);
	strbuf_deinit(&inbound->schema);
	free(inbound);
}

/* Rows */

void inbound_row_deinit(struct inbound_row *row)
{
	char **const strings[] = { &row->id,	      &row->kind,	  &row->timestamp,
				   &row->platform_id, &row->channel_type, &row->thread_id,
				   &row->content };

	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		free(*strings[i]);
	*row = (struct inbound_row){ .seq = -1 };
}

/* Copies the columns of INBOUND_SQL_ROW into row. */
static int inbound_copy_row(sqlite3_stmt *s, struct inbound_row *row)
{
	struct {
		char **text;
		bool is_required;
	} const columns[] = {
		[3] = { &row->id, true },      [4] = { &row->kind, true },
		[5] = { &row->timestamp },     [6] = { &row->platform_id },
		[7] = { &row->channel_type },  [8] = { &row->thread_id },
		[9] = { &row->content, true },
	};

	row->rowid = sqlite3_column_int64(s, 0);
	if (sqlite3_column_type(s, 1) != SQLITE_NULL)
		row->seq = sqlite3_column_int64(s, 1);
	row->wakes = sqlite3_column_int(s, 2) != 0;
	row->oversize = sqlite3_column_int(s, 10) != 0;
	for (int i = 3; i < (int)ARRAY_LEN(columns); i++) {
		size_t *len = columns[i].text == &row->content ? &row->content_len : NULL;

		if (db_column_dup(s, i, columns[i].text, len) < 0)
			return -ENOMEM;
		if (columns[i].is_required && !*columns[i].text)
			*columns[i].text = strdup("");
		if (columns[i].is_required && !*columns[i].text)
			return -ENOMEM;
	}
	return 0;
}

int inbound_read_row(struct inbound *inbound, int64_t rowid, struct inbound_row *ret_row,
		     struct err *err)
{
	struct inbound_row row = { .seq = -1 };
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_ROW, &s, err);
	if (r < 0)
		return r;
	db_bind_int(s, ":rid", rowid);
	db_bind_int(s, ":max", INBOUND_CONTENT_MAX);
	db_bind_int(s, ":max_seq", SEQ_MAX);
	r = db_step(inbound->db, s, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -EAGAIN, "a row vanished while it was read");
	r = inbound_copy_row(s, &row);
	sqlite3_reset(s);
	if (r < 0) {
		inbound_row_deinit(&row);
		return err_sys(err, r, "cannot read a message");
	}
	*ret_row = row;
	return 0;
}

int inbound_rows_from(struct inbound *inbound, int64_t from, int64_t max, sqlite3_stmt **ret_s,
		      struct err *err)
{
	int r = inbound_statement(inbound, INBOUND_SQL_FROM_ROW, ret_s, err);

	if (r < 0)
		return r;
	db_bind_int(*ret_s, ":from", from);
	db_bind_int(*ret_s, ":max", max);
	return 0;
}

int inbound_read_id(struct inbound *inbound, int64_t rowid, char **ret_id, struct err *err)
{
	sqlite3_stmt *s;
	int r = inbound_rows_from(inbound, rowid, 1, &s, err);

	if (r == 0)
		r = db_step(inbound->db, s, err);
	if (r <= 0)
		return r;
	/* As in inbound_read_row(): an id with NUL bytes must be the same everywhere. */
	if (sqlite3_column_int64(s, 0) != rowid || sqlite3_column_type(s, 1) == SQLITE_NULL)
		r = 0;
	else if (db_column_dup(s, 1, ret_id, NULL) < 0)
		r = err_sys(err, -ENOMEM, "cannot read a message");
	sqlite3_reset(s);
	return r;
}

void inbound_pass_over(struct inbound *inbound, int64_t from, const char *open)
{
	inbound->from = from;
	inbound->open = open;
}

/* What comes behind the rows that were seen, so many of it at most; -1: all. */
static void inbound_due_limit(struct inbound *inbound, int64_t limit)
{
	inbound->limit = limit;
	db_bind_int(inbound->due, ":seen", inbound->seen);
	db_bind_int(inbound->due, ":limit", limit);
}

int inbound_due_start(struct inbound *inbound, struct err *err)
{
	bool has_open = inbound->open[0] != '\0';
	int r = inbound_statement(inbound, has_open ? INBOUND_SQL_DUE_OR_OPEN : INBOUND_SQL_DUE,
				  &inbound->due, err);

	if (r < 0)
		return r;
	inbound->now_s = clock_realtime_ms() / 1000;
	inbound->later_s = -1;
	inbound->seen = 0;
	inbound_due_limit(inbound, INBOUND_WALK);
	db_bind_int(inbound->due, ":now", inbound->now_s);
	db_bind_int(inbound->due, ":from", inbound->from);
	if (has_open) {
		db_bind_text(inbound->due, ":open", inbound->open);
		db_bind_int(inbound->due, ":width", INBOUND_OPEN_WIDTH);
	}
	return 0;
}

/* What falls due later comes first in the walk: 1: this row does; it is noted. */
static int inbound_note_later(struct inbound *inbound)
{
	sqlite3_stmt *s = inbound->due;
	int64_t due_s = sqlite3_column_int64(s, 3);

	if (sqlite3_column_type(s, 3) == SQLITE_NULL || due_s <= inbound->now_s)
		return 0;
	if (sqlite3_column_int(s, 1) && (inbound->later_s < 0 || due_s < inbound->later_s))
		inbound->later_s = due_s;
	return 1;
}

/* The next row of the walk, which has a second part if the first was full. 1, 0 at its end, or <0. */
static int inbound_due_step(struct inbound *inbound, struct err *err)
{
	int r = db_step(inbound->db, inbound->due, err);

	if (r == 0 && inbound->seen == inbound->limit) {
		inbound_due_limit(inbound, -1);
		r = db_step(inbound->db, inbound->due, err);
	}
	inbound->seen += r > 0;
	return r;
}

int inbound_due_next(struct inbound *inbound, struct inbound_due *ret_due, struct err *err)
{
	sqlite3_stmt *s = inbound->due;
	int r;

	do
		r = inbound_due_step(inbound, err);
	while (r > 0 && inbound_note_later(inbound));
	if (r <= 0)
		return r;
	free(steal_ptr(inbound->due_id));
	r = inbound_read_id(inbound, sqlite3_column_int64(s, 0), &inbound->due_id, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -EAGAIN, "a row vanished while it was read");
	*ret_due = (struct inbound_due){
		.rowid = sqlite3_column_int64(s, 0),
		.id = inbound->due_id,
		.wakes = sqlite3_column_int(s, 1) != 0,
		.odd_time =
			sqlite3_column_int(s, 2) != 0 && sqlite3_column_type(s, 3) == SQLITE_NULL,
		.on_wake = sqlite3_column_int(s, 4) != 0,
	};
	return 1;
}

int64_t inbound_next_due_ms(const struct inbound *inbound)
{
	return inbound->later_s < 0 ? -1 : inbound->later_s * 1000;
}

/* The one integer that a query answers, fallback if it is null. */
static int inbound_read_integer(struct inbound *inbound, sqlite3_stmt *s, int64_t fallback,
				int64_t *ret_value, struct err *err)
{
	int r = db_step(inbound->db, s, err);

	if (r < 0)
		return r;
	*ret_value = r == 0 || sqlite3_column_type(s, 0) == SQLITE_NULL
			     ? fallback
			     : sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

int inbound_max_seq(struct inbound *inbound, int64_t *ret_seq, struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_MAX_SEQ, &s, err);
	if (r < 0)
		return r;
	db_bind_int(s, ":max_seq", SEQ_MAX);
	return inbound_read_integer(inbound, s, 0, ret_seq, err);
}

int inbound_newest_from(struct inbound *inbound, const char *channel_type, const char *platform_id,
			inbound_acked_fn *is_acked, void *userdata, struct inbound_row *ret_row,
			struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_FROM, &s, err);
	if (r < 0)
		return r;
	db_bind_text(s, ":channel_type", channel_type);
	db_bind_text(s, ":platform_id", platform_id);
	while ((r = db_step(inbound->db, s, err)) > 0) {
		cleanup_free char *id = NULL;

		if (db_column_dup(s, 1, &id, NULL) < 0)
			return err_sys(err, -ENOMEM, "cannot read a message");
		r = is_acked(userdata, id);
		if (r < 0)
			return err_sys(err, r, "cannot read the acknowledgement of %s", id);
		if (r == 0)
			continue;
		r = inbound_read_row(inbound, sqlite3_column_int64(s, 0), ret_row, err);
		sqlite3_reset(s);
		return r < 0 ? r : 1;
	}
	return r;
}

/* Addresses */

static void inbound_destination_deinit(struct inbound_destination *destination)
{
	free(destination->name);
	free(destination->display_name);
	free(destination->channel_type);
	free(destination->platform_id);
}

void inbound_destinations_deinit(struct inbound_destinations *destinations)
{
	for (size_t i = 0; i < destinations->count; i++)
		inbound_destination_deinit(&destinations->rows[i]);
	free(destinations->rows);
	*destinations = (struct inbound_destinations){ .rows = NULL };
}

static int inbound_add_destination(struct inbound_destinations *list, sqlite3_stmt *s)
{
	struct inbound_destination *rows = reallocarray(list->rows, list->count + 1, sizeof(*rows));
	struct inbound_destination row = { .is_agent = sqlite3_column_int(s, 2) != 0 };
	bool has_title = sqlite3_column_bytes(s, 1) > 0;

	if (!rows)
		return -ENOMEM;
	list->rows = rows;
	if (row.is_agent)
		row.channel_type = strdup("agent");
	if (db_column_dup(s, 0, &row.name, NULL) < 0 ||
	    db_column_dup(s, has_title ? 1 : 0, &row.display_name, NULL) < 0 ||
	    (row.is_agent ? !row.channel_type : db_column_dup(s, 3, &row.channel_type, NULL) < 0) ||
	    db_column_dup(s, row.is_agent ? 5 : 4, &row.platform_id, NULL) < 0) {
		inbound_destination_deinit(&row);
		return -ENOMEM;
	}
	rows[list->count++] = row;
	return 0;
}

int inbound_destinations(struct inbound *inbound, struct inbound_destinations *ret_destinations,
			 struct err *err)
{
	struct inbound_destinations list = { .rows = NULL };
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_DESTINATIONS, &s, err);
	while (r >= 0 && (r = db_step(inbound->db, s, err)) > 0)
		if (inbound_add_destination(&list, s) < 0)
			r = err_sys(err, -ENOMEM, "cannot read destinations");
	if (r < 0) {
		inbound_destinations_deinit(&list);
		return r;
	}
	*ret_destinations = list;
	return 0;
}

int inbound_address_copy(sqlite3_stmt *statement, int column, struct inbound_address *ret_address)
{
	struct inbound_address address = { .channel_type = NULL };

	if (db_column_dup(statement, column, &address.channel_type, NULL) < 0 ||
	    db_column_dup(statement, column + 1, &address.platform_id, NULL) < 0 ||
	    db_column_dup(statement, column + 2, &address.thread_id, NULL) < 0) {
		inbound_address_deinit(&address);
		return -ENOMEM;
	}
	*ret_address = address;
	return 0;
}

int inbound_session_address(struct inbound *inbound, struct inbound_address *ret_address,
			    struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_SESSION, &s, err);
	if (r < 0)
		return r;
	r = db_step(inbound->db, s, err);
	if (r <= 0)
		return r;
	r = inbound_address_copy(s, 0, ret_address);
	sqlite3_reset(s);
	return r < 0 ? err_sys(err, r, "cannot read the session's address") : 1;
}

void inbound_address_deinit(struct inbound_address *address)
{
	free(address->channel_type);
	free(address->platform_id);
	free(address->thread_id);
	*address = (struct inbound_address){ .channel_type = NULL };
}
