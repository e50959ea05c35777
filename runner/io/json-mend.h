#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The pass over JSON text from outside that lets jansson take what JavaScript takes. It mends
 * tokens only; whether the text is JSON is for the parser to say. Used by json_parse().
 */
#include <stddef.h>

#include "common/strbuf.h"

/* 0: text is fine as it is; 1: out holds the mended text; -ENOMEM. */
int json_mend(const char *text, size_t len, struct strbuf *out);
