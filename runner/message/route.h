#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Destinations: what the agent calls a place, and the address that the host knows it by. Chooses
 * where an outgoing row goes; never asks the database, all it needs is handed in.
 */
#include <stddef.h>

#include "runner/store/inbound.h"

/*
 * The destination of this name, or the only one that bears it if case is ignored; NULL if there is
 * none. Borrowed from d.
 */
const struct inbound_destination *route_by_name(const struct inbound_destinations *d,
						const char *name);

/* The destination with this address, NULL if there is none or a part of it is NULL or "". */
const struct inbound_destination *route_by_address(const struct inbound_destinations *d,
						   const char *channel_type,
						   const char *platform_id);

/* The newest of the rows (in order) that is from there, NULL if none is. */
const struct inbound_row *route_newest(const struct inbound_destination *from,
				       const struct inbound_row *const *rows, size_t count);

/* The routing columns of an outgoing row; borrowed from what it was made of. NULL: null. */
struct route {
	const char *channel_type;
	const char *platform_id;
	const char *thread_id;
	const char *in_reply_to;
};

/*
 * An answer to a destination: into the thread of the newest row of the turn (rows, in order) with
 * that address, else of older: the newest row with it that was claimed before (NULL: none). If no
 * row came from there: no thread, and turn_in_reply_to (may be NULL).
 */
void route_reply(const struct inbound_destination *to, const struct inbound_row *const *rows,
		 size_t count, const struct inbound_row *older, const char *turn_in_reply_to,
		 struct route *ret);

/* Back to where row came from. */
void route_origin(const struct inbound_row *row, struct route *ret);
