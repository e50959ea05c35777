/* SPDX-License-Identifier: MIT */
#include "runner/store/outbound.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "runner/store/db.h"
#include "runner/store/fence.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound-look.h"
#include "runner/store/seq.h"

#define OUTBOUND_LEGACY_KEY "sdk_session_id"
#define OUTBOUND_SEQ_TRIES  5

struct outbound {
	struct db *db;
	struct fence fence;
	char *inbound_path;
	int64_t inbound_seq;	/* the largest seen there: what counts while it cannot be read */
	bool is_damaged;	/* SQLite said so */
	int busy_ms;		/* how long a statement waits for a lock */
	char *in_reply_to;	/* as committed; NULL: never */
	char *next_in_reply_to; /* about to be committed */
};

struct db *outbound_db(struct outbound *outbound)
{
	return outbound->db;
}

static void outbound_note_seq(struct outbound *outbound, struct inbound *inbound)
{
	int64_t seq;

	if (inbound_max_seq(inbound, &seq, NULL) == 0 && seq > outbound->inbound_seq)
		outbound->inbound_seq = seq;
}

void outbound_see_inbound(struct outbound *outbound, struct inbound *inbound)
{
	if (outbound->inbound_seq == 0)
		outbound_note_seq(outbound, inbound);
}

static void outbound_look_at_inbound(struct outbound *outbound)
{
	cleanup_inbound struct inbound *inbound = NULL;

	if (inbound_open(outbound->inbound_path, &inbound, NULL) == 0)
		outbound_note_seq(outbound, inbound);
}

int outbound_open(const char *path, const char *inbound_path, struct outbound **ret_outbound,
		  struct err *err)
{
	const struct db_options options = {
		.mode = DB_WRITE,
		.busy_timeout_ms = OUTBOUND_START_MS,
		.sql = outbound_sql_texts(),
		.sql_count = OUTBOUND_SQL_QUERIES,
	};
	struct outbound *outbound = calloc(1, sizeof(*outbound));
	int r = -ENOMEM;

	if (!outbound || !(outbound->inbound_path = strdup(inbound_path))) {
		outbound_close(outbound);
		return err_sys(err, -ENOMEM, "%s", path);
	}
	r = db_open(path, &options, &outbound->db, err);
	if (r == 0) {
		r = outbound_sql_set_up(outbound->db, err);
		if (r < 0)
			err_prefix(err, r, "%s", path);
	}
	if (r < 0) {
		outbound_close(outbound);
		return r;
	}
	outbound->busy_ms = OUTBOUND_BUSY_MS;
	outbound_wait_for_nobody(outbound, false);
	/* Known from the last container on; where it cannot be read, from the next claim on. */
	(void)outbound_get_state(outbound, OUTBOUND_IN_REPLY_TO, &outbound->in_reply_to, NULL);
	*ret_outbound = outbound;
	return 0;
}

void outbound_close(struct outbound *outbound)
{
	if (!outbound)
		return;
	db_close(outbound->db);
	free(outbound->inbound_path);
	free(outbound->in_reply_to);
	free(outbound->next_in_reply_to);
	free(outbound);
}

void outbound_started(struct outbound *outbound)
{
	outbound_wait_for_nobody(outbound, false);
}

void outbound_hurry(struct outbound *outbound)
{
	outbound->busy_ms = OUTBOUND_HURRY_MS;
	db_wait_for(outbound->db, outbound->busy_ms);
}

void outbound_wait_for_nobody(struct outbound *outbound, bool on)
{
	db_wait_for(outbound->db, on ? 0 : outbound->busy_ms);
}

const char *outbound_lost(struct outbound *outbound)
{
	if (db_has_moved(outbound->db))
		return "it was deleted or replaced";
	if (outbound->is_damaged)
		return "it is damaged";
	return outbound_sql_lacks_table(outbound->db) ? "it lacks a table" : NULL;
}

const char *outbound_in_reply_to(const struct outbound *outbound)
{
	return outbound->in_reply_to;
}

static int outbound_run(struct outbound *outbound, enum outbound_sql query, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound->db, query, &s, err);

	return r < 0 ? r : db_run(outbound->db, s, err);
}

