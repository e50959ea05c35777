/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-line.h"

#include "tests/test.h"

static void test_initialize(void **state)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	(void)state;
	claude_line_initialize(&line, "i", NULL);
	assert_string_equal(line.data,
			    "{\"type\":\"control_request\",\"request_id\":\"i\",\"request\":"
			    "{\"subtype\":\"initialize\",\"hooks\":{}}}\n");
	strbuf_reset(&line);
	claude_line_initialize(&line, "i", "You are \"Robin\".\nBe kind.");
	assert_string_equal(line.data,
			    "{\"type\":\"control_request\",\"request_id\":\"i\",\"request\":"
			    "{\"subtype\":\"initialize\",\"hooks\":{},"
			    "\"appendSystemPrompt\":\"You are \\\"Robin\\\".\\nBe kind.\"}}\n");
}

static void test_requests(void **state)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	(void)state;
	claude_line_interrupt(&line, "x");
	assert_string_equal(line.data,
			    "{\"type\":\"control_request\",\"request_id\":\"x\",\"request\":"
			    "{\"subtype\":\"interrupt\"}}\n");
	strbuf_reset(&line);
	claude_line_mcp_status(&line, "m");
	assert_string_equal(line.data,
			    "{\"type\":\"control_request\",\"request_id\":\"m\",\"request\":"
			    "{\"subtype\":\"mcp_status\"}}\n");
	strbuf_reset(&line);
	claude_line_cancel(&line, "c", "u-1");
	assert_string_equal(line.data,
			    "{\"type\":\"control_request\",\"request_id\":\"c\",\"request\":"
			    "{\"subtype\":\"cancel_async_message\",\"message_uuid\":\"u-1\"}}\n");
}

/* A line break or a NUL inside would be the CLI's death: they travel as escapes. */
static void test_user(void **state)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	(void)state;
	claude_line_user(&line, "u-1", "a\nb\0\xff", 5);
	assert_string_equal(line.data,
			    "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":"
			    "\"a\\nb\\u0000\xef\xbf\xbd\"},\"parent_tool_use_id\":null,"
			    "\"session_id\":\"\",\"uuid\":\"u-1\"}\n");
}

static void test_refuse(void **state)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	(void)state;
	claude_line_refuse(&line, "q\"");
	assert_string_equal(line.data,
			    "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
			    "\"request_id\":\"q\\\"\",\"error\":\"not supported\"}}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initialize),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
