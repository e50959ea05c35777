#pragma once
/* SPDX-License-Identifier: MIT */
/* cmocka wants these four before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * Skips the test that runs, which is a failure if MUST_WORK=1: meson does not see that a part of a
 * program was skipped, and tests/run.py could not count it.
 */
#define test_skip(why)                                                             \
	do {                                                                       \
		const char *must_work = getenv("MUST_WORK");                       \
                                                                                   \
		if (must_work && strcmp(must_work, "1") == 0)                      \
			fail_msg("MUST_WORK=1, but it would be skipped: %s", why); \
		skip();                                                            \
	} while (0)
