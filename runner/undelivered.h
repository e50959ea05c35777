#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the host could not deliver is told to the agent once, with the next messages that it is
 * given: waking it for that would make it send another message that cannot be delivered. How far
 * it was told stands in session_state, so that the next container does not tell it again.
 */
#include <stdint.h>

#include "common/err.h"
#include "runner/outbox.h"
#include "runner/store/inbound-lookup.h"

#define UNDELIVERED_STATE "delivery_failures_told"

struct undelivered;

/* Reads how far it was told. 0 or <0 as outbound_get_state(). */
int undelivered_new(struct outbound *outbound, struct outbox *outbox,
		    struct undelivered **ret_undelivered, struct err *err);
void undelivered_free(struct undelivered *undelivered);

/* For inbound_failures(). */
int64_t undelivered_seen(const struct undelivered *undelivered);

/*
 * Hands note() a text with a line for each failure, oldest first, and remembers that with the next
 * commit.
 * 0; <0 as outbound_read(), and nothing was told.
 */
int undelivered_tell(struct undelivered *undelivered, const struct inbound_failures *failures,
		     const struct inbound_destinations *destinations,
		     void (*note)(void *userdata, const char *text), void *userdata,
		     struct err *err);
