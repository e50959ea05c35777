#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What an agent wrote, cut into the blocks that are sent and the scratchpad that is not. Written
 * by a model, so nothing is refused, and where it can be read in two ways nothing is lost.
 *
 * Tags: <message to="name">…</message> and <internal>…</internal>, with case, blanks, line breaks,
 * single or missing quotes and further attributes tolerated. A <message> without `to`, or with a
 * blank one, is text. In a name &amp; &lt; &gt; &quot; are read as what they stand for, since the
 * prompt writes names so; a body is taken as it is.
 *
 *  1. Quoted tags are text: one that stands directly behind the backticks (one or two) of a code
 *     span that ends on the same line, and whatever else is in that span.
 *  2. <internal> and the </internal> that belongs to it are cut with all between them, blocks
 *     included, wherever they stand, in bodies too. Pairs nest.
 *  3. A block ends with the </message> that belongs to it: pairs nest, so an explained block in a
 *     body is part of the body.
 *  4. Behind that end, as long as no further block begins: if a lone </message> follows, the body
 *     runs to the last such one, since the first was only mentioned.
 *  5. A block whose end is missing runs to the last </message> before the next block, else to the
 *     next block, else to the end of the text.
 *  6. An <internal> that never ends: in a body it is text. Outside it hides all that follows: no
 *     block behind it is sent. What follows stays in scratch, though: an answer may be in it, and
 *     when nothing was delivered the agent is asked for it again.
 */
#include <stddef.h>

struct dispatch_block {
	char *to;   /* trimmed, never "" */
	char *body; /* trimmed, never "": an empty block is dropped */
};

struct dispatch {
	struct dispatch_block *blocks;
	size_t count;
	char *scratch; /* text outside of blocks, internals cut, trimmed; "" if none */
};

/*
 * All strings are valid UTF-8; an invalid byte and a NUL become U+FFFD. Takes time in proportion to
 * len, whatever the text. 0 with *ret to be released by dispatch_deinit(); -ENOMEM.
 */
int dispatch_parse(const char *text, size_t len, struct dispatch *ret);

/* Accepts NULL and a zeroed struct. */
void dispatch_deinit(struct dispatch *dispatch);
