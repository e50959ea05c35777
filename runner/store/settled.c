/* SPDX-License-Identifier: MIT */
#include "runner/store/settled.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/store/inbound-look.h"
#include "runner/store/outbound-lookup.h"

/* Reading a row's acknowledgement costs several times what reading past it does. */
#define SETTLED_STEP_MIN   1000
#define SETTLED_STEP_SHARE 8

struct settled {
	int64_t from;	 /* rows before this one are settled; INT64_MIN: none is */
	char *id;	 /* of the last of them; NULL: none is */
	int64_t version; /* of outbound.db, as others wrote it */
	int64_t open[SETTLED_OPEN_MAX];
	size_t open_count;
	/* The same for SQL: numbers of equal width. */
	char text[SETTLED_OPEN_MAX * INBOUND_OPEN_WIDTH + 1];
};

int settled_new(struct settled **ret_settled, struct err *err)
{
	struct settled *settled = calloc(1, sizeof(*settled));

	if (!settled)
		return err_sys(err, -ENOMEM, "cannot start the session");
	settled->from = INT64_MIN;
	*ret_settled = settled;
	return 0;
}

void settled_free(struct settled *settled)
{
	if (!settled)
		return;
	free(settled->id);
	free(settled);
}

static void settled_forget(struct settled *settled)
{
	free(steal_ptr(settled->id));
	settled->from = INT64_MIN;
	settled->open_count = 0;
	settled->text[0] = '\0';
}

/* Is all still as it was when it was settled? */
static bool settled_holds(const struct settled *settled, struct inbound *inbound)
{
	cleanup_free char *id = NULL;

	return inbound_read_id(inbound, settled->from - 1, &id, NULL) > 0 &&
	       strcmp(id, settled->id) == 0;
}

void settled_apply(struct settled *settled, struct inbound *inbound, struct outbound *outbound)
{
	int64_t version = -1;

	if (outbound_foreign_version(outbound, &version, NULL) < 0 || version != settled->version ||
	    (settled->id && !settled_holds(settled, inbound)))
		settled_forget(settled);
	settled->version = version;
	inbound_pass_over(inbound, settled->from, settled->text);
}

/* Drops open rows that are acknowledged by now, or gone. */
static int settled_close(struct settled *settled, struct inbound *inbound,
			 struct outbound *outbound)
{
	size_t kept = 0;

	for (size_t i = 0; i < settled->open_count; i++) {
		cleanup_free char *id = NULL;
		int is_final, r = inbound_read_id(inbound, settled->open[i], &id, NULL);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		is_final = outbound_is_final(outbound, id, NULL);
		if (is_final < 0)
			return is_final;
		if (!is_final)
			settled->open[kept++] = settled->open[i];
	}
	settled->open_count = kept;
	return 0;
}

/* Settles the row at which s stands. 1; 0: not this one, and nothing behind it; <0. */
static int settled_take(struct settled *settled, sqlite3_stmt *s, struct outbound *outbound,
			bool busy)
{
	cleanup_free char *id = NULL;
	int64_t row = sqlite3_column_int64(s, 0);
	int r;

	if (row == INT64_MAX || db_column_dup(s, 1, &id, NULL) < 0 || !id)
		return 0;
	r = outbound_is_final(outbound, id, NULL);
	if (r < 0)
		return r;
	if (r == 0 && (busy || settled->open_count == SETTLED_OPEN_MAX))
		return 0;
	if (r == 0)
		settled->open[settled->open_count++] = row;
	free(settled->id);
	settled->id = steal_ptr(id);
	settled->from = row + 1;
	return 1;
}

/* How many rows are worth the time: a share of what is left to be read at each look. */
static int settled_step(const struct settled *settled, struct inbound *inbound, int64_t *ret_max)
{
	int64_t first = settled->from > 0 ? settled->from : 0;
	sqlite3_stmt *s;
	int r = inbound_statement(inbound, INBOUND_SQL_LAST_ROW, &s, NULL);

	if (r == 0)
		r = db_step(inbound_db(inbound), s, NULL);
	if (r <= 0)
		return r;
	*ret_max = sqlite3_column_int64(s, 0);
	*ret_max =
		SETTLED_STEP_MIN + (*ret_max > first ? (*ret_max - first) / SETTLED_STEP_SHARE : 0);
	sqlite3_reset(s);
	return 0;
}

static int settled_walk(struct settled *settled, struct inbound *inbound, struct outbound *outbound,
			bool busy)
{
	int64_t max = SETTLED_STEP_MIN;
	sqlite3_stmt *s;
	int r = busy ? 0 : settled_close(settled, inbound, outbound);

	if (r == 0 && !busy)
		r = settled_step(settled, inbound, &max);
	if (r == 0)
		r = inbound_rows_from(inbound, settled->from, max, &s, NULL);
	if (r < 0)
		return r;
	while ((r = db_step(inbound_db(inbound), s, NULL)) > 0) {
		r = settled_take(settled, s, outbound, busy);
		if (r <= 0)
			break;
	}
	sqlite3_reset(s);
	return r;
}

void settled_advance(struct settled *settled, struct inbound *inbound, struct outbound *outbound,
		     bool busy)
{
	if (settled_walk(settled, inbound, outbound, busy) < 0) {
		settled_forget(settled);
		return;
	}
	settled->text[0] = '\0';
	for (size_t i = 0; i < settled->open_count; i++)
		(void)snprintf(settled->text + i * INBOUND_OPEN_WIDTH, INBOUND_OPEN_WIDTH + 1,
			       "%0*" PRId64, INBOUND_OPEN_WIDTH, settled->open[i]);
}
