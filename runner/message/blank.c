/* SPDX-License-Identifier: MIT */
#include "runner/message/blank.h"

#include <stdbool.h>
#include <string.h>

#include "common/table.h"

/* ECMA-262 WhiteSpace and LineTerminator; each row is one character in UTF-8. */
static const char *const blank_wide[] = {
	"\xc2\xa0",	/* no-break space */
	"\xe1\x9a\x80", /* ogham space mark */
	"\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
	"\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87",
	"\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", /* en quad to hair space */
	"\xe2\x80\xa8",					/* line separator */
	"\xe2\x80\xa9",					/* paragraph separator */
	"\xe2\x80\xaf",					/* narrow no-break space */
	"\xe2\x81\x9f",					/* medium mathematical space */
	"\xe3\x80\x80",					/* ideographic space */
	"\xef\xbb\xbf",					/* byte order mark */
};

size_t blank_length(const char *p, size_t n)
{
	if (n == 0)
		return 0;
	if (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(blank_wide); i++) {
		size_t wide = strlen(blank_wide[i]);

		if (wide <= n && memcmp(p, blank_wide[i], wide) == 0)
			return wide;
	}
	return 0;
}

/* Length of the blank that ends at end, 0 if none does. */
static size_t blank_length_before(const char *start, const char *end)
{
	for (size_t wide = 1; wide <= 3 && wide <= (size_t)(end - start); wide++)
		if (blank_length(end - wide, wide) == wide)
			return wide;
	return 0;
}

void blank_trim(const char **text, size_t *len)
{
	size_t wide;

	if (*len == 0)
		return; /* *text may be NULL */
	while ((wide = blank_length(*text, *len)) > 0) {
		*text += wide;
		*len -= wide;
	}
	while ((wide = blank_length_before(*text, *text + *len)) > 0)
		*len -= wide;
}
