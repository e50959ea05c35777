/* SPDX-License-Identifier: MIT */
#include "runner/io/json.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"
#include "tests/test.h"

static json_t *parse(const char *text)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(text, strlen(text), &value, NULL), 0);
	return value;
}

/* What JSON.stringify(JSON.parse(text)) makes of it. */
static void test_compact(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{ "null", "null" },
		{ " true ", "true" },
		{ "[]", "[]" },
		{ "{}", "{}" },
		{ "\"\"", "\"\"" },
		{ "{\"b\":[1,{\"c\":false}],\"a\":{}}", "{\"b\":[1,{\"c\":false}],\"a\":{}}" },
		{ "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}" },
		/* strings */
		{ "\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\\u007f\\/\\\\\\\"\"",
		  "\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\x7f/\\\\\\\"\"" },
		{ "\"\\u20ac\\ud83d\\ude00\\u2028\"",
		  "\"\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x80\xa8\"" },
		{ "\"\\ud800\"", "\"\xef\xbf\xbd\"" },
		{ "{\"\\u0000\":1}", "{\"\xef\xbf\xbd\":1}" },
		{ "[\"{\",\"[\"]", "[\"{\",\"[\"]" },
		/* members that look like array indices come first */
		{ "{\"b\":1,\"10\":2,\"9\":3,\"01\":4,\"a\":5,\"4294967295\":6,\"4294967294\":7,"
		  "\"-1\":8,\"1.5\":9,\"\":10,\"0\":11}",
		  "{\"0\":11,\"9\":3,\"10\":2,\"4294967294\":7,\"b\":1,\"01\":4,\"a\":5,"
		  "\"4294967295\":6,\"-1\":8,\"1.5\":9,\"\":10}" },
		/* numbers */
		{ "-0", "0" },
		{ "-0.0", "0" },
		{ "1.0", "1" },
		{ "1e2", "100" },
		{ "-1.50", "-1.5" },
		{ "0.1", "0.1" },
		{ "0.30000000000000004", "0.30000000000000004" },
		{ "1e20", "100000000000000000000" },
		{ "123456789012345680000", "123456789012345680000" },
		{ "1e21", "1e+21" },
		{ "-1.5e300", "-1.5e+300" },
		{ "0.000001", "0.000001" },
		{ "0.00000123", "0.00000123" },
		{ "0.0000001", "1e-7" },
		{ "0.000000123", "1.23e-7" },
		{ "12345.678", "12345.678" },
		{ "5e-324", "5e-324" },
		{ "1e-400", "0" },
		{ "1.7976931348623157e308", "1.7976931348623157e+308" },
		{ "5.684341886080802e-14", "5.684341886080802e-14" },
		{ "618970019642690137449562112", "6.189700196426902e+26" },
		{ "5.960464477539063e-8", "5.960464477539063e-8" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "9223372036854775808", "9223372036854776000" },
		{ "1e999", "null" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
		cleanup_json json_t *value = parse(rows[i].text);

		assert_int_equal(json_append_compact(&out, value), 0);
		assert_string_equal(out.data, rows[i].expected);
	}
}

static void test_pretty(void **state)
{
	cleanup_json json_t *value =
		parse("{\"a\":[],\"b\":{},\"c\":[1,[2]],\"1\":{\"d\":\"{\",\"e\":null}}");
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&out, "{");
	assert_int_equal(json_append_pretty(&out, value), 0);
	assert_string_equal(out.data, "{{\n"
				      "  \"1\": {\n"
				      "    \"d\": \"{\",\n"
				      "    \"e\": null\n"
				      "  },\n"
				      "  \"a\": [],\n"
				      "  \"b\": {},\n"
				      "  \"c\": [\n"
				      "    1,\n"
				      "    [\n"
				      "      2\n"
				      "    ]\n"
				      "  ]\n"
				      "}");
	strbuf_reset(&out);
	json_append_pretty(&out, NULL);
	assert_string_equal(out.data, "null");
}

/* What is wrong and where, but none of the text: errors are logged. */
/* Many values, deep down: each of them would cost as many blanks as it is deep, and twice. */
static void test_pretty_deep(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	const char *deepest;

	(void)state;
	for (int i = 0; i < 2000; i++)
		strbuf_putc(&text, '[');
	for (int i = 0; i < 20000; i++)
		strbuf_puts(&text, "1,");
	strbuf_putc(&text, '2');
	for (int i = 0; i < 2000; i++)
		strbuf_putc(&text, ']');
	assert_int_equal(json_parse(text.data, text.len, &value, NULL), 0);
	assert_int_equal(json_append_pretty(&out, value), 0);
	assert_true(out.len < text.len * 40);
	deepest = strchr(out.data, '2');
	assert_non_null(deepest);
	for (int i = 1; i <= 64; i++)
		assert_int_equal(deepest[-i], ' ');
	assert_int_equal(deepest[-65], '\n');
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{ "", "line 1, column 0: unexpected token near end of file" },
		{ "{\"a\":1", "line 1, column 6: '}' expected near end of file" },
		{ "[1]\n[2]", "line 2, column 1: end of file expected" },
		{ "plain", "line 1, column 5: invalid token" },
		{ "\xff", "line 1, column 0: unable to decode byte 0xff" },
		{ "[01]", "line 1, column 2: invalid token" },
		{ "\"a\nb\"", "line 1, column 2: unexpected newline" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { "" };
		json_t *value = NULL;

		assert_int_equal(json_parse(rows[i].text, strlen(rows[i].text), &value, &err),
				 -EINVAL);
		assert_string_equal(err.text, rows[i].error);
		assert_null(value);
	}
}