/*
 * Begins a transaction that writes. -ESTALE: the folder is another's by now. The mode of the file is
 * ours to keep: the host's view of WAL may be frozen.
 */
static int outbound_begin(struct outbound *outbound, struct err *err)
{
	int r = outbound_run(outbound, OUTBOUND_SQL_BEGIN, err);

	if (r == 0)
		r = db_leave_wal(outbound->db, err);
	if (r > 0)
		r = outbound_run(outbound, OUTBOUND_SQL_BEGIN, err);
	return r < 0 ? r : fence_pass(&outbound->fence, outbound->db, err);
}

/* Ends the transaction: commits if r is 0, else takes everything back and returns r. */
static int outbound_end(struct outbound *outbound, int r, struct err *err)
{
	sqlite3_stmt *s;

	if (r == 0)
		r = db_statement(outbound->db, OUTBOUND_SQL_COMMIT, &s, err);
	if (r == 0)
		r = db_commit(outbound->db, s, err);
	fence_settle(&outbound->fence, r == 0);
	if (r == 0 && outbound->next_in_reply_to) {
		free(outbound->in_reply_to);
		outbound->in_reply_to = steal_ptr(outbound->next_in_reply_to);
	}
	free(steal_ptr(outbound->next_in_reply_to));
	/* After some failures SQLite has rolled back by itself. */
	if (r < 0 && !sqlite3_get_autocommit(db_handle(outbound->db)))
		(void)outbound_run(outbound, OUTBOUND_SQL_ROLLBACK, NULL);
	outbound->is_damaged |= r == -EBADMSG;
	return r < 0 ? err_prefix(err, r, "cannot write outbound.db") : 0;
}

/* Runs a statement that knows nothing but :id for each of them. */
static int outbound_each(struct outbound *outbound, const struct outbound_ids *ids,
			 enum outbound_sql query, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->count; i++) {
		sqlite3_stmt *s;

		r = db_statement(outbound->db, query, &s, err);
		if (r < 0)
			break;
		db_bind_text(s, ":id", ids->ids[i]);
		r = db_run(outbound->db, s, err);
	}
	return r;
}

static int outbound_ack(struct outbound *outbound, const struct outbound_ids *ids,
			const char *status, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->count; i++) {
		sqlite3_stmt *s;

		r = db_statement(outbound->db, OUTBOUND_SQL_ACK, &s, err);
		if (r < 0)
			break;
		db_bind_text(s, ":id", ids->ids[i]);
		db_bind_text(s, ":status", status);
		r = db_run(outbound->db, s, err);
	}
	return r;
}

/* Acknowledged for good: nobody asks for the attempts any more. */
static int outbound_conclude(struct outbound *outbound, const struct outbound_ids *ids,
			     const char *status, struct err *err)
{
	int r = outbound_ack(outbound, ids, status, err);

	if (r == 0)
		r = outbound_each(outbound, ids, OUTBOUND_SQL_END_ATTEMPTS, err);
	/* Together with those that shared their turn: until then they tell who that was. */
	if (r == 0 && ids->count > 0)
		r = outbound_run(outbound, OUTBOUND_SQL_FORGET_ATTEMPTS, err);
	return r;
}

/* Their claims end, and they are due again. */
static int outbound_give_back(struct outbound *outbound, const struct outbound_ids *ids,
			      bool excused, struct err *err)
{
	int r = outbound_each(outbound, ids, OUTBOUND_SQL_GIVE_BACK, err);

	if (r < 0)
		return r;
	return outbound_each(outbound, ids, excused ? OUTBOUND_SQL_EXCUSE : OUTBOUND_SQL_BREAK_OFF,
			     err);
}

static int outbound_keep_outputs(struct outbound *outbound, const struct outbound_state *outputs,
				 size_t count, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		sqlite3_stmt *s;

		r = db_statement(outbound->db, OUTBOUND_SQL_KEEP_OUTPUT, &s, err);
		if (r < 0)
			break;
		db_bind_text(s, ":id", outputs[i].key);
		db_bind_text(s, ":output", outputs[i].value);
		r = db_run(outbound->db, s, err);
	}
	return r;
}

