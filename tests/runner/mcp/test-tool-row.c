/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-row.h"

#include <errno.h>

#include "tests/runner/mcp/tool.h"

static const struct outbound_message message = {
	.kind = "chat",
	.channel_type = "slack",
	.platform_id = "C1",
};

static void write_row(void)
{
	tool_row_write(tool_call(), &message, json_pack("{s:s}", "text", "\"hi\"\n"), "Told %s.",
		       "them");
}

static void test_write(void **state)
{
	(void)state;
	write_row();
	assert_answer("ok: Told them.");
	assert_row("chat|null|slack|C1|null|{\"text\":\"\\\"hi\\\"\\n\"}");
}

static void test_send(void **state)
{
	(void)state;
	tool_row_send(tool_call(), &message, json_pack("{s:i}", "n", 1), "Sent.");
	assert_answer("ok: Sent. Its message id is 1.");
	tool_row_send(tool_call(), &message, json_pack("{s:i}", "n", 2), "Sent.");
	assert_answer("ok: Sent. Its message id is 3.");
	assert_row("chat|null|slack|C1|null|{\"n\":2}");
}

static void test_written_later(void **state)
{
	(void)state;
	tool.writes_later = true;
	write_row();
	assert_non_null(tool.call);
	assert_string_equal(tool.answer, "");
	tool_commit();
	assert_answer("ok: Told them.");
	write_row();
	call_cancel(steal_ptr(tool.call));
	assert_int_equal(tool.forgotten, 1);
	assert_string_equal(tool.answer, "");
	/* What was queued stays. */
	assert_row_count(2);
}

/* From a host's file, say: what is no UTF-8 cannot be JSON. */
static void test_text_is_mended(void **state)
{
	(void)state;
	tool_row_write(tool_call(), &message,
		       json_pack("{s:o}", "text", json_string_nocheck("a\xff")), "Told.");
	assert_row("chat|null|slack|C1|null|{\"text\":\"a\xef\xbf\xbd\"}");
}

static void test_no_memory(void **state)
{
	const char *expected =
		"error: There is not enough memory for this at the moment. Try again later.";

	(void)state;
	tool_row_write(tool_call(), &message, NULL, "Told.");
	assert_answer(expected);
	tool.write_result = -ENOMEM;
	write_row();
	assert_answer(expected);
	assert_row_count(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOOL_CASE(test_write),	       TOOL_CASE(test_send),
		TOOL_CASE(test_written_later), TOOL_CASE(test_text_is_mended),
		TOOL_CASE(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
