/* SPDX-License-Identifier: MIT */
#include "common/quote.h"

#include <string.h>

#include "common/table.h"
#include "tests/test.h"

#define TEN    "0123456789"
#define EIGHTY TEN TEN TEN TEN TEN TEN TEN TEN

static void test_quote(void **state)
{
	static const struct {
		const char *text;
		const char *quoted;
	} rows[] = {
		{ "", "\"\"" },
		{ "0 9 * * 1-5", "\"0 9 * * 1-5\"" },
		{ "say \"no\" to C:\\", "\"say \\\"no\\\" to C:\\\\\"" },
		{ "a\nb\r\tc", "\"a\\nb\\r\\tc\"" },
		{ "\x1b[31mred\x7f\x01", "\"\\x1b[31mred\\x7f\\x01\"" },
		{ "caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"" },
		{ "\xc2\x9b\xc2\xa0", "\"\\xc2\\x9b\xc2\xa0\"" },
		{ "\xff\xc3", "\"\\xff\\xc3\"" },
		{ EIGHTY, "\"" EIGHTY "\"" },
		{ EIGHTY "8", "\"" EIGHTY "...\"" },
	};
	char buffer[QUOTE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(quote(buffer, rows[i].text, strlen(rows[i].text)),
				    rows[i].quoted);
	assert_string_equal(quote(buffer, "a\0b", 3), "\"a\\x00b\"");
}

static void test_cut_between_characters(void **state)
{
	char text[QUOTE_MAX + 3], buffer[QUOTE_SIZE];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text + QUOTE_MAX - 2, "\xf0\x9f\x98\x80", 4);
	assert_string_equal(quote(buffer, text, sizeof(text)) + 1 + QUOTE_MAX - 2, "...\"");
}

/* The longest that it can become fits. */
static void test_size(void **state)
{
	char text[2 * QUOTE_MAX], buffer[QUOTE_SIZE];

	(void)state;
	for (int c = 0; c < 256; c++) {
		memset(text, c, sizeof(text));
		assert_in_range(strlen(quote(buffer, text, sizeof(text))), QUOTE_MAX,
				QUOTE_SIZE - 1);
	}
	memset(text, 0xff, sizeof(text));
	assert_int_equal(strlen(quote(buffer, text, sizeof(text))), QUOTE_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_cut_between_characters),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
