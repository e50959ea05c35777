#pragma once
/* SPDX-License-Identifier: MIT */
/* Lists of words in the configuration: NULL-terminated arrays of heap strings. */
#include <jansson.h>
#include <stdbool.h>

/* Is it an array of strings, none of which holds a NUL character? */
bool config_words_are(const json_t *array);

/* A copy of such an array; NULL: out of memory. */
char **config_words_copy(const json_t *array);

/* What stands between blanks, without a meaning of quotes or backslashes; NULL: out of memory. */
char **config_words_split(const char *text);

/* Accepts NULL, and a list that was not finished. */
void config_words_free(char **words);
