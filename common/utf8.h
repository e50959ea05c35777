#pragma once
/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629) from outside: check it, or mend it with U+FFFD so that it can travel on. */
#include <stdbool.h>
#include <stddef.h>

#include "common/strbuf.h"

/*
 * Length in bytes of the valid sequence at p (1 to 4), or 0 if the byte there starts none.
 * Surrogates, overlong forms and what is above U+10FFFF are invalid.
 */
size_t utf8_sequence(const char *p, size_t n);

bool utf8_is_valid(const char *text, size_t n);

/* Appends text to out with each invalid byte replaced by U+FFFD. 0 or -ENOMEM. */
int utf8_append_valid(struct strbuf *out, const char *text, size_t n);

/* The longest prefix of at most limit bytes that does not cut a sequence. */
size_t utf8_prefix(const char *text, size_t n, size_t limit);
