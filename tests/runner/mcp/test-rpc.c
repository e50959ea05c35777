/* SPDX-License-Identifier: MIT */
#include "runner/mcp/rpc.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

/* value as text with ' for ", "-" for NULL. */
static void assert_json(const json_t *value, const char *expected)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (value)
		json_append_compact(&text, value);
	else
		strbuf_putc(&text, '-');
	for (char *c = text.data; *c; c++)
		if (*c == '"')
			*c = '\'';
	assert_string_equal(text.data, expected);
}

static const struct {
	const char *text;
	enum rpc_kind kind;
	const char *id, *method, *params;
} messages[] = {
	{ "{'jsonrpc':'2.0','id':0,'method':'a'}", RPC_REQUEST, "0", "a", "-" },
	{ "{'jsonrpc':'2.0','id':-9007199254740993,'method':'a'}", RPC_REQUEST, "-9007199254740993",
	  "a", "-" },
	{ "{'params':{'x':1},'method':'a/b','id':'1','jsonrpc':'2.0','more':[]}", RPC_REQUEST,
	  "'1'", "a/b", "{'x':1}" },
	{ "{'jsonrpc':'2.0','id':'','method':'','params':null}", RPC_REQUEST, "''", "", "-" },
	{ "{'jsonrpc':'2.0','method':'n','params':{}}", RPC_NOTIFICATION, "-", "n", "{}" },
	{ "{'jsonrpc':'2.0','method':'n','params':[1]}", RPC_NOTIFICATION, "-", "n", "-" },
	{ "{'jsonrpc':'2.0','id':1,'result':{}}", RPC_RESPONSE, "1", "", "-" },
	{ "{'jsonrpc':'2.0','id':1,'result':null}", RPC_RESPONSE, "1", "", "-" },
	{ "{'jsonrpc':'2.0','error':{'code':1}}", RPC_RESPONSE, "-", "", "-" },
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		cleanup_json json_t *value = test_json(messages[i].text);
		const char *problem = "untouched";
		struct rpc_message message;

		assert_int_equal(rpc_read(value, &message, &problem), 0);
		assert_int_equal(message.kind, messages[i].kind);
		assert_json(message.id, messages[i].id);
		assert_string_equal(message.method, messages[i].method);
		assert_json(message.params, messages[i].params);
		assert_string_equal(problem, "untouched");
	}
}

static const struct {
	const char *text, *id, *problem;
} odd[] = {
	{ "7", "-", "a message is a JSON object" },
	{ "null", "-", "a message is a JSON object" },
	{ "'ping'", "-", "a message is a JSON object" },
	{ "[]", "-", "a message is a JSON object" },
	{ "{}", "-", "\"jsonrpc\" must be \"2.0\"" },
	{ "{'id':3,'method':'a'}", "3", "\"jsonrpc\" must be \"2.0\"" },
	{ "{'jsonrpc':2.0,'id':3,'method':'a'}", "3", "\"jsonrpc\" must be \"2.0\"" },
	{ "{'jsonrpc':'1.0','id':3,'method':'a'}", "3", "\"jsonrpc\" must be \"2.0\"" },
	{ "{'jsonrpc':'2.0','id':null,'method':'a'}", "-",
	  "\"id\" must be a string or an integer" },
	{ "{'jsonrpc':'2.0','id':1.5,'method':'a'}", "-", "\"id\" must be a string or an integer" },
	{ "{'jsonrpc':'2.0','id':[1],'method':'a'}", "-", "\"id\" must be a string or an integer" },
	{ "{'jsonrpc':'2.0','id':true,'method':'a'}", "-",
	  "\"id\" must be a string or an integer" },
	{ "{'jsonrpc':'2.0','id':'x'}", "'x'", "\"method\" must name a method" },
	{ "{'jsonrpc':'2.0','id':3,'method':5}", "3", "\"method\" must name a method" },
	{ "{'jsonrpc':'2.0','id':3,'method':'ping\\u0000'}", "3", "\"method\" must name a method" },
	{ "{'jsonrpc':'2.0\\u0000','id':3,'method':'a'}", "3", "\"jsonrpc\" must be \"2.0\"" },
	{ "{'jsonrpc':'2.0','id':3,'method':null,'error':null}", "3",
	  "\"method\" must name a method" },
	{ "{'jsonrpc':'2.0','id':3,'method':'a','params':[]}", "3",
	  "\"params\" must be an object" },
	{ "{'jsonrpc':'2.0','id':3,'method':'a','params':'x'}", "3",
	  "\"params\" must be an object" },
};

static void test_what_is_no_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		cleanup_json json_t *value = test_json(odd[i].text);
		const char *problem = NULL;
		struct rpc_message message;

		assert_int_equal(rpc_read(value, &message, &problem), RPC_INVALID_REQUEST);
		assert_string_equal(problem, odd[i].problem);
		assert_json(message.id, odd[i].id);
	}
}

static void test_results(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *text = test_json("'1'"), *number = test_json("12");

	(void)state;
	assert_int_equal(rpc_append_result(&out, number, "{}"), 0);
	assert_int_equal(rpc_append_result(&out, text, "{\"a\":[]}"), 0);
	assert_int_equal(rpc_append_result(&out, NULL, "0"), 0);
	assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"id\":12,\"result\":{}}\n"
				      "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"a\":[]}}\n"
				      "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":0}\n");
}

static void test_errors(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *id = test_json("'a\\nb'");

	(void)state;
	assert_int_equal(rpc_append_error(&out, id, RPC_METHOD_NOT_FOUND, "no \"x\"\n", NULL), 0);
	assert_int_equal(rpc_append_error(&out, NULL, RPC_PARSE_ERROR, "", "{\"at\":1}"), 0);
	assert_string_equal(out.data,
			    "{\"jsonrpc\":\"2.0\",\"id\":\"a\\nb\",\"error\":{\"code\":-32601,"
			    "\"message\":\"no \\\"x\\\"\\n\"}}\n"
			    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,"
			    "\"message\":\"\",\"data\":{\"at\":1}}}\n");
}

static void test_notifications(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(rpc_append_notification(&out, "notifications/progress", "{\"p\":1}"), 0);
	assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
				      "\"params\":{\"p\":1}}\n");
}

static void test_without_memory(void **state)
{
	cleanup_strbuf struct strbuf out = { .error = -ENOMEM };

	(void)state;
	assert_int_equal(rpc_append_result(&out, NULL, "{}"), -ENOMEM);
	assert_int_equal(rpc_append_error(&out, NULL, 1, "x", "{}"), -ENOMEM);
	assert_int_equal(rpc_append_notification(&out, "x", "{}"), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),      cmocka_unit_test(test_what_is_no_message),
		cmocka_unit_test(test_results),	      cmocka_unit_test(test_errors),
		cmocka_unit_test(test_notifications), cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
