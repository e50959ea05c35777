#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The command line of `ncl`, which is not ours to define: what a command or a key means is known to
 * the host alone, so nothing but its form is checked.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

/* More than this is not sent, in bytes of all words together. */
#define NCL_WORDS_MAX (1024 * 1024)

struct ncl_words {
	char *command; /* "groups-config-get" */
	json_t *args;  /* an object: texts, and true for a flag */
	bool json;     /* --json: the whole frame is wanted */
};

/* A result of ncl_words_parse(): how it is used is asked for. */
#define NCL_WORDS_HELP 1

/*
 * words: what stands behind "ncl", NULL-terminated; NULL: nothing. What is not UTF-8 is mended; of
 * a key that occurs twice the last counts.
 * 0, and the content is the caller's; NCL_WORDS_HELP; -EINVAL: err says which word is wrong;
 * -E2BIG; or -ENOMEM.
 */
int ncl_words_parse(char *const *words, struct ncl_words *ret_words, struct err *err);

void ncl_words_deinit(struct ncl_words *words);
