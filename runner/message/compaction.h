#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What a summary must keep when an agent's conversation grows too long and is summed up: without
 * the tags, their order and the destinations' names the agent could no longer answer anybody.
 */
#include "common/strbuf.h"
#include "runner/store/inbound.h"

/*
 * Appends the instructions for whoever writes the summary, lines of plain text. d may be NULL: the
 * destinations are not known, and the agent is told to go by the tags. 0 or -ENOMEM.
 */
int compaction_compose(const struct inbound_destinations *d, struct strbuf *out);
