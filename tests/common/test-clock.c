/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

#include <time.h>

#include "tests/test.h"

static void test_monotonic_rises(void **state)
{
	int64_t before = clock_monotonic_ms();

	(void)state;
	nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
	assert_true(clock_monotonic_ms() >= before + 3);
}

static void test_realtime_agrees_with_time(void **state)
{
	int64_t seconds = clock_realtime_ms() / 1000 - (int64_t)time(NULL);

	(void)state;
	assert_in_range(seconds + 1, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotonic_rises),
		cmocka_unit_test(test_realtime_agrees_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
