#pragma once
/* SPDX-License-Identifier: MIT */
/* Nanoseconds of CLOCK_MONOTONIC, which is the same in every process of the machine. */
#include <time.h>

static inline long long clock_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}
