/* SPDX-License-Identifier: MIT */
#include "runner/mcp/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

static const struct schema_field fields[] = {
	{ "text", SCHEMA_STRING, true, "the words" },
	{ "to", SCHEMA_STRING, false, "where \"to\"" },
	{ "id", SCHEMA_SEQ, false, "d" },
	{ "timeout", SCHEMA_SECONDS, false, "d" },
	{ "card", SCHEMA_OBJECT, false, "d" },
	{ "args", SCHEMA_STRINGS, false, "d" },
	{ "env", SCHEMA_VARIABLES, false, "d" },
	{ "options", SCHEMA_OPTIONS, false, "d" },
};

/* These arguments are refused with this; "": they are fine. */
static void assert_check(const char *arguments, const char *expected)
{
	cleanup_json json_t *value = test_json(arguments);
	struct err err = { "" };
	int r = schema_check(fields, ARRAY_LEN(fields), value, &err);

	assert_string_equal(err.text, expected);
	assert_int_equal(r, expected[0] ? -EINVAL : 0);
}

/* The same for one argument beside those that are required. */
static void assert_argument(const char *name, const char *value, const char *expected)
{
	char arguments[512];

	(void)snprintf(arguments, sizeof(arguments), "{'text':'x','%s':%s}", name, value);
	assert_check(arguments, expected);
}

static void test_arguments(void **state)
{
	struct err err = { "" };

	(void)state;
	assert_check("{'text':'x','unknown':5,'to':null}", "");
	assert_check("{}", "The argument `text` is missing: it must be a string.");
	assert_check("{'text':null}", "The argument `text` is missing: it must be a string.");
	assert_check("null", "The argument `text` is missing: it must be a string.");
	assert_check("[]", "The arguments must be an object, not an array.");
	assert_check("'x'", "The arguments must be an object, not a string.");
	assert_int_equal(schema_check(fields, 1, NULL, &err), -EINVAL);
	assert_int_equal(schema_check(fields, 0, NULL, &err), 0);
}

static void test_string(void **state)
{
	(void)state;
	assert_check("{'text':5}", "The argument `text` must be a string, not a number.");
	assert_check("{'text':''}", "The argument `text` must not be empty.");
	assert_check("{'text':' \\n\\u00a0'}", "The argument `text` must not be empty.");
	assert_argument("to", "''", "");
	assert_argument("to", "true", "The argument `to` must be a string, not true.");
	assert_argument("to", "{}", "The argument `to` must be a string, not an object.");
	assert_argument("to", "'a\\u0000b'", "The argument `to` must not contain NUL characters.");
}

static void assert_seq(const char *value, json_int_t expected)
{
	char arguments[128];
	cleanup_json json_t *parsed = NULL;

	assert_argument("id", value, "");
	(void)snprintf(arguments, sizeof(arguments), "{'id':%s}", value);
	parsed = test_json(arguments);
	assert_int_equal(schema_seq(parsed, "id"), expected);
}

static void test_seq(void **state)
{
	static const char *const texts[] = { "", "x", "-1", " 7", "7 ", "7x", "0", "1e1" };
	cleanup_json json_t *nothing = test_json("{}");
	const char *number = "The argument `id` must be the id of a message, a positive integer, "
			     "not a number.";
	char text[256];

	(void)state;
	assert_seq("7", 7);
	assert_seq("7.0", 7);
	assert_seq("'7'", 7);
	assert_seq("9007199254740991", 9007199254740991);
	assert_int_equal(schema_seq(nothing, "id"), 0);
	assert_argument("id", "0", number);
	assert_argument("id", "-2", number);
	assert_argument("id", "1.5", number);
	assert_argument("id", "1e300", number);
	assert_argument("id", "9007199254740992", number);
	assert_argument("id", "true",
			"The argument `id` must be the id of a message, a positive integer, not "
			"true.");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char value[16];

		(void)snprintf(value, sizeof(value), "'%s'", texts[i]);
		(void)snprintf(text, sizeof(text),
			       "The argument `id` must be the id of a message, a positive "
			       "integer, not \"%s\".",
			       texts[i]);
		assert_argument("id", value, text);
	}
	assert_argument("id", "'7\\u0000'",
			"The argument `id` must be the id of a message, a positive integer, not "
			"\"7\\x00\".");
}

static void test_seconds(void **state)
{
	(void)state;
	assert_argument("timeout", "0.5", "");
	assert_argument("timeout", "604800", "");
	assert_argument("timeout", "0",
			"The argument `timeout` must be above 0 and at most 604800 seconds, not "
			"0.");
	assert_argument("timeout", "-3",
			"The argument `timeout` must be above 0 and at most 604800 seconds, not "
			"-3.");
	assert_argument("timeout", "604801",
			"The argument `timeout` must be above 0 and at most 604800 seconds, not "
			"604801.");
	assert_argument("timeout", "'60'",
			"The argument `timeout` must be a number of seconds, not a string.");
}

static void test_object(void **state)
{
	(void)state;
	assert_argument("card", "{'a':[1]}", "");
	assert_argument("card", "[]", "The argument `card` must be an object, not an array.");
}

