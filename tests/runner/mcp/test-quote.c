/* SPDX-License-Identifier: MIT */
#include "runner/mcp/quote.h"

#include <string.h>

#include "common/table.h"
#include "tests/test.h"

#define NAME_60 "123456789 123456789 123456789 123456789 123456789 123456789 "

static void test_quote(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ NULL, "\"\"" },
		{ "", "\"\"" },
		{ "casa", "\"casa\"" },
		{ "Käse 🧀", "\"Käse 🧀\"" },
		{ "a \"b\" \\", "\"a \\\"b\\\" \\\\\"" },
		{ "a\nb\tc\x1b[31m\x7f", "\"a\\nb\\u0009c\\u001b[31m\\u007f\"" },
		{ "next\xc2\x85line\xe2\x80\xa8\xe2\x80\xa9", "\"next\\u0085line\\u2028\\u2029\"" },
		{ "\xc2\xa0 is a blank", "\"\xc2\xa0 is a blank\"" },
		{ "bad \xff\xc3", "\"bad \xef\xbf\xbd\xef\xbf\xbd\"" },
		{ NAME_60 "1234", "\"" NAME_60 "1234\"" },
		{ NAME_60 "12345", "\"" NAME_60 "1234…\"" },
		/* No character is cut in two. */
		{ NAME_60 "123ä", "\"" NAME_60 "123…\"" },
	};
	char buffer[QUOTE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(quote(cases[i].text, buffer), cases[i].expected);
}

static void test_longest(void **state)
{
	char text[QUOTE_MAX + 2], buffer[QUOTE_SIZE];

	(void)state;
	memset(text, 1, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(strlen(quote(text, buffer)), QUOTE_SIZE - 1);
	assert_string_equal(buffer + QUOTE_SIZE - sizeof("\\u0001…\""), "\\u0001…\"");
}

static void test_append(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&out, "in ");
	assert_int_equal(quote_append(&out, "a\0b", 3), 0);
	assert_string_equal(out.data, "in \"a\\u0000b\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_append),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
