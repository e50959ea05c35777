#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Words of others in texts of ours: in quotes that they cannot end, on one line, and cut where they
 * get long. For errors and answers that a model reads.
 */
#include <stddef.h>

#include "common/strbuf.h"

/* How much of the words is shown, in bytes; what was cut is told by an ellipsis. */
#define QUOTE_MAX 64

/* A byte may become six: \u0001. */
#define QUOTE_SIZE (6 * QUOTE_MAX + sizeof("\"…\""))

/* Appends text in quotes, its control characters and line breaks escaped as in JSON. */
int quote_append(struct strbuf *out, const char *text, size_t len);

/* The same as a string in buffer, which is returned; for printf. text may be NULL: "". */
const char *quote(const char *text, char buffer[QUOTE_SIZE]);
