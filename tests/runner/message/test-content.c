/* SPDX-License-Identifier: MIT */
#include "runner/message/content.h"

#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "tests/test.h"

#define FFFD "\xef\xbf\xbd"

static const char *const names[] = { "text", "prompt", NULL };

static json_t *parsed(const char *content, size_t len)
{
	json_t *value = NULL;

	assert_int_equal(content_parse(content, len, &value), 0);
	assert_non_null(value);
	return value;
}

/* What a person wrote in this content. */
static void assert_words(const char *content, size_t len, const char *expected, size_t expected_len)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *value = parsed(content, len);

	strbuf_puts(&out, ">");
	assert_int_equal(content_append_first(&out, value, names), 0);
	assert_int_equal(out.len, expected_len + 1);
	assert_memory_equal(out.data + 1, expected, expected_len);
}

static void assert_says(const char *content, const char *expected)
{
	assert_words(content, strlen(content), expected, strlen(expected));
}

static void test_objects(void **state)
{
	(void)state;
	assert_says("{\"text\":\"hi\"}", "hi");
	assert_says("{\"text\":\"\",\"prompt\":\"do it\"}", "do it");
	assert_says("{\"prompt\":\"do it\",\"text\":\"hi\"}", "hi");
	assert_says(" { \"text\" : \"hi\" } \n", "hi");
	assert_says("{\"text\":\"a\",\"text\":\"b\"}", "b");
	assert_says("{}", "");
	assert_says("{\"Text\":\"hi\"}", "");
	assert_says("{\"text\":\"caf\\u00e9 \\ud83d\\ude00\"}", "caf\xc3\xa9 \xf0\x9f\x98\x80");
}

static void test_members_of_another_type_are_coerced(void **state)
{
	(void)state;
	assert_says("{\"text\":42}", "42");
	assert_says("{\"text\":-0.5}", "-0.5");
	assert_says("{\"text\":1e21}", "1e+21");
	assert_says("{\"text\":123456789012345678901234567890}", "1.2345678901234568e+29");
	assert_says("{\"text\":true}", "true");
	assert_says("{\"text\":[1, \"a\", null]}", "[1,\"a\",null]");
	assert_says("{\"text\":[]}", "[]");
	assert_says("{\"text\":{\"a\": {}}}", "{\"a\":{}}");
	/* Not there, as JavaScript sees it. */
	assert_says("{\"text\":null,\"prompt\":\"x\"}", "x");
	assert_says("{\"text\":false,\"prompt\":\"x\"}", "x");
	assert_says("{\"text\":0,\"prompt\":\"x\"}", "x");
	assert_says("{\"text\":-0.0,\"prompt\":\"x\"}", "x");
	assert_says("{\"text\":1e999,\"prompt\":\"x\"}", "x");
	assert_says("{\"text\":0,\"prompt\":0}", "");
}

static void test_no_object(void **state)
{
	(void)state;
	assert_says("null", "");
	assert_says("\"hi\"", "hi");
	assert_says("\"\"", "");
	assert_says("42", "42");
	assert_says("0", "0");
	assert_says("true", "true");
	assert_says("false", "false");
	assert_says("[{\"text\":\"hi\"}]", "[{\"text\":\"hi\"}]");
}

static void test_no_json_is_the_text_itself(void **state)
{
	static const char *const texts[] = { "",	  " ",
					     "hello",	  "{\"text\":\"hi\"",
					     "{text:1}",  "{\"text\":\"hi\"} and more",
					     "[1,]",	  "{\"text\":\"hi\"}{}",
					     "'hi'",	  "\xef\xbb\xbf{\"text\":\"hi\"}",
					     "undefined", "NaN",
					     "12 monkeys" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_says(texts[i], texts[i]);
}

static void test_bytes_that_are_no_text(void **state)
{
	(void)state;
	assert_words("a\0b", 3, "a\0b", 3);
	assert_words("\0", 1, "\0", 1);
	assert_says("gr\xfc\xdf", "gr" FFFD FFFD);
	assert_says("\xff", FFFD);
	assert_says("{\"text\":\"\xc3(\"}", FFFD "(");
	assert_says("{\"text\":\"\\ud800x\"}", FFFD "x");
	assert_words("{\"text\":\"a\\u0000b\"}", 19, "a\0b", 3);
	assert_words("{\"text\":\"a\0b\"}", 14, "{\"text\":\"a\0b\"}", 14);
}

static void test_deep_nesting_is_text(void **state)
{
	char *deep = malloc(2 * 100000 + 1);

	(void)state;
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	deep[200000] = '\0';
	assert_says(deep, deep);
	free(deep);
}

static void test_truthy(void **state)
{
	static const struct {
		const char *json;
		bool truthy;
	} rows[] = {
		{ "null", false }, { "false", false }, { "0", false },		{ "-0", false },
		{ "0.0", false },  { "\"\"", false },  { "true", true },	{ "1", true },
		{ "-1", true },	   { "1e-320", true }, { "\"0\"", true },	{ "\" \"", true },
		{ "[]", true },	   { "{}", true },     { "\"\\u0000\"", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_json json_t *value = parsed(rows[i].json, strlen(rows[i].json));

		if (content_is_truthy(value) != rows[i].truthy)
			fail_msg("%s", rows[i].json);
	}
	assert_false(content_is_truthy(NULL));
}

static void test_first(void **state)
{
	static const char content[] = "{\"text\":\"\",\"prompt\":\"p\",\"other\":\"o\"}";
	cleanup_json json_t *value = parsed(content, strlen(content));
	cleanup_json json_t *array = json_array();

	(void)state;
	assert_string_equal(json_string_value(content_first(value, names)), "p");
	assert_null(content_first(value, (const char *const[]){ "text", "missing", NULL }));
	assert_null(content_first(value, (const char *const[]){ NULL }));
	assert_null(content_first(array, names));
	assert_null(content_first(NULL, names));
}

static void test_append_text_of_nothing(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(content_append_text(&out, NULL), 0);
	assert_int_equal(out.len, 0);
}

static void assert_content(const char *text, size_t len, const char *expected)
{
	cleanup_free char *content = NULL;

	assert_int_equal(content_of_text(text, len, &content), 0);
	assert_string_equal(content, expected);
}

static void test_content_of_an_answer(void **state)
{
	(void)state;
	assert_content("hi", 2, "{\"text\":\"hi\"}");
	assert_content("", 0, "{\"text\":\"\"}");
	assert_content("\"\\/<b>&", 7, "{\"text\":\"\\\"\\\\/<b>&\"}");
	assert_content("a\nb\t\r\b\f\x01\x1f\x7f", 10,
		       "{\"text\":\"a\\nb\\t\\r\\b\\f\\u0001\\u001f\x7f\"}");
	assert_content("a\0b", 3, "{\"text\":\"a\\u0000b\"}");
	assert_content("caf\xc3\xa9 \xe2\x80\xa8", 9, "{\"text\":\"caf\xc3\xa9 \xe2\x80\xa8\"}");
	assert_content("\xc3 \xed\xa0\x80", 5, "{\"text\":\"" FFFD " " FFFD FFFD FFFD "\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_members_of_another_type_are_coerced),
		cmocka_unit_test(test_no_object),
		cmocka_unit_test(test_no_json_is_the_text_itself),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_deep_nesting_is_text),
		cmocka_unit_test(test_truthy),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_append_text_of_nothing),
		cmocka_unit_test(test_content_of_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
