/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_words_take(struct cli_words *words, char *text)
{
	char **items = text && !words->error
			       ? realloc(words->items, (words->count + 2) * sizeof(*items))
			       : NULL;

	if (!items) {
		free(text);
		words->error = -ENOMEM;
		return;
	}
	items[words->count++] = text;
	items[words->count] = NULL;
	words->items = items;
}

void cli_words_add(struct cli_words *words, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	cli_words_take(words, text);
}

void cli_words_copy(struct cli_words *words, const char *const *list)
{
	for (; list && *list; list++)
		cli_words_take(words, strdup(*list));
}

bool cli_words_name(const char *const *list, const char *name)
{
	size_t len = strlen(name);

	for (; list && *list; list++)
		if (strncmp(*list, name, len) == 0 && (*list)[len] == '=')
			return true;
	return false;
}

const char *const *cli_words_list(const struct cli_words *words)
{
	return (const char *const *)words->items;
}

void cli_words_deinit(struct cli_words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		explicit_bzero(words->items[i], strlen(words->items[i]));
		free(words->items[i]);
	}
	free(words->items);
	*words = (struct cli_words)CLI_WORDS_EMPTY;
}
