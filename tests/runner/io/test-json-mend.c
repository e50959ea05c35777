/* SPDX-License-Identifier: MIT */
#include "runner/io/json-mend.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "tests/test.h"

/* Mended, or as it was: what the parser is going to see. A copy without a NUL behind it. */
static void check(const char *text, size_t len, const char *expected, size_t expected_len)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	char *exact = malloc(len + 1);
	bool same = len == expected_len && memcmp(text, expected, len) == 0;

	assert_non_null(exact);
	memcpy(exact, text, len);
	exact = realloc(exact, len ? len : 1);
	assert_int_equal(json_mend(exact, len, &out), same ? 0 : 1);
	if (same) {
		assert_int_equal(out.len, 0);
	} else {
		assert_int_equal(out.len, expected_len);
		assert_memory_equal(out.data, expected, expected_len);
	}
	free(exact);
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{ "", "" },
		{ "{}", "{}" },
		{ "[1,-2,3.5,\"x\",null]", "[1,-2,3.5,\"x\",null]" },
		/* UTF-8 */
		{ "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
		{ "\"a\xff"
		  "b\"",
		  "\"a\xef\xbf\xbd"
		  "b\"" },
		{ "\"\xed\xa0\x80\"", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\"\xe2\x82\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\"\xc3", "\"\xef\xbf\xbd" },
		/* surrogates */
		{ "\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\"" },
		{ "\"\\uD83D\\uDE00\"", "\"\\uD83D\\uDE00\"" },
		{ "\"\\ud83d\"", "\"\\ufffd\"" },
		{ "\"\\ude00\"", "\"\\ufffd\"" },
		{ "\"\\ud83dx\"", "\"\\ufffdx\"" },
		{ "\"\\ud83d\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\"" },
		{ "\"\\ude00\\ud83d\"", "\"\\ufffd\\ufffd\"" },
		{ "\"\\ud83d\\\"\"", "\"\\ufffd\\\"\"" },
		{ "\"\\\\ud83d\"", "\"\\\\ud83d\"" },
		{ "\"\\ud83", "\"\\ud83" },
		{ "\"\\", "\"\\" },
		{ "\"\\u+123\"", "\"\\u+123\"" },
		/* NUL in a name; in a value it stays */
		{ "\"\\u0000\"", "\"\\u0000\"" },
		{ "{\"a\\u0000\":1}", "{\"a\\ufffd\":1}" },
		{ "{\"a\\u0000\" \t\r\n:\"\\u0000\"}", "{\"a\\ufffd\" \t\r\n:\"\\u0000\"}" },
		{ "{\"\\\"\\u0000\":1}", "{\"\\\"\\ufffd\":1}" },
		{ "[\"\\u0000\",\":\"]", "[\"\\u0000\",\":\"]" },
		/* numbers */
		{ "9223372036854775807", "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "9223372036854775808", "9223372036854775808e0" },
		{ "[-9223372036854775809,1]", "[-9223372036854775809e0,1]" },
		{ "1e308", "1e308" },
		{ "1e309", "null" },
		{ "{\"a\":-1e999}", "{\"a\":null}" },
		{ "1E+400", "null" },
		{ "1e-400", "1e-400" },
		{ "\"1e999 99999999999999999999\"", "\"1e999 99999999999999999999\"" },
		/* no numbers: left for the parser to refuse */
		{ "1.5.5e999", "1.5.5e999" },
		{ "1-99999999999999999999", "1-99999999999999999999" },
		{ "00000000000000000000001", "00000000000000000000001" },
		{ "-", "-" },
		{ "99999999999999999999x1", "99999999999999999999e0x1" },
		/* no JSON: nothing to mend outside of strings */
		{ "\xff\xff", "\xff\xff" },
		{ "plain words", "plain words" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].text, strlen(rows[i].text), rows[i].expected,
		      strlen(rows[i].expected));
}

static void test_nul_bytes_are_kept(void **state)
{
	(void)state;
	check("\"a\0b\xff\"", 6, "\"a\0b\xef\xbf\xbd\"", 8);
	check("\"a\"\0:", 5, "\"a\"\0:", 5);
}

static void test_number_of_any_length(void **state)
{
	char digits[3000];

	(void)state;
	memset(digits, '9', sizeof(digits));
	check(digits, sizeof(digits), "null", 4);
	digits[1] = '.';
	check(digits, sizeof(digits), digits, sizeof(digits));
}

/* Many strings, each of which is looked through for the colon behind it. */
static void test_long_text(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;

	(void)state;
	for (size_t i = 0; i < 500000; i++)
		strbuf_puts(&text, "\"\"   ");
	assert_int_equal(json_mend(text.data, text.len, &out), 0);
	strbuf_reset(&text);
	for (size_t i = 0; i < 1000000; i++)
		strbuf_puts(&text, "\\\"\xff");
	assert_int_equal(json_mend(text.data, text.len, &out), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_nul_bytes_are_kept),
		cmocka_unit_test(test_number_of_any_length),
		cmocka_unit_test(test_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
