/* SPDX-License-Identifier: MIT */
#include "common/pages.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

/* Kilobytes of /proc/self/smaps_rollup; -1: the kernel has none. */
static long resident(const char *field)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0)
			(void)sscanf(line + strlen(field), " %ld", &kib);
	if (file)
		(void)fclose(file);
	return kib;
}

static const char *const relocated[] = { "set when the program starts", "and read-only since" };
static int written = 1;

static void test_release(void **state)
{
	long before = resident("Rss:"), after;

	(void)state;
	if (before < 0)
		test_skip("no smaps_rollup: Linux before 4.14, or no /proc");
	written = 7;
	pages_release();
	after = resident("Rss:");
	/* Code runs on, and what was written is there. */
	assert_true(after < before);
	assert_int_equal(written, 7);
	assert_string_equal(relocated[1], "and read-only since");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
