#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the agent is told besides messages: lines of ours, each put before the next text that it is
 * given, until a text that holds them is acknowledged; and what session_state has to say then, so
 * that nothing is told twice, or never.
 */
#include "common/strbuf.h"
#include "runner/group.h"
#include "runner/store/outbound.h"

struct notes {
	struct strbuf text;
	struct group_mark mark; /* of the last of the lines that has one */
};

#define NOTES_EMPTY ((struct notes){ .text = STRBUF_EMPTY })

void notes_deinit(struct notes *notes);

/* See turn_note(). Out of memory the line is left out; it is told by the next container. */
void notes_add(struct notes *notes, const char *text, const struct outbound_state *mark);

/* The lines stand at the beginning of the group's text: they are told with it. */
void notes_give(struct notes *notes, struct group *group);

/* What was told with this group was not heard: adds it to those. */
void notes_untell(struct notes *untold, struct group *group);
/* Tells them again, before what was added since. Leaves untold empty. */
void notes_put_back(struct notes *notes, struct notes *untold);
