#pragma once
/* SPDX-License-Identifier: MIT */
/* White space as JavaScript's trim() and \s know it: ASCII, U+00A0, U+FEFF, U+2028, … */
#include <stddef.h>

/* Length in bytes of the blank at p, 0 if none stands there. */
size_t blank_length(const char *p, size_t n);

/* Moves *text and *len so that no blank stands at either end. *text may be NULL if *len is 0. */
void blank_trim(const char **text, size_t *len);
