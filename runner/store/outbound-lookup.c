/* SPDX-License-Identifier: MIT */
#include "runner/store/outbound-lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "runner/store/inbound-look.h"
#include "runner/store/outbound-look.h"

int outbound_find(struct outbound *outbound, int64_t seq, char **ret_id,
		  struct inbound_address *ret_address, struct err *err)
{
	cleanup_free char *id = NULL;
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_BY_SEQ, &s, err);

	if (r < 0)
		return r;
	db_bind_int(s, ":seq", seq);
	r = db_step(outbound_db(outbound), s, err);
	if (r <= 0)
		return r;
	r = db_column_dup(s, 0, &id, NULL);
	if (r == 0)
		r = inbound_address_copy(s, 1, ret_address);
	sqlite3_reset(s);
	if (r < 0)
		return err_sys(err, r, "cannot read a message that was sent");
	*ret_id = steal_ptr(id);
	return 1;
}

void outbound_row_deinit(struct outbound_row *row)
{
	free(row->content);
	free(row->channel_type);
	free(row->platform_id);
	*row = (struct outbound_row){ .seq = 0 };
}

int outbound_read(struct outbound *outbound, const char *id, struct outbound_row *ret_row,
		  struct err *err)
{
	struct outbound_row row = { .seq = 0 };
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_BY_ID, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":id", id);
	r = db_step(outbound_db(outbound), s, err);
	if (r <= 0)
		return r;
	row.seq = sqlite3_column_int64(s, 0);
	r = db_column_dup(s, 1, &row.content, NULL);
	if (r == 0)
		r = db_column_dup(s, 2, &row.channel_type, NULL);
	if (r == 0)
		r = db_column_dup(s, 3, &row.platform_id, NULL);
	sqlite3_reset(s);
	if (r < 0) {
		outbound_row_deinit(&row);
		return err_sys(err, r, "cannot read a message that was sent");
	}
	*ret_row = row;
	return 1;
}

void outbound_attempt_deinit(struct outbound_attempt *attempt)
{
	free(steal_ptr(attempt->script_output));
	free(steal_ptr(attempt->turn));
}

int outbound_is_final(struct outbound *outbound, const char *id, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_IS_FINAL, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":id", id);
	r = db_step(outbound_db(outbound), s, err);
	sqlite3_reset(s);
	return r;
}

int outbound_foreign_version(struct outbound *outbound, int64_t *ret_version, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_FOREIGN_VERSION, &s, err);

	if (r == 0)
		r = db_step(outbound_db(outbound), s, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -EIO, "outbound.db has no version");
	*ret_version = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

int outbound_attempt(struct outbound *outbound, const char *id,
		     struct outbound_attempt *ret_attempt, struct err *err)
{
	struct outbound_attempt attempt = { .starts = 0 };
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_GET_ATTEMPT, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":id", id);
	r = db_step(outbound_db(outbound), s, err);
	if (r <= 0)
		return r;
	attempt.starts = sqlite3_column_int64(s, 0);
	attempt.broken = sqlite3_column_int64(s, 1);
	r = db_column_dup(s, 2, &attempt.script_output, NULL);
	if (r == 0)
		r = db_column_dup(s, 3, &attempt.turn, NULL);
	sqlite3_reset(s);
	if (r < 0)
		outbound_attempt_deinit(&attempt);
	if (r < 0)
		return err_sys(err, r, "cannot read the attempts at a message");
	*ret_attempt = attempt;
	return 1;
}

int outbound_sent_for(struct outbound *outbound, const char *id, int limit, outbound_sent_fn *fn,
		      void *userdata, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound_db(outbound), OUTBOUND_SQL_SENT_FOR, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":id", id);
	db_bind_int(s, ":limit", limit);
	while ((r = db_step(outbound_db(outbound), s, err)) > 0) {
		const struct outbound_sent sent = {
			.content = (const char *)sqlite3_column_text(s, 0),
			.channel_type = (const char *)sqlite3_column_text(s, 1),
			.platform_id = (const char *)sqlite3_column_text(s, 2),
			.thread_id = (const char *)sqlite3_column_text(s, 3),
		};

		r = sent.content ? fn(userdata, &sent) : -ENOMEM;
		if (r < 0)
			break;
	}
	sqlite3_reset(s);
	return r;
}

int outbound_oldest_claim(const char *path, struct outbound_claim_age *ret_age, struct err *err)
{
	const struct db_options options = {
		.mode = DB_READ,
		.sql = outbound_sql_texts(),
		.sql_count = OUTBOUND_SQL_QUERIES,
	};
	struct db *db;
	sqlite3_stmt *s;
	int r = db_open(path, &options, &db, err);

	if (r < 0)
		return r;
	r = db_statement(db, OUTBOUND_SQL_OLDEST_CLAIM, &s, err);
	if (r == 0)
		r = db_step(db, s, err);
	if (r > 0 && ret_age)
		*ret_age = (struct outbound_claim_age){
			.count = (size_t)sqlite3_column_int64(s, 0),
			.oldest_s = sqlite3_column_int64(s, 1),
			.tool_timeout_ms = sqlite3_column_int64(s, 2),
		};
	db_close(db);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}
