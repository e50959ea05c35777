/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-lookup.h"

#include <stdlib.h>

#include "runner/store/inbound-look.h"

int inbound_find(struct inbound *inbound, int64_t seq, char **ret_id,
		 struct inbound_address *ret_address, struct err *err)
{
	cleanup_free char *id = NULL;
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_BY_SEQ, &s, err);
	if (r < 0)
		return r;
	db_bind_int(s, ":seq", seq);
	r = db_step(inbound_db(inbound), s, err);
	if (r <= 0)
		return r;
	r = db_column_dup(s, 0, &id, NULL);
	if (r == 0)
		r = inbound_address_copy(s, 1, ret_address);
	sqlite3_reset(s);
	if (r < 0)
		return err_sys(err, r, "cannot read a message");
	*ret_id = steal_ptr(id);
	return 1;
}

int inbound_delivered_id(struct inbound *inbound, const char *message_out_id, char **ret_id,
			 struct err *err)
{
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_DELIVERED_ID, &s, err);
	if (r < 0)
		return r;
	db_bind_text(s, ":id", message_out_id);
	r = db_step(inbound_db(inbound), s, err);
	if (r <= 0)
		return r;
	r = db_column_dup(s, 0, ret_id, NULL);
	sqlite3_reset(s);
	return r < 0 ? err_sys(err, r, "cannot read a delivery") : 1;
}

void inbound_failures_deinit(struct inbound_failures *failures)
{
	for (size_t i = 0; i < failures->count; i++)
		free(failures->ids[i]);
	*failures = (struct inbound_failures){ .count = 0 };
}

int inbound_failures(struct inbound *inbound, int64_t seen, struct inbound_failures *ret_failures,
		     struct err *err)
{
	struct inbound_failures list = { .count = 0 };
	sqlite3_stmt *s;
	int r;

	r = inbound_statement(inbound, INBOUND_SQL_FAILURES, &s, err);
	if (r < 0)
		return r;
	/* One more than there is room for: is it all? */
	db_bind_int(s, ":max", INBOUND_FAILURES_MAX + 1);
	db_bind_int(s, ":newest", INBOUND_DELIVERIES_MAX);
	while ((r = db_step(inbound_db(inbound), s, err)) > 0) {
		int64_t number = sqlite3_column_int64(s, 0);

		if (list.newest == 0)
			list.newest = number;
		/* A newest one that is older than what was seen: the host began anew. */
		if (number == seen || (number < seen && list.newest > seen))
			break;
		list.more = list.count == INBOUND_FAILURES_MAX;
		if (list.more)
			break;
		r = db_column_dup(s, 1, &list.ids[list.count], NULL);
		if (r < 0) {
			err_sys(err, r, "cannot read a delivery");
			break;
		}
		list.count++;
	}
	sqlite3_reset(s);
	if (r < 0) {
		inbound_failures_deinit(&list);
		return r;
	}
	*ret_failures = list;
	return 0;
}
