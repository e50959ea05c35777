#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A list of words under construction: the arguments or the environment of an agent CLI. Keys may be
 * among them, so they are overwritten before they are freed.
 */
#include <stdbool.h>
#include <stddef.h>

struct cli_words {
	char **items; /* NULL-terminated; NULL: none yet */
	size_t count;
	int error; /* sticky: -ENOMEM */
};

#define CLI_WORDS_EMPTY       \
	{                     \
		.items = NULL \
	}

void cli_words_deinit(struct cli_words *words);

/* text: a heap string that becomes the list's; NULL: memory ran out. */
void cli_words_take(struct cli_words *words, char *text);
void cli_words_add(struct cli_words *words, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Not by printf, whose buffers would keep a copy of what is secret. */
void cli_words_copy(struct cli_words *words, const char *const *list);

/* Does an entry of this NULL-terminated list, which may be NULL, set the variable? */
bool cli_words_name(const char *const *list, const char *name);

/* As others take it. Borrowed; NULL: it is empty. */
const char *const *cli_words_list(const struct cli_words *words);
