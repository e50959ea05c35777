/* SPDX-License-Identifier: MIT */
#include "common/err.h"

#include <errno.h>
#include <string.h>

#include "tests/test.h"

static void test_set(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, -EINVAL, "line %d", 7), -EINVAL);
	assert_string_equal(err.text, "line 7");
	assert_int_equal(err_set(NULL, -EIO, "dropped"), -EIO);
}

static void test_sys_names_the_errno(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_sys(&err, -ENOENT, "open %s", "/x"), -ENOENT);
	assert_string_equal(err.text, "open /x: No such file or directory");
}

static void test_prefix(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, -EIO, "inner");
	assert_int_equal(err_prefix(&err, -EIO, "outer %d", 1), -EIO);
	assert_string_equal(err.text, "outer 1: inner");
}

static void test_long_text_is_cut(void **state)
{
	char text[2 * ERR_TEXT_MAX];
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_sys(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_prefix(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys_names_the_errno),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_long_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
