/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-find.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "tests/test.h"

static void test_check(void **state)
{
	(void)state;
	assert_int_equal(cli_find_check("/bin/sh"), 0);
	assert_int_equal(cli_find_check("/nonexistent/sh"), -ENOENT);
	assert_int_equal(cli_find_check("/bin"), -EACCES);
	assert_int_equal(cli_find_check("/etc/passwd"), -EACCES);
}

static void test_in_path(void **state)
{
	cleanup_free char *path = NULL, *none = NULL;

	(void)state;
	setenv("PATH", "/nonexistent::/etc:/bin", 1);
	assert_int_equal(cli_find_in_path("sh", &path), 0);
	assert_string_equal(path, "/bin/sh");
	/* It is in /etc, and no program. */
	assert_int_equal(cli_find_in_path("passwd-", &none), -ENOENT);
	setenv("PATH", "", 1);
	assert_int_equal(cli_find_in_path("sh", &none), -ENOENT);
	unsetenv("PATH");
	assert_int_equal(cli_find_in_path("sh", &none), -ENOENT);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_in_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
