/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* A context row that was met on the walk. */
struct inbound_batch_context {
	int64_t rowid;
	char *id;
	bool odd_time;
	size_t before; /* how many chosen rows stand before it */
};

struct inbound_batch_walk {
	struct inbound *inbound;
	const struct inbound_choice *choice;
	struct inbound_batch batch; /* .rows has room for choice->limit rows */
	struct inbound_batch_context *context;
	size_t context_count;
	bool alone; /* the batch is one row, and stays so */
};

static void inbound_batch_rows_free(struct inbound_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		inbound_row_deinit(&rows[i]);
	free(rows);
}

void inbound_batch_deinit(struct inbound_batch *batch)
{
	inbound_batch_rows_free(batch->rows, batch->count);
	inbound_batch_rows_free(batch->aside, batch->aside_count);
	for (size_t i = 0; i < batch->passed_over_count; i++)
		free(batch->passed_over[i]);
	free(batch->passed_over);
	*batch = (struct inbound_batch){ .next_due_ms = -1 };
}

static void inbound_batch_walk_deinit(struct inbound_batch_walk *walk)
{
	inbound_batch_deinit(&walk->batch);
	for (size_t i = 0; i < walk->context_count; i++)
		free(walk->context[i].id);
	free(walk->context);
}

/* Makes room for one element more in an array of n; it grows at powers of two. */
static void *inbound_batch_grow(void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n ? 2 * n : 1, size);
}

static void inbound_batch_warn(const char *id, bool odd_time)
{
	if (odd_time)
		log_warning("message %s: process_after is no time that SQLite understands: "
			    "it is due now",
			    id);
}

static int inbound_batch_note_context(struct inbound_batch_walk *walk,
				      const struct inbound_due *due)
{
	struct inbound_batch_context *context =
		inbound_batch_grow(walk->context, walk->context_count, sizeof(*context));
	char *id = strdup(due->id);

	if (context)
		walk->context = context;
	if (!context || !id) {
		free(id);
		return -ENOMEM;
	}
	context[walk->context_count++] = (struct inbound_batch_context){
		.rowid = due->rowid,
		.id = id,
		.odd_time = due->odd_time,
		.before = walk->batch.count,
	};
	return 0;
}

static int inbound_batch_put_aside(struct inbound_batch *batch, struct inbound_row *row)
{
	struct inbound_row *aside =
		inbound_batch_grow(batch->aside, batch->aside_count, sizeof(*aside));

	if (!aside) {
		inbound_row_deinit(row);
		return -ENOMEM;
	}
	batch->aside = aside;
	aside[batch->aside_count++] = *row;
	return 0;
}

/* Asks the caller about one due row that wakes, and puts it there. */
static int inbound_batch_consider(struct inbound_batch_walk *walk, const struct inbound_due *due,
				  struct err *err)
{
	struct inbound_batch *batch = &walk->batch;
	struct inbound_row row;
	enum inbound_pick pick;
	int r;

	r = inbound_read_row(walk->inbound, due->rowid, &row, err);
	if (r < 0)
		return r;
	pick = walk->choice->pick(walk->choice->userdata, &row);
	if (pick == INBOUND_LEAVE) {
		batch->more = true;
		inbound_row_deinit(&row);
		return 0;
	}
	inbound_batch_warn(row.id, due->odd_time);
	if (pick == INBOUND_ASIDE)
		return inbound_batch_put_aside(batch, &row) < 0
			       ? err_sys(err, -ENOMEM, "cannot read messages")
			       : 0;
	walk->alone = pick == INBOUND_TAKE_ONLY;
	batch->rows[batch->count++] = row;
	return 0;
}

