#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Notices that the kernel's OOM killer struck while a turn ran, and says it in words: for the log, and
 * for the user, once in a turn. Where the kernel does not count it notices nothing.
 */
#include <stdbool.h>
#include <stddef.h>

struct shortage;

/* NULL: out of memory. Looks at nothing yet. */
struct shortage *shortage_new(void);
void shortage_free(struct shortage *shortage);

/* A turn begins: what was before is nobody's news. */
void shortage_begin(struct shortage *shortage);

/* Room for what is said. */
#define SHORTAGE_TEXT 256

/* The agent lives. True: something else was killed since the last call, and the user is told text. */
bool shortage_struck(struct shortage *shortage, char text[SHORTAGE_TEXT]);

/* The agent died, as detail says. True: of this; text says it with the limit, for an error. */
bool shortage_ended_agent(struct shortage *shortage, const char *detail, char text[SHORTAGE_TEXT]);
