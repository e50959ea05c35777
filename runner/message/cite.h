#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Words that somebody else chose (a chat's title, a name, a message), in a text of ours that the
 * agent reads: they stay on their line and between their quotes, and cannot pass for words of ours.
 */
#include <stddef.h>

#include "common/strbuf.h"

/* Appends at most max bytes of the words, on one line. Invalid UTF-8 is mended. */
void cite_line(const char *words, size_t len, size_t max, struct strbuf *out);

/* The same between double quotes, with & < > " written as a prompt writes them. */
void cite_append(const char *words, size_t max, struct strbuf *out);
