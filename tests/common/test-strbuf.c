/* SPDX-License-Identifier: MIT */
#include "common/strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/test.h"

static void test_append(void **state)
{
	cleanup_strbuf struct strbuf b = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&b, "one");
	strbuf_putc(&b, ' ');
	strbuf_printf(&b, "%d-%s", 2, "two");
	strbuf_append(&b, "\0x", 2);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "one 2-two\0x", 12);
}

static void test_steal_of_nothing_is_a_string(void **state)
{
	struct strbuf b = STRBUF_EMPTY;
	cleanup_free char *text = strbuf_steal(&b);

	(void)state;
	assert_string_equal(text, "");
	assert_null(b.data);
}

static void test_consume(void **state)
{
	cleanup_strbuf struct strbuf b = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&b, "abcdef");
	strbuf_consume(&b, 2);
	assert_string_equal(b.data, "cdef");
	strbuf_consume(&b, 99);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void test_failure_is_sticky(void **state)
{
	cleanup_strbuf struct strbuf b = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&b, "x");
	assert_int_equal(strbuf_reserve(&b, SIZE_MAX - 1), -ENOMEM);
	assert_int_equal(strbuf_puts(&b, "y"), -ENOMEM);
	assert_null(strbuf_steal(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_steal_of_nothing_is_a_string),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_failure_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
