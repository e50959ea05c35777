#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the host says of an agent's rights, in the words of `agent-runner confine`: the runner makes
 * them of its configuration, and both halves have to mean the same by them.
 */
#include "common/err.h"
#include "entrypoint/cli.h"

/* More words than this are refused: 64 paths of each kind, 64 ports, and some. */
#define CONFINE_WORDS_MAX 300

/*
 * words: options of confine, NULL-terminated; ret_cli points into them. 0; EXIT_CODE_CONFIG: too many,
 * or they make no sense.
 */
int confine_words_read(const char *const *words, struct cli *ret_cli, struct err *err);
