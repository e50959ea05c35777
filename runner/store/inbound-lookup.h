#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Single rows of inbound.db, by the number or the id that somebody names. Fails as the functions of
 * inbound.h do.
 */
#include <stdint.h>

#include "runner/store/inbound.h"

/* The message of this seq: 1, and its id and address are the caller's; 0: there is none. */
int inbound_find(struct inbound *inbound, int64_t seq, char **ret_id,
		 struct inbound_address *ret_address, struct err *err);

/*
 * What the platform calls a message of ours (messages_out.id) since the host delivered it: 1, and
 * the string is the caller's; 0: not delivered, or the platform has no name for it.
 */
int inbound_delivered_id(struct inbound *inbound, const char *message_out_id, char **ret_id,
			 struct err *err);
