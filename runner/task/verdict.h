#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the script before a task has to say: JSON on the last line of its output, with a boolean
 * wakeAgent and whatever it wants to hand on as data. Reads that line, and runs nothing.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct verdict {
	bool wake;
	json_t *data; /* the caller's reference; NULL: none */
};

/* 0; -EINVAL: err says what is wrong with the line, in words for the log. */
int verdict_read(const char *line, size_t len, struct verdict *ret_verdict, struct err *err);