static int outbound_write_state(struct outbound *outbound, const char *key, const char *value,
				struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = db_statement(outbound->db, value ? OUTBOUND_SQL_SET_STATE : OUTBOUND_SQL_DELETE_STATE,
			 &s, err);
	if (r < 0)
		return r;
	db_bind_text(s, ":key", key);
	if (value)
		db_bind_text(s, ":value", value);
	if (value && strcmp(key, OUTBOUND_IN_REPLY_TO) == 0) {
		free(outbound->next_in_reply_to);
		outbound->next_in_reply_to = strdup(value);
	}
	return db_run(outbound->db, s, err);
}

bool outbound_let_go(struct outbound *outbound)
{
	return db_let_go(outbound->db);
}

void outbound_begin_reads(struct outbound *outbound)
{
	(void)outbound_run(outbound, OUTBOUND_SQL_BEGIN_READS, NULL);
}

void outbound_end_reads(struct outbound *outbound)
{
	if (!sqlite3_get_autocommit(db_handle(outbound->db)))
		(void)outbound_run(outbound, OUTBOUND_SQL_COMMIT, NULL);
}

int outbound_has_ack(struct outbound *outbound, const char *id, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound->db, OUTBOUND_SQL_HAS_ACK, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":id", id);
	r = db_step(outbound->db, s, err);
	outbound->is_damaged |= r == -EBADMSG;
	/* A statement left open would hold the shared lock. */
	sqlite3_reset(s);
	return r;
}

static int outbound_begin_attempts(struct outbound *outbound, const struct outbound_ids *ids,
				   struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->count; i++) {
		sqlite3_stmt *s;

		r = db_statement(outbound->db, OUTBOUND_SQL_BEGIN_ATTEMPT, &s, err);
		if (r < 0)
			break;
		db_bind_text(s, ":id", ids->ids[i]);
		db_bind_text(s, ":turn", ids->ids[0]);
		r = db_run(outbound->db, s, err);
	}
	return r;
}

int outbound_claim(struct outbound *outbound, const struct outbound_ids *ids,
		   const char *in_reply_to, struct err *err)
{
	int r = outbound_begin(outbound, err);

	if (r == 0)
		r = outbound_ack(outbound, ids, "processing", err);
	if (r == 0)
		r = outbound_begin_attempts(outbound, ids, err);
	if (r == 0 && in_reply_to)
		r = outbound_write_state(outbound, OUTBOUND_IN_REPLY_TO, in_reply_to, err);
	return outbound_end(outbound, r, err);
}

/* Gives all claims back. attempts: what becomes of the attempts that run. */
static int outbound_drop_claims(struct outbound *outbound, enum outbound_sql attempts,
				struct err *err)
{
	int r = outbound_run(outbound, attempts, err);

	if (r == 0)
		r = outbound_run(outbound, OUTBOUND_SQL_RELEASE, err);
	return r < 0 ? r : outbound_run(outbound, OUTBOUND_SQL_CLEAR_TOOL, err);
}

int outbound_release(struct outbound *outbound, struct err *err)
{
	int r = outbound_begin(outbound, err);

	if (r == 0)
		r = outbound_drop_claims(outbound, OUTBOUND_SQL_EXCUSE_ALL, err);
	return outbound_end(outbound, r, err);
}

/* 1: a loop before this one was killed at work; 0: it was not. */
static int outbound_has_leftovers(struct outbound *outbound, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(outbound->db, OUTBOUND_SQL_HAS_LEFTOVERS, &s, err);

	if (r == 0)
		r = db_step(outbound->db, s, err);
	if (r <= 0)
		return r;
	r = sqlite3_column_int(s, 0);
	sqlite3_reset(s);
	return r;
}

