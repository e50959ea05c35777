/* SPDX-License-Identifier: MIT */
#include "runner/message/blank.h"

#include <string.h>

#include "common/table.h"
#include "tests/test.h"

#define NO_BREAK   "\xc2\xa0"
#define ORDER_MARK "\xef\xbb\xbf"

/* ECMA-262, 12.2 and 12.3, with Unicode's category Zs. */
static const char *const blanks[] = {
	"\t",		"\n",		"\v",
	"\f",		"\r",		" ",
	NO_BREAK,	"\xe1\x9a\x80", "\xe2\x80\x80",
	"\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
	"\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
	"\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89",
	"\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9",
	"\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
	ORDER_MARK,
};

/* What looks like one, and is none in JavaScript. */
static const char *const others[] = {
	"a",
	"0",
	"\x08",
	"\x0e",
	"\x1c",
	"\x7f",
	"\xc2\x85",	/* next line */
	"\xe1\xa0\x8e", /* Mongolian vowel separator */
	"\xe2\x80\x8b", /* zero width space */
	"\xe2\x81\xa0", /* word joiner */
	"\xc2",		/* the beginning of one */
	"\xe2\x80",
};

static void test_each_blank_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blanks); i++) {
		size_t n = strlen(blanks[i]);

		assert_int_equal(blank_length(blanks[i], n), n);
		assert_int_equal(blank_length(blanks[i], n - 1), 0);
	}
	assert_int_equal(blank_length(" \t", 2), 1);
}

static void test_nothing_else_is_blank(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(blank_length(others[i], strlen(others[i])), 0);
	assert_int_equal(blank_length("", 1), 0);
	assert_int_equal(blank_length(NULL, 0), 0);
}

static void assert_trimmed(const char *text, size_t len, const char *expected)
{
	blank_trim(&text, &len);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
}

static void test_trim(void **state)
{
	(void)state;
	assert_trimmed("hi", 2, "hi");
	assert_trimmed(" \r\n hi there\t\v ", 15, "hi there");
	assert_trimmed(NO_BREAK ORDER_MARK "hi\xe2\x80\xa8 ", 11, "hi");
	assert_trimmed(" hi", 1, "");
	for (size_t i = 0; i < ARRAY_LEN(blanks); i++)
		assert_trimmed(blanks[i], strlen(blanks[i]), "");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_trimmed(others[i], strlen(others[i]), others[i]);
}

static void test_trim_of_nothing(void **state)
{
	const char *text = NULL;
	size_t len = 0;

	(void)state;
	blank_trim(&text, &len);
	assert_null(text);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_blank_is_known),
		cmocka_unit_test(test_nothing_else_is_blank),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_trim_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
