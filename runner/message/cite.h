#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Names that hosts and strangers chose (a chat's title), made fit to stand in what the agent is
 * told: valid UTF-8 on one line, so that none passes for a line or a tag of ours.
 */
#include <stddef.h>

#include "common/strbuf.h"

/* Appends at most max bytes of the text, its line breaks and control characters as blanks, and an
 * ellipsis if more was there. 0 or -ENOMEM. */
int cite_line(const char *text, size_t len, size_t max, struct strbuf *out);

/* The same between quotes that it cannot end, nor the tag that it stands in. 0 or -ENOMEM. */
int cite_name(const char *name, size_t max, struct strbuf *out);
