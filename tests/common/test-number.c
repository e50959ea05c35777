/* SPDX-License-Identifier: MIT */
#include "common/number.h"

#include <errno.h>

#include "common/table.h"
#include "tests/test.h"

static void test_int(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} rows[] = {
		{ "0", 0, 0 },
		{ "42", 0, 42 },
		{ "-5", 0, -5 },
		{ "", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 ", -EINVAL },
		{ "+1", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1.5", -EINVAL },
		{ "-", -EINVAL },
		{ "101", -ERANGE },
		{ "-11", -ERANGE },
		{ "99999999999999999999", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t value = -77;

		assert_int_equal(number_parse_int(rows[i].text, -10, 100, &value), rows[i].result);
		assert_int_equal(value, rows[i].result == 0 ? rows[i].value : -77);
	}
}

static void test_span(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t ms;
	} rows[] = {
		{ "0", 0, 0 },	    { "800ms", 0, 800 }, { "2", 0, 2000 },
		{ "2s", 0, 2000 },  { "3m", 0, 180000 }, { "1h", 0, 3600000 },
		{ "2h", -ERANGE },  { "-1s", -ERANGE },	 { "1d", -EINVAL },
		{ "1 s", -EINVAL }, { "s", -EINVAL },	 { "9223372036854775807h", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ms = -77;

		assert_int_equal(number_parse_span_ms(rows[i].text, 3600000, &ms), rows[i].result);
		assert_int_equal(ms, rows[i].result == 0 ? rows[i].ms : -77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
