#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A text from outside as part of a sentence: what somebody gave, shown back so that it can neither
 * pass for words of ours nor make the sentence endless.
 */
#include <stddef.h>

/* The longest text that is shown whole, in bytes; of a longer one the beginning. */
#define QUOTE_MAX 80

/* Room for as many bytes, each written as an escape, with quotes, dots and a NUL. */
#define QUOTE_SIZE (QUOTE_MAX * 4 + 6)

/*
 * Writes text in double quotes into buffer and returns it: a quote and a backslash get a backslash,
 * control characters and invalid UTF-8 are escapes (\n, \x1b), "..." stands for what is cut off.
 */
const char *quote(char buffer[QUOTE_SIZE], const char *text, size_t len);