int outbound_take_over(struct outbound *outbound, bool is_alone, struct err *err)
{
	struct fence *fence = &outbound->fence;
	bool raises = !is_alone;
	int r;

	outbound_make_id("run", fence->id);
	db_wait_for(outbound->db, OUTBOUND_START_MS);
	r = outbound_run(outbound, OUTBOUND_SQL_BEGIN, err);
	if (r == 0)
		r = fence_begin(fence, outbound->db, err);
	if (r == 0)
		r = outbound_has_leftovers(outbound, err);
	if (r > 0) {
		raises = true;
		r = outbound_drop_claims(outbound, OUTBOUND_SQL_BREAK_OFF_ALL, err);
	}
	/* Alone, it comes with the first commit that there is anyway: one costs milliseconds. */
	if (r == 0 && raises)
		r = fence_raise(fence, outbound->db, err);
	return outbound_end(outbound, r, err);
}

void outbound_on_taken(struct outbound *outbound, void (*lost)(void *userdata), void *userdata)
{
	outbound->fence.lost = lost;
	outbound->fence.userdata = userdata;
}

bool outbound_is_taken(struct outbound *outbound)
{
	return fence_look(&outbound->fence, outbound->db, NULL) == -ESTALE;
}

void outbound_make_id(const char *prefix, char id[OUTBOUND_ID_SIZE])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	unsigned char bytes[6];
	char suffix[7] = "";

	/* Cannot fail for so few bytes once the kernel's pool is seeded (getrandom(2)). */
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		memset(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		suffix[i] = digits[bytes[i] % (sizeof(digits) - 1)];
	(void)snprintf(id, OUTBOUND_ID_SIZE, "%s-%" PRId64 "-%s", prefix, clock_realtime_ms(),
		       suffix);
}

/* The next odd number above both databases' largest seq. */
static int outbound_next_seq(struct outbound *outbound, int64_t *ret_seq, struct err *err)
{
	int64_t largest = outbound->inbound_seq;
	sqlite3_stmt *s;
	int r = db_statement(outbound->db, OUTBOUND_SQL_MAX_SEQ, &s, err);

	if (r < 0)
		return r;
	db_bind_int(s, ":max", SEQ_MAX);
	r = db_step(outbound->db, s, err);
	if (r < 0)
		return r;
	if (r > 0 && sqlite3_column_int64(s, 0) > largest)
		largest = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	*ret_seq = (largest + 1) | 1;
	return 0;
}

static int outbound_insert_as(struct outbound *outbound, const struct outbound_message *message,
			      int64_t seq, struct err *err)
{
	sqlite3_stmt *s;
	char id[OUTBOUND_ID_SIZE];
	int r = db_statement(outbound->db, OUTBOUND_SQL_INSERT, &s, err);

	if (r < 0)
		return r;
	if (!message->id)
		outbound_make_id("msg", id);
	db_bind_text(s, ":id", message->id ? message->id : id);
	db_bind_int(s, ":seq", seq);
	db_bind_text(s, ":in_reply_to", message->in_reply_to);
	db_bind_text(s, ":kind", message->kind);
	db_bind_text(s, ":platform_id", message->platform_id);
	db_bind_text(s, ":channel_type", message->channel_type);
	db_bind_text(s, ":thread_id", message->thread_id);
	db_bind_text(s, ":content", message->content);
	return db_run(outbound->db, s, err);
}

static int outbound_insert(struct outbound *outbound, const struct outbound_message *message,
			   int64_t *ret_seq, struct err *err)
{
	int64_t seq;
	int r = outbound_next_seq(outbound, &seq, err);

	if (r < 0)
		return r;
	/* The host writes rows of its own now and then: with a collision the next number is tried. */
	for (int i = 0; i < OUTBOUND_SEQ_TRIES; i++, seq += 2) {
		r = outbound_insert_as(outbound, message, seq, err);
		if (r != -EEXIST)
			break;
	}
	if (r == 0 && ret_seq)
		*ret_seq = seq;
	return r;
}

int outbound_commit(struct outbound *outbound, const struct outbound_commit *commit,
		    struct err *err)
{
	int r = outbound_begin(outbound, err);

