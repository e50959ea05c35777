/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

#include <time.h>

static int64_t clock_ms(clockid_t id)
{
	struct timespec now = { 0 };

	/* Cannot fail: both clocks exist on every kernel that we run on, and now is ours. */
	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

int64_t clock_realtime_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}
