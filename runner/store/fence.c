/* SPDX-License-Identifier: MIT */
#include "runner/store/fence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runner/store/outbound-sql.h"

/* What the row says of us. */
enum fence_row {
	FENCE_OURS,
	FENCE_MISSING, /* or of who was here before us */
	FENCE_OTHER,
};

/* Whose name stands there, "" if none does. A longer one is nobody's that we know. */
static int fence_read_name(struct db *db, char name[FENCE_NAME_SIZE], struct err *err)
{
	const char *value = NULL;
	sqlite3_stmt *s;
	int r = db_statement(db, OUTBOUND_SQL_GET_STATE, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":key", FENCE_KEY);
	r = db_step(db, s, err);
	if (r < 0)
		return r;
	if (r > 0)
		value = (const char *)sqlite3_column_text(s, 0);
	(void)snprintf(name, FENCE_NAME_SIZE, "%s", value ? value : "");
	sqlite3_reset(s);
	return 0;
}

int fence_begin(struct fence *fence, struct db *db, struct err *err)
{
	return fence_read_name(db, fence->before, err);
}

static int fence_read(const struct fence *fence, struct db *db, enum fence_row *ret_row,
		      struct err *err)
{
	char name[FENCE_NAME_SIZE];
	int r = fence_read_name(db, name, err);

	if (r < 0)
		return r;
	if (strcmp(name, fence->id) == 0)
		*ret_row = FENCE_OURS;
	else if (!name[0] || (!fence->is_up && strcmp(name, fence->before) == 0))
		*ret_row = FENCE_MISSING;
	else
		*ret_row = FENCE_OTHER;
	return 0;
}

static int fence_lose(struct fence *fence, struct err *err)
{
	if (!fence->is_lost && fence->lost)
		fence->lost(fence->userdata);
	fence->is_lost = true;
	return err_set(err, -ESTALE, "another agent-runner has taken over");
}

int fence_raise(struct fence *fence, struct db *db, struct err *err)
{
	sqlite3_stmt *s;
	int r = db_statement(db, OUTBOUND_SQL_SET_STATE, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":key", FENCE_KEY);
	db_bind_text(s, ":value", fence->id);
	fence->is_rising = true;
	return db_run(db, s, err);
}

int fence_pass(struct fence *fence, struct db *db, struct err *err)
{
	enum fence_row row = FENCE_MISSING;
	int r;

	if (!fence->id[0])
		return 0;
	/* Who has lost it once does not get it back when the host clears the table. */
	if (fence->is_lost)
		return fence_lose(fence, err);
	r = fence_read(fence, db, &row, err);
	if (r < 0 || row == FENCE_OURS)
		return r;
	return row == FENCE_OTHER ? fence_lose(fence, err) : fence_raise(fence, db, err);
}

void fence_settle(struct fence *fence, bool committed)
{
	if (committed && fence->is_rising)
		fence->is_up = true;
	fence->is_rising = false;
}

int fence_look(struct fence *fence, struct db *db, struct err *err)
{
	enum fence_row row = FENCE_OURS;
	int r = 0;

	if (fence->id[0] && !fence->is_lost)
		r = fence_read(fence, db, &row, err);
	if (r < 0)
		return r;
	return fence->is_lost || row == FENCE_OTHER ? fence_lose(fence, err) : 0;
}
