#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Finds the tags <message …>, </message>, <internal> and </internal> in what an agent wrote, and
 * which belong together. Knows nothing of what they mean: that is dispatch's. A tag that stands
 * directly behind the opening backticks (one or two) of a code span ending on its line is quoted:
 * neither it nor anything else in that span is found. A tag may be of any length: were a long one
 * text, its end would be taken for another block's.
 */
#include <stdbool.h>
#include <stddef.h>

#define TAG_NONE ((size_t)-1)

enum tag_type { TAG_MESSAGE_OPEN, TAG_MESSAGE_CLOSE, TAG_INTERNAL_OPEN, TAG_INTERNAL_CLOSE };

struct tag {
	enum tag_type type;
	size_t start, end;    /* offsets of its '<' and behind its '>' */
	size_t to, to_length; /* where the value of `to` stands, trimmed; length 0: it has none */
	size_t partner;	      /* index of the tag that it belongs to, or TAG_NONE */
};

/*
 * Pairs nest. What stands between a paired <internal> and its end was cut: messages are paired
 * without it. 0 with a heap array owned by the caller (NULL if there are none); -ENOMEM.
 */
int tag_scan(const char *text, size_t len, struct tag **ret_tags, size_t *ret_count);
