#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Cron expressions, as the host's cron-parser (npm, 5.x) reads them. Says whether one is one, and
 * what is wrong with it; never computes a time. What only some releases of 5.x take, and what
 * they take without a meaning, is refused: the host drops such a task's next run without a word.
 *
 * 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds first; in each
 * * or ?, numbers, ranges a-b, steps * /n, a/n and a-b/n, lists of all these, and H, H(a-b), H/n,
 * H(a-b)/n for a value that the host picks. Names JAN to DEC and SUN to SAT, in any case; L as the
 * last day of the month; 5L as its last Friday; 5#2 or FRI#2 as its second. Or @daily and the like.
 */
#include "common/err.h"

/* A longer expression is none, in bytes; cron-parser's own limit. */
#define CRON_LENGTH_MAX 1024

/* 0: it is one; blanks around it do not matter, but with @daily. -EINVAL: err says what is wrong. */
int cron_check(const char *expression, struct err *err);
