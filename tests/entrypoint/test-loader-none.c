/* SPDX-License-Identifier: MIT */
#include "entrypoint/loader-none.h"

#include <dlfcn.h>

#include "tests/test.h"

/* Linked as in the static binary: whoever calls dlopen gets ours. */
static void test_no_code_is_loaded(void **state)
{
	(void)state;
	assert_null(dlopen("libc.so.6", RTLD_NOW));
	assert_null(dlopen(NULL, RTLD_NOW));
}

/* glibc's word for a place that is not known (elf/dl-origin.c). */
static void test_nobody_asks_where_it_lies(void **state)
{
	(void)state;
	assert_true(__wrap__dl_get_origin() == (const char *)-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_code_is_loaded),
		cmocka_unit_test(test_nobody_asks_where_it_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