static void test_limits(void **state)
{
	char deep[2 * JSON_DEPTH_MAX + 2];
	struct err err = { "" };
	json_t *value = NULL;

	(void)state;
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_parse(deep, 2 * (size_t)JSON_DEPTH_MAX, &value, NULL), 0);
	{
		cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

		assert_int_equal(json_append_compact(&out, value), 0);
		assert_int_equal(out.len, 2 * JSON_DEPTH_MAX);
	}
	json_decref(value);
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(json_parse(deep, sizeof(deep), &value, &err), -EINVAL);
	assert_string_equal(err.text, "line 1, column 2049: maximum parsing depth reached");
	/* The length is looked at before the text. */
	assert_int_equal(json_parse("1", (size_t)JSON_SIZE_MAX + 1, &value, &err), -EFBIG);
	assert_string_equal(err.text, "JSON of 67108865 bytes is longer than 67108864");
}

static void test_members(void **state)
{
	cleanup_json json_t *value = parse("{\"s\":\"x\",\"n\":null,\"i\":-7,\"r\":5.0,\"h\":5.5,"
					   "\"big\":9e18,\"huge\":9.3e18,\"t\":true,\"f\":false,"
					   "\"nul\":\"x\\u0000y\"}");
	cleanup_json json_t *list = parse("[1]");

	(void)state;
	assert_null(json_member(NULL, "s"));
	assert_null(json_member(list, "s"));
	assert_null(json_member(value, "n"));
	assert_null(json_member(value, "absent"));
	assert_non_null(json_member(value, "f"));
	assert_string_equal(json_member_string(value, "s"), "x");
	assert_null(json_member_string(value, "i"));
	assert_string_equal(json_member_name(value, "s"), "x");
	assert_null(json_member_name(value, "i"));
	assert_null(json_member_name(value, "nul"));
	assert_int_equal(json_member_int(value, "i", 1), -7);
	assert_int_equal(json_member_int(value, "r", 1), 5);
	assert_int_equal(json_member_int(value, "h", 1), 1);
	assert_int_equal(json_member_int(value, "big", 1), 9000000000000000000);
	assert_int_equal(json_member_int(value, "huge", 1), 1);
	assert_int_equal(json_member_int(value, "s", 1), 1);
	assert_int_equal(json_member_int(NULL, "s", 1), 1);
	assert_true(json_member_bool(value, "t", false));
	assert_false(json_member_bool(value, "f", true));
	assert_true(json_member_bool(value, "i", true));
	assert_false(json_member_bool(value, "absent", false));
}

static void test_type_names(void **state)
{
	static const struct {
		const char *text, *name;
	} rows[] = {
		{ "{}", "an object" },	  { "[]", "an array" },	   { "\"\"", "a string" },
		{ "1", "an integer" },	  { "1.5", "a fraction" }, { "true", "a boolean" },
		{ "false", "a boolean" }, { "null", "null" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cleanup_json json_t *value = NULL;

		assert_int_equal(json_parse(rows[i].text, strlen(rows[i].text), &value, NULL), 0);
		assert_string_equal(json_type_name(value), rows[i].name);
	}
	assert_string_equal(json_type_name(NULL), "null");
}

static void test_string(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(json_append_string(&out, "a\0\"\\\n\x1b\xff\xc3\xa9", 9), 0);
	assert_string_equal(out.data, "\"a\\u0000\\\"\\\\\\n\\u001b\xef\xbf\xbd\xc3\xa9\"");
	strbuf_reset(&out);
	/* A sequence that is cut off by a character to be escaped. */
	assert_int_equal(json_append_string(&out, "\xe2\x82\"", 3), 0);
	assert_string_equal(out.data, "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\"");
}

/* However they are written; and a text that only looks so is fine. */
static void test_too_many_values(void **state)
{
	static const struct {
		const char *begin, *item, *end;
		size_t count;
		int result;
	} rows[] = {
		{ "[0", ",0", "]", JSON_VALUES_MAX - 2, 0 },
		{ "[0", ",0", "]", JSON_VALUES_MAX - 1, -EFBIG },
		{ "[0", ",{}", "]", JSON_VALUES_MAX / 2, -EFBIG },
		{ "\"", ",[{\\\",", "\"", JSON_VALUES_MAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
		cleanup_json json_t *value = NULL;
		struct err err = { "" };

		strbuf_puts(&text, rows[i].begin);
		for (size_t n = 0; n < rows[i].count; n++)
			strbuf_puts(&text, rows[i].item);
		strbuf_puts(&text, rows[i].end);
		assert_int_equal(json_parse(text.data, text.len, &value, &err), rows[i].result);
		assert_string_equal(err.text,
				    rows[i].result ? "JSON of more than 250000 values" : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compact),	    cmocka_unit_test(test_pretty),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_members),	    cmocka_unit_test(test_string),
		cmocka_unit_test(test_type_names),  cmocka_unit_test(test_too_many_values),
		cmocka_unit_test(test_pretty_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
