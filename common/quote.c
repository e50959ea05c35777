/* SPDX-License-Identifier: MIT */
#include "common/quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

/* C0, DEL, and C1 (U+0080 to U+009F), which terminals obey too. */
static bool quote_is_control(const char *p, size_t sequence)
{
	unsigned char first = (unsigned char)p[0];

	if (sequence == 1)
		return first < 0x20 || first == 0x7f;
	return sequence == 2 && first == 0xc2 && (unsigned char)p[1] < 0xa0;
}

/* Writes one sequence, or one byte that belongs to none; returns where the next goes. */
static char *quote_put(char *to, const char *p, size_t sequence)
{
	static const char letters[] = { ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	unsigned char c = (unsigned char)p[0];

	if (sequence > 0 && !quote_is_control(p, sequence)) {
		if (c == '"' || c == '\\')
			*to++ = '\\';
		memcpy(to, p, sequence);
		return to + sequence;
	}
	if (c < sizeof(letters) && letters[c]) {
		*to++ = '\\';
		*to++ = letters[c];
		return to;
	}
	for (size_t i = 0; i < (sequence ? sequence : 1); i++)
		to += sprintf(to, "\\x%02x", (unsigned char)p[i]);
	return to;
}

const char *quote(char buffer[QUOTE_SIZE], const char *text, size_t len)
{
	size_t shown = utf8_prefix(text, len, QUOTE_MAX);
	char *to = buffer;

	*to++ = '"';
	for (size_t i = 0; i < shown;) {
		size_t sequence = utf8_sequence(text + i, shown - i);

		to = quote_put(to, text + i, sequence);
		i += sequence ? sequence : 1;
	}
	strcpy(to, shown < len ? "...\"" : "\"");
	return buffer;
}
