#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The ledger of an answer: what was delivered since the last one, by block or by a tool. The final
 * result repeats the last message's text, and models repeat what they sent by a tool; neither is
 * sent twice. Blocks count: one that was meant twice is sent twice.
 */
#include <stdbool.h>

struct delivered;

struct delivered *delivered_new(void);
void delivered_free(struct delivered *delivered);
void delivered_clear(struct delivered *delivered);

/* A block was delivered. Out of memory it is forgotten, and may be sent again. */
void delivered_add(struct delivered *delivered, const char *to, const char *body);

/*
 * A tool delivered it into this thread (NULL: none): no block of this answer that goes there repeats
 * it, however often it stands there.
 */
void delivered_add_sent(struct delivered *delivered, const char *to, const char *thread,
			const char *body);
/* Did a tool deliver this block, which goes into this thread? */
bool delivered_was_sent(const struct delivered *delivered, const char *to, const char *thread,
			const char *body);

/* The same, once for each time that it was delivered: it is forgotten with that. */
bool delivered_take_sent(struct delivered *delivered, const char *to, const char *thread,
			 const char *body);

/* What follows repeats, as a whole or in part, what was delivered before this call. */
void delivered_expect(struct delivered *delivered);

/* Nothing is repeated any more. */
void delivered_expect_none(struct delivered *delivered);

/* Is this block a repetition? Each block from before delivered_expect() is repeated once. */
bool delivered_repeats(struct delivered *delivered, const char *to, const char *body);