/* Appends an array of n times the same to the arguments, and checks them. */
static void assert_many(const char *name, const char *item, size_t n, const char *expected)
{
	cleanup_strbuf struct strbuf arguments = STRBUF_EMPTY;

	strbuf_printf(&arguments, "{'text':'x','%s':[", name);
	for (size_t i = 0; i < n; i++)
		strbuf_printf(&arguments, "%s%s", i ? "," : "", item);
	strbuf_puts(&arguments, "]}");
	assert_check(arguments.data, expected);
}

static void test_strings(void **state)
{
	(void)state;
	assert_argument("args", "[]", "");
	assert_argument("args", "['a','']", "");
	assert_argument("args", "'a'",
			"The argument `args` must be an array of strings, not a string.");
	assert_argument("args", "['a',5]",
			"The argument `args[1]` must be a string, not a number.");
	assert_argument("args", "[null]", "The argument `args[0]` must be a string, not null.");
	assert_argument("args", "['\\u0000']",
			"The argument `args[0]` must not contain NUL characters.");
	assert_many("args", "''", 100, "");
	assert_many("args", "''", 101, "The argument `args` must have at most 100 items, not 101.");
}

static void test_variables(void **state)
{
	cleanup_strbuf struct strbuf many = STRBUF_EMPTY;

	(void)state;
	assert_argument("env", "{}", "");
	assert_argument("env", "{'A':'','B':'x=y'}", "");
	assert_argument("env", "[]",
			"The argument `env` must be an object of strings, not an array.");
	assert_argument("env", "{'A':'','B\\n':5}",
			"The argument `env[\"B\\n\"]` must be a string, not a number.");
	assert_argument("env", "{'A':null}",
			"The argument `env[\"A\"]` must be a string, not null.");
	assert_argument("env", "{'A':'\\u0000'}",
			"The argument `env[\"A\"]` must not contain NUL characters.");
	assert_argument("env", "{'':'x'}",
			"The argument `env` has a variable named \"\": a name must not be empty, "
			"nor contain \"=\".");
	assert_argument("env", "{'A=B':'x'}",
			"The argument `env` has a variable named \"A=B\": a name must not be "
			"empty, nor contain \"=\".");
	for (int i = 0; i < 101; i++)
		strbuf_printf(&many, "%s'%d':''", i ? "," : "{'text':'x','env':{", i);
	strbuf_puts(&many, "}}");
	assert_check(many.data, "The argument `env` must have at most 100 variables, not 101.");
}

static void test_options(void **state)
{
	(void)state;
	assert_argument("options", "['a',{'label':'b'},{'label':'c','value':'','other':1}]", "");
	assert_argument("options", "'a'",
			"The argument `options` must be an array of choices, not a string.");
	assert_argument("options", "[]", "The argument `options` must have at least one choice.");
	assert_argument("options", "['a','']", "The argument `options[1]` must not be empty.");
	assert_argument("options", "[5]",
			"The argument `options[0]` must be a string, or an object with a label, "
			"not a number.");
	assert_argument("options", "[{'value':'a'}]", "The argument `options[0]` has no label.");
	assert_argument("options", "[{'label':' '}]",
			"The argument `options[0].label` must not be empty.");
	assert_argument("options", "['a',{'label':'b','value':1}]",
			"The argument `options[1].value` must be a string, not a number.");
	assert_argument("options", "[{'label':'b','selectedLabel':[]}]",
			"The argument `options[0].selectedLabel` must be a string, not an array.");
	assert_many("options", "'a'", 101,
		    "The argument `options` must have at most 100 items, not 101.");
}

static void test_append(void **state)
{
	static const struct schema_field two[] = {
		{ "a", SCHEMA_SEQ, true, "d" },
		{ "b", SCHEMA_STRINGS, true, "d" },
	};
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *parsed = NULL;

	(void)state;
	assert_int_equal(schema_append(fields, ARRAY_LEN(fields), &out), 0);
	assert_int_equal(json_parse(out.data, out.len, &parsed, NULL), 0);
	assert_string_equal(
		out.data,
		"{\"type\":\"object\",\"properties\":{"
		"\"text\":{\"type\":\"string\",\"description\":\"the words\"},"
		"\"to\":{\"type\":\"string\",\"description\":\"where \\\"to\\\"\"},"
		"\"id\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"d\"},"
		"\"timeout\":{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":604800,"
		"\"description\":\"d\"},"
		"\"card\":{\"type\":\"object\",\"description\":\"d\"},"
		"\"args\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":100,"
		"\"description\":\"d\"},"
		"\"env\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},"
		"\"description\":\"d\"},"
		"\"options\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"string\"},"
		"{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\"},"
		"\"selectedLabel\":{\"type\":\"string\"},\"value\":{\"type\":\"string\"}},"
		"\"required\":[\"label\"]}]},\"minItems\":1,\"maxItems\":100,"
		"\"description\":\"d\"}},\"required\":[\"text\"]}");
	strbuf_reset(&out);
	assert_int_equal(schema_append(NULL, 0, &out), 0);
	assert_string_equal(out.data, "{\"type\":\"object\",\"properties\":{}}");
	strbuf_reset(&out);
	assert_int_equal(schema_append(two, 2, &out), 0);
	assert_string_equal(strstr(out.data, ",\"required\""), ",\"required\":[\"a\",\"b\"]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_string),
		cmocka_unit_test(test_seq),	  cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_object),	  cmocka_unit_test(test_strings),
		cmocka_unit_test(test_variables), cmocka_unit_test(test_options),
		cmocka_unit_test(test_append),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