	if (r == 0 && commit->message_count > 0)
		outbound_look_at_inbound(outbound);
	for (size_t i = 0; r == 0 && i < commit->message_count; i++)
		r = outbound_insert(outbound, &commit->messages[i],
				    commit->ret_seqs ? &commit->ret_seqs[i] : NULL, err);
	if (r == 0)
		r = outbound_conclude(outbound, &commit->completed, "completed", err);
	if (r == 0)
		r = outbound_conclude(outbound, &commit->failed, "failed", err);
	if (r == 0)
		r = outbound_give_back(outbound, &commit->given_back, false, err);
	if (r == 0)
		r = outbound_give_back(outbound, &commit->excused, true, err);
	if (r == 0)
		r = outbound_keep_outputs(outbound, commit->outputs, commit->output_count, err);
	for (size_t i = 0; r == 0 && i < commit->state_count; i++)
		r = outbound_write_state(outbound, commit->states[i].key, commit->states[i].value,
					 err);
	return outbound_end(outbound, r, err);
}

int outbound_get_state(struct outbound *outbound, const char *key, char **ret_value,
		       struct err *err)
{
	sqlite3_stmt *s;
	char *value;
	int r = db_statement(outbound->db, OUTBOUND_SQL_GET_STATE, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":key", key);
	r = db_step(outbound->db, s, err);
	if (r <= 0)
		return r;
	r = db_column_dup(s, 0, &value, NULL);
	sqlite3_reset(s);
	if (r < 0)
		return err_sys(err, r, "cannot read %s", key);
	if (!value)
		return 0;
	*ret_value = value;
	return 1;
}

int outbound_set_tool(struct outbound *outbound, const char *tool, int64_t timeout_ms,
		      int64_t started_ms, struct err *err)
{
	char started[sizeof("2026-01-01T00:00:00.000Z") + 16];
	time_t seconds = (time_t)(started_ms / 1000);
	struct tm utc;
	sqlite3_stmt *s;
	int r;

	if (!tool) {
		r = outbound_begin(outbound, err);
		if (r == 0)
			r = outbound_run(outbound, OUTBOUND_SQL_CLEAR_TOOL, err);
		return outbound_end(outbound, r, err);
	}
	r = outbound_begin(outbound, err);
	if (r == 0)
		r = db_statement(outbound->db, OUTBOUND_SQL_SET_TOOL, &s, err);
	if (r == 0) {
		db_bind_text(s, ":tool", tool);
		if (timeout_ms >= 0)
			db_bind_int(s, ":timeout", timeout_ms);
		if (started_ms >= 0 && gmtime_r(&seconds, &utc)) {
			size_t n = strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%S", &utc);

			(void)snprintf(started + n, sizeof(started) - n, ".%03dZ",
				       (int)(started_ms % 1000));
			db_bind_text(s, ":started", started);
		}
		r = db_run(outbound->db, s, err);
	}
	return outbound_end(outbound, r, err);
}

void outbound_continuation_key(const char *provider, char key[OUTBOUND_KEY_MAX])
{
	(void)snprintf(key, OUTBOUND_KEY_MAX, "continuation:%s", provider);
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
}

int outbound_continuation(struct outbound *outbound, const char *provider, char **ret_value,
			  struct err *err)
{
	cleanup_free char *legacy = NULL, *value = NULL;
	char key[OUTBOUND_KEY_MAX];
	int has_legacy, has_value, r;
	bool own, adopt;

	outbound_continuation_key(provider, key);
	has_legacy = outbound_get_state(outbound, OUTBOUND_LEGACY_KEY, &legacy, err);
	if (has_legacy < 0)
		return has_legacy;
	has_value = outbound_get_state(outbound, key, &value, err);
	if (has_value < 0)
		return has_value;
	/* A continuation without a character is none. */
	own = has_value && value[0];
	adopt = !own && has_legacy && legacy[0];
	if (has_legacy) {
		r = outbound_begin(outbound, err);
		if (r == 0 && adopt)
			r = outbound_write_state(outbound, key, legacy, err);
		if (r == 0)
			r = outbound_write_state(outbound, OUTBOUND_LEGACY_KEY, NULL, err);
		r = outbound_end(outbound, r, err);
		if (r < 0)
			return r;
	}
	if (!own && !adopt)
		return 0;
	*ret_value = own ? steal_ptr(value) : steal_ptr(legacy);
	return 1;
}
