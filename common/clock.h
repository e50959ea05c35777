#pragma once
/* SPDX-License-Identifier: MIT */
/* The two clocks in milliseconds: monotonic for waiting, real time for what others read. */
#include <stdint.h>

/* Milliseconds since some fixed point; never goes back; counts through suspend (CLOCK_BOOTTIME). */
int64_t clock_monotonic_ms(void);

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_realtime_ms(void);
