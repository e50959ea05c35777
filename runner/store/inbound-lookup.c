/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-lookup.h"

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
