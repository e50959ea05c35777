/* SPDX-License-Identifier: MIT */
#include "common/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STRBUF_FIRST_CAPACITY 64

void strbuf_deinit(struct strbuf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = STRBUF_EMPTY;
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

int strbuf_reserve(struct strbuf *b, size_t n)
{
	size_t need, capacity;
	char *data;

	if (b->error)
		return b->error;
	if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, 1, &need))
		return b->error = -ENOMEM;
	if (need <= b->capacity)
		return 0;
	capacity = b->capacity ? b->capacity : STRBUF_FIRST_CAPACITY;
	while (capacity < need)
		if (__builtin_mul_overflow(capacity, 2, &capacity))
			return b->error = -ENOMEM;
	data = realloc(b->data, capacity);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int strbuf_append(struct strbuf *b, const void *bytes, size_t n)
{
	int r = strbuf_reserve(b, n);

	if (r < 0)
		return r;
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int strbuf_puts(struct strbuf *b, const char *text)
{
	return strbuf_append(b, text, strlen(text));
}

int strbuf_putc(struct strbuf *b, char c)
{
	return strbuf_append(b, &c, 1);
}

int strbuf_printf(struct strbuf *b, const char *format, ...)
{
	va_list args, again;
	int n, r;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	r = n < 0 ? (b->error = -ENOMEM) : strbuf_reserve(b, (size_t)n);
	if (r == 0) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return r;
}

void strbuf_consume(struct strbuf *b, size_t n)
{
	if (n >= b->len) {
		strbuf_reset(b);
		return;
	}
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

char *strbuf_steal(struct strbuf *b)
{
	char *text;

	/* Nothing appended: still a string, and terminated. */
	(void)strbuf_append(b, "", 0);
	if (b->error) {
		strbuf_deinit(b);
		return NULL;
	}
	text = b->data;
	*b = STRBUF_EMPTY;
	return text;
}
