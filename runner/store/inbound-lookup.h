#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Single rows of inbound.db, by the number or the id that somebody names. Fails as the functions of
 * inbound.h do.
 */
#include <stdbool.h>
#include <stddef.h>
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

/* Of more failures than this at once only the newest are told one by one. */
#define INBOUND_FAILURES_MAX 10
/* Failures are looked for among so many rows of the table, the newest. */
#define INBOUND_DELIVERIES_MAX 1000

/* What the host could not deliver, newest first; ids are of messages_out. */
struct inbound_failures {
	char *ids[INBOUND_FAILURES_MAX];
	size_t count;
	bool more;	/* there are older ones, for which is no room */
	int64_t newest; /* to be handed in the next time; 0: there is none at all */
};

/*
 * The failures since the one with the number seen (0: all), or all if the host began the file anew.
 * The caller deinits *ret_failures.
 */
int inbound_failures(struct inbound *inbound, int64_t seen, struct inbound_failures *ret_failures,
		     struct err *err);
void inbound_failures_deinit(struct inbound_failures *failures);
