/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-line.h"

#include "tests/test.h"

static void expect(struct strbuf *out, const char *line)
{
	assert_int_equal(out->error, 0);
	assert_string_equal(out->data, line);
	strbuf_deinit(out);
}

static void test_requests(void **state)
{
	struct strbuf out = STRBUF_EMPTY;

	(void)state;
	acp_line_initialize(&out, 1);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
		     "\"protocolVersion\":1,\"clientCapabilities\":{\"fs\":{\"readTextFile\":false,"
		     "\"writeTextFile\":false},\"terminal\":false}}}\n");
	acp_line_authenticate(&out, 2, "key");
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"authenticate\",\"params\":{"
		     "\"methodId\":\"key\"}}\n");
	acp_line_set_mode(&out, 3, "s\"1", "yolo");
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"session/set_mode\",\"params\":{"
		     "\"sessionId\":\"s\\\"1\",\"modeId\":\"yolo\"}}\n");
	acp_line_cancel(&out, "s");
	expect(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\",\"params\":{"
		     "\"sessionId\":\"s\"}}\n");
}

static void test_prompts(void **state)
{
	struct strbuf out = STRBUF_EMPTY;

	(void)state;
	acp_line_prompt(&out, 4, "s", NULL, "a\0b\n", 4);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"session/prompt\",\"params\":{"
		     "\"sessionId\":\"s\",\"prompt\":[{\"type\":\"text\",\"text\":"
		     "\"a\\u0000b\\n\"}]}}\n");
	acp_line_prompt(&out, 5, "s", "Be kind.", "hi", 2);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"session/prompt\",\"params\":{"
		     "\"sessionId\":\"s\",\"prompt\":[{\"type\":\"text\",\"text\":"
		     "\"<system>\\nBe kind.\\n</system>\\n\\nhi\"}]}}\n");
}

static void test_sessions(void **state)
{
	struct strbuf out = STRBUF_EMPTY;
	json_t *servers =
		json_pack("{s:{s:s,s:[s],s:{s:s}},s:{s:s,s:s,s:{s:s}},s:{s:s,s:s}}", "a", "command",
			  "/x", "args", "y", "env", "K", "v", "b", "type", "http", "url",
			  "http://h/", "headers", "H", "w", "c", "type", "sse", "url", "http://s/");
	struct acp_line_session spec = { .method = "session/new", .cwd = "/w" };

	(void)state;
	acp_line_session(&out, 6, &spec);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"session/new\",\"params\":{"
		     "\"cwd\":\"/w\",\"mcpServers\":[]}}\n");
	spec = (struct acp_line_session){
		.method = "session/load",
		.session = "s",
		.cwd = "/w",
		.servers = servers,
		.has_http = true,
		.prompt = ACP_LINE_META_PROMPT,
		.instructions = "Be kind.",
	};
	acp_line_session(&out, 7, &spec);
	/* The last one cannot be reached. */
	expect(&out,
	       "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"session/load\",\"params\":{"
	       "\"sessionId\":\"s\",\"cwd\":\"/w\",\"mcpServers\":[{\"name\":\"a\","
	       "\"command\":\"/x\",\"args\":[\"y\"],\"env\":[{\"name\":\"K\",\"value\":\"v\"}]},"
	       "{\"type\":\"http\",\"name\":\"b\",\"url\":\"http://h/\",\"headers\":[{"
	       "\"name\":\"H\",\"value\":\"w\"}]}],\"_meta\":{\"systemPrompt\":{\"append\":"
	       "\"Be kind.\"}}}}\n");
	spec = (struct acp_line_session){
		.method = "session/new",
		.cwd = "/w",
		.prompt = ACP_LINE_SYSTEM_PROMPT,
		.instructions = "Be kind.",
	};
	acp_line_session(&out, 8, &spec);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"session/new\",\"params\":{"
		     "\"cwd\":\"/w\",\"mcpServers\":[],\"systemPrompt\":{\"mode\":\"append\","
		     "\"content\":[{\"type\":\"text\",\"text\":\"Be kind.\"}]}}}\n");
	json_decref(servers);
}

/* Its ids are handed back as they are. */
static void test_answers(void **state)
{
	struct strbuf out = STRBUF_EMPTY;
	json_t *number = json_integer(0), *text = json_string("a\"b");

	(void)state;
	acp_line_permit(&out, number, "yes");
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"outcome\":{\"outcome\":"
		     "\"selected\",\"optionId\":\"yes\"}}}\n");
	acp_line_permit(&out, number, NULL);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"outcome\":{\"outcome\":"
		     "\"cancelled\"}}}\n");
	acp_line_refuse(&out, text);
	expect(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"error\":{\"code\":-32601,"
		     "\"message\":\"Method not found\"}}\n");
	json_decref(number);
	json_decref(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
