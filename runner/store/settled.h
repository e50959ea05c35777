#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How much of messages_in needs no second reading. A host keeps what was answered, and may have no
 * index that tells it from what is due, so that each look would read a long history again. All rows up
 * to one of them are acknowledged for good, but for a few open ones, which a look reads besides.
 *
 * A look finds what it would find without: what a host does to rows behind the last settled one it
 * sees; of those before it only a row with a new id could escape, and no INSERT makes one there. Where
 * rows were renumbered (VACUUM), or the file was replaced, the last settled row has another id; where
 * somebody else wrote to outbound.db, an acknowledgement may be gone: then all is forgotten.
 */
#include "runner/store/inbound.h"
#include "runner/store/outbound.h"

/* Scheduled, paused, cancelled by the host. With more of them the rows behind are read each time. */
#define SETTLED_OPEN_MAX 256

struct settled;

int settled_new(struct settled **ret_settled, struct err *err);
void settled_free(struct settled *settled);

/*
 * At the beginning of a look, and of reads from outbound.db: the look passes over what is settled.
 * Whatever fails only makes it read more. settled has to live as long as the look.
 */
void settled_apply(struct settled *settled, struct inbound *inbound, struct outbound *outbound);

/*
 * At the end of a look: settles a part of what is not, for the looks that come. busy: somebody waits for
 * this look, and only what was answered since the last one is settled, up to the first open row.
 */
void settled_advance(struct settled *settled, struct inbound *inbound, struct outbound *outbound,
		     bool busy);
