#pragma once
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/test.h"

/* The value of JSON that is written with ' for ", to be freed by the caller; NULL is NULL. */
static inline json_t *test_json(const char *text)
{
	char *copy = text ? strdup(text) : NULL;
	json_t *value = NULL;
	struct err err = { "" };

	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	if (json_parse(copy, strlen(copy), &value, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	free(copy);
	return value;
}
