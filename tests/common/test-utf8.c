/* SPDX-License-Identifier: MIT */
#include "common/utf8.h"

#include <string.h>

#include "common/table.h"
#include "tests/test.h"

static void test_valid(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "", true },
		{ "abc", true },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
		{ "\xed\xa0\x80", false },     /* surrogate */
		{ "\xc0\xaf", false },	       /* overlong */
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xe2\x82", false },
		{ "\xff", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(utf8_is_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid);
}

static void test_mend(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	utf8_append_valid(&out, "a\xff\xc3\xa9\xe2\x82z", 7);
	assert_string_equal(out.data, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz");
}

static void test_prefix_never_cuts_a_character(void **state)
{
	(void)state;
	assert_int_equal(utf8_prefix("abc", 3, 10), 3);
	assert_int_equal(utf8_prefix("abc", 3, 2), 2);
	assert_int_equal(utf8_prefix("a\xf0\x9f\x98\x80", 5, 4), 1);
	assert_int_equal(utf8_prefix("a\xf0\x9f\x98\x80", 5, 1), 1);
	assert_int_equal(utf8_prefix("\xc3\xa9\xc3\xa9", 4, 3), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_mend),
		cmocka_unit_test(test_prefix_never_cuts_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
