/* SPDX-License-Identifier: MIT */
#include "common/number.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"

static const struct {
	const char *suffix;
	int64_t ms;
} number_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 },
};

/* strtoll skips blanks and takes a sign and a tail; a number of ours starts with its digits. */
static int number_scan(const char *text, int64_t *ret_value, const char **ret_tail)
{
	const char *digits = *text == '-' ? text + 1 : text;
	char *end;
	long long value;

	if (!isdigit((unsigned char)*digits))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	*ret_value = value;
	*ret_tail = end;
	return 0;
}

int number_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
	const char *tail;
	int64_t value;
	int r;

	r = number_scan(text, &value, &tail);
	if (r < 0)
		return r;
	if (*tail)
		return -EINVAL;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int number_parse_span_ms(const char *text, int64_t max_ms, int64_t *ret_ms)
{
	const char *tail;
	int64_t value;
	int r;

	r = number_scan(text, &value, &tail);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(number_units); i++) {
		if (strcmp(tail, number_units[i].suffix) != 0)
			continue;
		if (value < 0 || value > max_ms / number_units[i].ms)
			return -ERANGE;
		*ret_ms = value * number_units[i].ms;
		return 0;
	}
	return -EINVAL;
}
