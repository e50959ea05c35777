#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A growing text: append, then look at .data (always NUL-terminated once non-NULL) and .len.
 * Failure is sticky: after -ENOMEM every append does nothing, so that one check at the end of a
 * long composition is enough. Owns .data; may hold NUL bytes.
 */
#include <stddef.h>

#include "common/cleanup.h"

struct strbuf {
	char *data;
	size_t len;
	size_t capacity;
	int error; /* 0 or -ENOMEM */
};

#define STRBUF_EMPTY         \
	(struct strbuf)      \
	{                    \
		.data = NULL \
	}

void strbuf_deinit(struct strbuf *b);

/* Forgets the text, keeps the memory and clears a failure. */
void strbuf_reset(struct strbuf *b);

int strbuf_append(struct strbuf *b, const void *bytes, size_t n);
int strbuf_puts(struct strbuf *b, const char *text);
int strbuf_putc(struct strbuf *b, char c);
int strbuf_printf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for n more bytes behind .len (and a NUL), without changing the text. */
int strbuf_reserve(struct strbuf *b, size_t n);

/* Drops the first n bytes. */
void strbuf_consume(struct strbuf *b, size_t n);

/*
 * Hands the text out as a heap string owned by the caller ("" if nothing was appended), and leaves
 * b empty. NULL after a failure.
 */
char *strbuf_steal(struct strbuf *b);

#define cleanup_strbuf CLEANUP(strbuf_deinit)
