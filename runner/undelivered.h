#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the host could not deliver is told to the agent once, with the next messages that it is
 * given: waking it for that would make it send another message that cannot be delivered. How far
 * it was told stands in session_state from when these messages are acknowledged: the next container
 * tells it again if it has to take them up again, and only then.
 */
#include <stdint.h>

#include "common/err.h"
#include "runner/store/inbound-lookup.h"
#include "runner/store/outbound.h"

#define UNDELIVERED_STATE "delivery_failures_told"

struct undelivered;

/* Reads how far it was told. 0 or <0 as outbound_get_state(). */
int undelivered_new(struct outbound *outbound, struct undelivered **ret_undelivered,
		    struct err *err);
void undelivered_free(struct undelivered *undelivered);

/* For inbound_failures(). */
int64_t undelivered_seen(const struct undelivered *undelivered);

/*
 * Is handed the text, NULL: there is nothing to say; and what session_state has to say when the
 * agent was told. See turn_note().
 */
typedef void undelivered_note_fn(void *userdata, const char *text,
				 const struct outbound_state *mark);

/*
 * Hands note() a text with a line for each failure, oldest first, and a last one if there were
 * more; does not tell them again.
 * 0; <0 as outbound_read(), and nothing was told.
 */
int undelivered_tell(struct undelivered *undelivered, const struct inbound_failures *failures,
		     const struct inbound_destinations *destinations, undelivered_note_fn *note,
		     void *userdata, struct err *err);
