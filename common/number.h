#pragma once
/* SPDX-License-Identifier: MIT */
/* Numbers from text that a person or a file wrote: the whole text counts, nothing is guessed. */
#include <stdint.h>

/* Decimal integer in [min, max]. 0; -EINVAL: not a number; -ERANGE: outside. */
int number_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);

/*
 * A time span in [0, max_ms]: an integer followed by ms, s, m or h; without a unit it is seconds.
 * 0; -EINVAL; -ERANGE.
 */
int number_parse_span_ms(const char *text, int64_t max_ms, int64_t *ret_ms);
