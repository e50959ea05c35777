/* SPDX-License-Identifier: MIT */
/* The machinery, on a table of this test's own. */
#include "runner/mcp/tools.h"

#include <string.h>

#include "common/table.h"
#include "tests/runner/mcp/tool.h"

static int runs;

static void run_echo(struct call *call, const json_t *arguments)
{
	runs++;
	call_answer(call, "%s", json_member_string(arguments, "text"));
}

/* What a handler should not do, but may by accident of a service that ends its call. */
static void run_on(struct call *call, const json_t *arguments)
{
	(void)arguments;
	runs++;
	call_cancel(steal_ptr(tool.call));
	call_answer(call, "late");
}

static const struct schema_field fields[] = {
	{ "text", SCHEMA_STRING, true, "the \"text\"" },
};

static const struct tools_row rows[] = {
	{ "echo", "Echo", "Says \"it\" again.", fields, 1, .is_read_only = true,
	  .is_idempotent = true, .run = run_echo },
	{ "on", "On", "Goes on.", NULL, 0, .is_destructive = true, .is_open_world = true,
	  .run = run_on },
};

const struct tools_row *tools_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(rows);
	return rows;
}

static void test_find(void **state)
{
	(void)state;
	assert_ptr_equal(tools_find("echo"), &rows[0]);
	assert_ptr_equal(tools_find("on"), &rows[1]);
	assert_null(tools_find("ECHO"));
	assert_null(tools_find("ech"));
	assert_null(tools_find(""));
}

static void test_offered(void **state)
{
	static const char *const one[] = { "on", "unknown", NULL };
	static const char *const none[] = { NULL };
	struct tools_offer offer = { .prefix = "" };

	(void)state;
	assert_ptr_equal(tools_offered(&offer, "echo"), &rows[0]);
	assert_null(tools_offered(&offer, "unknown"));
	offer.enabled = one;
	assert_null(tools_offered(&offer, "echo"));
	assert_null(tools_offered(&offer, "unknown"));
	assert_ptr_equal(tools_offered(&offer, "on"), &rows[1]);
	offer.prefix = "my_";
	assert_ptr_equal(tools_offered(&offer, "my_on"), &rows[1]);
	assert_null(tools_offered(&offer, "on"));
	assert_null(tools_offered(&offer, "my_"));
	assert_null(tools_offered(&offer, "my"));
	offer.enabled = none;
	assert_null(tools_offered(&offer, "my_on"));
}

#define ECHO_REST                                                                          \
	"\"title\":\"Echo\",\"description\":\"Says \\\"it\\\" again.\",\"inputSchema\":"   \
	"{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\","              \
	"\"description\":\"the \\\"text\\\"\"}},\"required\":[\"text\"]},\"annotations\":" \
	"{\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true,"        \
	"\"openWorldHint\":false}}"
#define ON_REST                                                                      \
	"\"title\":\"On\",\"description\":\"Goes on.\",\"inputSchema\":"             \
	"{\"type\":\"object\",\"properties\":{}},\"annotations\":"                   \
	"{\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":false," \
	"\"openWorldHint\":true}}"

static void assert_list(const struct tools_offer *offer, const char *expected)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	assert_int_equal(tools_append_list(offer, &out), 0);
	assert_string_equal(out.data, expected);
}

static void test_list(void **state)
{
	static const char *const one[] = { "on", NULL };
	static const char *const none[] = { NULL };

	(void)state;
	assert_list(&(struct tools_offer){ .prefix = "" },
		    "[{\"name\":\"echo\"," ECHO_REST ",{\"name\":\"on\"," ON_REST "]");
	assert_list(&(struct tools_offer){ .prefix = "\"", .enabled = one },
		    "[{\"name\":\"\\\"on\"," ON_REST "]");
	assert_list(&(struct tools_offer){ .prefix = "x", .enabled = none }, "[]");
}

static void test_run(void **state)
{
	cleanup_json json_t *good = json_pack("{s:s}", "text", "100 %s");
	cleanup_json json_t *bad = json_pack("{s:i}", "text", 5);

	(void)state;
	runs = 0;
	tools_run(&rows[0], tool_call(), good);
	assert_answer("ok: 100 %s");
	tools_run(&rows[0], tool_call(), bad);
	assert_answer("error: The argument `text` must be a string, not a number.");
	tools_run(&rows[0], tool_call(), NULL);
	assert_answer("error: The argument `text` is missing: it must be a string.");
	assert_int_equal(runs, 1);
	/* The call is there until the handler returns. */
	tools_run(&rows[1], tool_call(), NULL);
	assert_answer("");
	assert_int_equal(runs, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOOL_CASE(test_find),
		TOOL_CASE(test_offered),
		TOOL_CASE(test_list),
		TOOL_CASE(test_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
