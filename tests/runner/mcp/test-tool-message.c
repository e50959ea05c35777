/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-message.h"

#include <errno.h>

#include "tests/runner/mcp/tool.h"

static void assert_sent(const char *expected)
{
	assert_string_equal(tool.sent, expected);
}

static void test_send(void **state)
{
	(void)state;
	tool_run(tool_message_send, "{'text':'Hello \\'you\\'','to':'Casa'}");
	assert_answer("ok: Sent to \"casa\". Its message id is 1.");
	assert_row("chat|m-1|slack|C1|T1|{\"text\":\"Hello \\\"you\\\"\"}");
	assert_sent("casa/T1|Hello \"you\"\n");

	tool_run(tool_message_send, "{'text':'hi','to':'helper'}");
	assert_answer("ok: Sent to \"helper\". Its message id is 3.");
	assert_row("chat|m-1|agent|ag-2|null|{\"text\":\"hi\"}");
	assert_sent("helper|hi\n");
}

static void test_send_without_to(void **state)
{
	(void)state;
	tool_run(tool_message_send, "{'text':'hi'}");
	assert_answer("ok: Sent to \"casa\". Its message id is 1.");
	assert_row("chat|m-1|slack|C1|T1|{\"text\":\"hi\"}");
	assert_sent("casa/T1|hi\n");
	tool_host("UPDATE session_routing SET platform_id = 'D7'");
	tool_run(tool_message_send, "{'text':'hi','to':null}");
	assert_answer("ok: Sent to the chat of this session. Its message id is 3.");
	assert_row("chat|m-1|slack|D7|T1|{\"text\":\"hi\"}");
	assert_sent("null/T1|hi\n");
}

static void test_send_nowhere(void **state)
{
	(void)state;
	tool_run(tool_message_send, "{'text':'hi','to':'nobody'}");
	assert_answer("error: There is no destination named \"nobody\". The names are \"Work\", "
		      "\"casa\", \"helper\".");
	assert_sent("");
	assert_row_count(0);
}

/* The session knows at once; the model when it is on disk. */
static void test_send_to_a_slow_disk(void **state)
{
	(void)state;
	tool.writes_later = true;
	tool_run(tool_message_send, "{'text':'hi'}");
	assert_sent("casa/T1|hi\n");
	assert_string_equal(tool.answer, "");
	tool_commit();
	assert_answer("ok: Sent to \"casa\". Its message id is 1.");
}

static void fill(void)
{
	tool_host("INSERT INTO messages_in (id, seq, kind, timestamp, content, channel_type,"
		  " platform_id, thread_id) VALUES"
		  " ('170.1:ag-1', 2, 'chat', '', '', 'telegram', '42', 'T9'),"
		  " ('task', 4, 'task', '', '', NULL, NULL, NULL)");
	tool_run(tool_message_send, "{'text':'old'}");
	assert_answer("ok: Sent to \"casa\". Its message id is 5.");
}

static void test_edit(void **state)
{
	char expected[256], id[64];

	(void)state;
	fill();
	(void)snprintf(
		id, sizeof(id), "%s",
		sqlite_query(tool.outbound_path, "SELECT id FROM messages_out", &tool_result));
	id[strcspn(id, "\n")] = '\0';
	/* Not delivered yet: the host knows it by our id. */
	tool_run(tool_message_edit, "{'messageId':5,'text':'new'}");
	assert_answer("ok: The new text of message 5 is on its way.");
	(void)snprintf(expected, sizeof(expected),
		       "chat|m-1|slack|C1|T1|"
		       "{\"operation\":\"edit\",\"messageId\":\"%s\",\"text\":\"new\"}",
		       id);
	assert_row(expected);
	/* A change of what was sent is no new message to anybody. */
	assert_sent("");

	(void)snprintf(expected, sizeof(expected),
		       "INSERT INTO delivered VALUES ('%s', '1700.5', 'delivered', '')", id);
	tool_host(expected);
	tool_run(tool_message_edit, "{'messageId':'5','text':'newer'}");
	assert_answer("ok: The new text of message 5 is on its way.");
	assert_row("chat|m-1|slack|C1|T1|"
		   "{\"operation\":\"edit\",\"messageId\":\"1700.5\",\"text\":\"newer\"}");
}

static void test_react(void **state)
{
	(void)state;
	fill();
	tool_run(tool_message_react, "{'messageId':2,'emoji':'thumbs_up'}");
	assert_answer("ok: The reaction to message 2 is on its way.");
	assert_row("chat|m-1|telegram|42|T9|"
		   "{\"operation\":\"reaction\",\"messageId\":\"170.1\",\"emoji\":\"thumbs_up\"}");
	assert_sent("");
}

static void test_no_such_message(void **state)
{
	(void)state;
	fill();
	tool_run(tool_message_react, "{'messageId':99,'emoji':'thumbs_up'}");
	assert_answer("error: There is no message with the id 99.");
	tool_run(tool_message_edit, "{'messageId':4,'text':'new'}");
	assert_answer("error: Message 4 stands in no chat.");
	assert_row_count(1);
}

static void test_card(void **state)
{
	(void)state;
	tool_run(tool_message_card, "{'card':{'title':'T','children':[{'text':'x'}]},"
				    "'fallbackText':'T: x'}");
	assert_answer("ok: The card is sent to \"casa\". Its message id is 1.");
	assert_row("chat-sdk|m-1|slack|C1|T1|{\"type\":\"card\",\"card\":{\"title\":\"T\","
		   "\"children\":[{\"text\":\"x\"}]},\"fallbackText\":\"T: x\"}");
	assert_sent("casa/T1|null\n");
	tool_run(tool_message_card, "{'card':{}}");
	assert_row("chat-sdk|m-1|slack|C1|T1|"
		   "{\"type\":\"card\",\"card\":{},\"fallbackText\":\"\"}");
}

static void test_card_nowhere(void **state)
{
	(void)state;
	tool_host("DELETE FROM session_routing");
	tool_run(tool_message_card, "{'card':{}}");
	assert_answer("error: This session has no chat of its own, where this could be shown: use "
		      "send_message and its \"to\" instead. The names are \"Work\", \"casa\", "
		      "\"helper\".");
	assert_sent("");
	assert_row_count(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOOL_CASE(test_send),
		TOOL_CASE(test_send_without_to),
		TOOL_CASE(test_send_nowhere),
		TOOL_CASE(test_send_to_a_slow_disk),
		TOOL_CASE(test_edit),
		TOOL_CASE(test_react),
		TOOL_CASE(test_no_such_message),
		TOOL_CASE(test_card),
		TOOL_CASE(test_card_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
