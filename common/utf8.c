/* SPDX-License-Identifier: MIT */
#include "common/utf8.h"

/* Unicode 15, table 3-7: the second byte's range depends on the first. */
size_t utf8_sequence(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		len = 2;
	else if (u[0] >= 0xe0 && u[0] <= 0xef)
		len = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (n < len || u[1] < low || u[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool utf8_is_valid(const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = utf8_sequence(text + i, n - i);

		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

int utf8_append_valid(struct strbuf *out, const char *text, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i < n;) {
		size_t len = utf8_sequence(text + i, n - i);

		if (len > 0) {
			i += len;
			continue;
		}
		strbuf_append(out, text + start, i - start);
		strbuf_puts(out, "\xef\xbf\xbd");
		start = ++i;
	}
	return strbuf_append(out, text + start, n - start);
}

size_t utf8_prefix(const char *text, size_t n, size_t limit)
{
	if (n <= limit)
		return n;
	/* At most three continuation bytes stand between limit and the start of its sequence. */
	for (size_t i = 0; i < 3 && limit > 0; i++) {
		if (((unsigned char)text[limit] & 0xc0) != 0x80)
			break;
		limit--;
	}
	return limit;
}