/* Walks the due rows in order until the batch is full; takes those that wake, notes the context. */
static int inbound_batch_select(struct inbound_batch_walk *walk, struct err *err)
{
	const struct inbound_choice *choice = walk->choice;
	struct inbound_due due;
	int r;

	r = inbound_due_start(walk->inbound, err);
	while (r >= 0 && (r = inbound_due_next(walk->inbound, &due, err)) > 0) {
		r = choice->is_acked(choice->userdata, due.id);
		/* What a container has begun at its start it goes on with, too. */
		if (r == 0 && due.on_wake && !choice->first_look) {
			r = choice->is_begun(choice->userdata, due.id);
			r = r < 0 ? r : !r;
		}
		if (r < 0)
			return err_sys(err, r, "cannot read the acknowledgement of %s", due.id);
		if (r > 0)
			continue;
		if (!due.wakes) {
			if (inbound_batch_note_context(walk, &due) < 0)
				return err_sys(err, -ENOMEM, "cannot read messages");
			continue;
		}
		if (walk->alone || walk->batch.count >= choice->limit) {
			walk->batch.more = true;
			return 0;
		}
		r = inbound_batch_consider(walk, &due, err);
	}
	return r;
}

/* Reads the context rows from number first up to number end. */
static int inbound_batch_read_context(const struct inbound_batch_walk *walk, size_t first,
				      size_t end, struct inbound_row **ret_rows, struct err *err)
{
	struct inbound_row *rows = calloc(end - first + 1, sizeof(*rows));

	if (!rows)
		return err_sys(err, -ENOMEM, "cannot read messages");
	for (size_t i = first; i < end; i++) {
		const struct inbound_batch_context *context = &walk->context[i];
		int r = inbound_read_row(walk->inbound, context->rowid, &rows[i - first], err);

		if (r < 0) {
			inbound_batch_rows_free(rows, i - first);
			return r;
		}
		inbound_batch_warn(context->id, context->odd_time);
	}
	*ret_rows = rows;
	return 0;
}

/* Context before the last chosen row: the newest of it for which there is room joins the batch. */
static int inbound_batch_fill(struct inbound_batch_walk *walk, struct err *err)
{
	struct inbound_batch *batch = &walk->batch;
	size_t room = walk->choice->limit - batch->count, usable = 0, skip, chosen, to;
	struct inbound_row *rows = NULL;
	int r;

	while (usable < walk->context_count && walk->context[usable].before < batch->count)
		usable++;
	if (walk->alone || usable == 0)
		return 0;
	skip = usable > room ? usable - room : 0;
	batch->passed_over = calloc(skip + 1, sizeof(*batch->passed_over));
	if (!batch->passed_over)
		return err_sys(err, -ENOMEM, "cannot read messages");
	r = inbound_batch_read_context(walk, skip, usable, &rows, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < skip; i++)
		batch->passed_over[batch->passed_over_count++] = steal_ptr(walk->context[i].id);
	/* Merged from the back, where there is room. */
	chosen = batch->count;
	to = batch->count += usable - skip;
	for (size_t i = usable; i > skip; i--) {
		while (chosen > walk->context[i - 1].before)
			batch->rows[--to] = batch->rows[--chosen];
		batch->rows[--to] = rows[i - 1 - skip];
	}
	free(rows);
	return 0;
}

int inbound_batch_read(struct inbound *inbound, const struct inbound_choice *choice,
		       struct inbound_batch *ret_batch, struct err *err)
{
	struct inbound_batch_walk walk = {
		.inbound = inbound,
		.choice = choice,
		.batch = { .next_due_ms = -1 },
	};
	int r;

	assert(choice->limit > 0);
	walk.batch.rows = calloc(choice->limit, sizeof(*walk.batch.rows));
	r = walk.batch.rows ? inbound_batch_select(&walk, err)
			    : err_sys(err, -ENOMEM, "cannot read messages");
	if (r == 0 && walk.batch.count > 0)
		r = inbound_batch_fill(&walk, err);
	if (r == 0) {
		walk.batch.next_due_ms = inbound_next_due_ms(inbound);
		*ret_batch = walk.batch;
		walk.batch = (struct inbound_batch){ .rows = NULL };
	}
	inbound_batch_walk_deinit(&walk);
	return r;
}
