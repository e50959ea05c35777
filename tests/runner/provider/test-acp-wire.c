/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-wire.h"

#include <inttypes.h>
#include <string.h>

#include "common/strbuf.h"
#include "tests/test.h"

#define UPDATE(members)                                                                            \
	"{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s\",\"update\":{" members "}}" \
	"}"
#define BLOCK(members) UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"content\":{" members "}")
#define CHUNK(text)    BLOCK("\"type\":\"text\",\"text\":\"" text "\"")
#define CHUNK_OF(id, text)                                                     \
	UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"messageId\":\"" id \
	       "\",\"content\":{\"type\":\"text\",\"text\":\"" text "\"}")
#define TOOL(members) UPDATE("\"sessionUpdate\":\"tool_call\"," members)

struct world {
	struct acp_wire *wire;
	struct strbuf log;
};

static void on_answer(void *userdata, int64_t id, const json_t *result, const json_t *error)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "answer %" PRId64 "%s%s|", id, result ? " result" : "",
		      error ? " error" : "");
}

static void on_request(void *userdata, const json_t *id, const char *method, const json_t *params)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "request %s %s%s|",
		      json_is_string(id) ? json_string_value(id) : "number", method,
		      params ? " params" : "");
}

static void on_text(void *userdata, const char *text, size_t len)
{
	struct world *w = userdata;

	assert_int_equal(strlen(text), len);
	strbuf_printf(&w->log, "text %s|", text);
}

static void on_tool_start(void *userdata, const char *id, const char *name)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "tool %s %s|", id, name);
}

static void on_tool_end(void *userdata, const char *id)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "end %s|", id);
}

static int setup(void **state)
{
	static const struct acp_wire_events events = {
		.answer = on_answer,
		.request = on_request,
		.text = on_text,
		.tool_start = on_tool_start,
		.tool_end = on_tool_end,
	};
	static struct world world;

	world = (struct world){ .log = STRBUF_EMPTY };
	world.wire = acp_wire_new(&events, &world);
	*state = &world;
	return world.wire ? acp_wire_begin(world.wire, "s") : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	acp_wire_free(w->wire);
	acp_wire_free(NULL);
	strbuf_deinit(&w->log);
	return 0;
}

static void say(struct world *w, const char *line)
{
	acp_wire_line(w->wire, line, strlen(line));
}

static void expect(struct world *w, const char *log)
{
	assert_string_equal(w->log.data ? w->log.data : "", log);
}

static void expect_end(struct world *w, const char *text)
{
	size_t len;

	assert_string_equal(acp_wire_end(w->wire, true, &len), text);
	assert_int_equal(len, strlen(text));
}

static void test_chunks_are_one_text(void **state)
{
	struct world *w = *state;

	say(w, CHUNK("one, "));
	say(w, CHUNK("two"));
	expect(w, "");
	expect_end(w, "one, two");
	expect(w, "text one, two|");
}

static void test_what_is_no_text_is_named(void **state)
{
	struct world *w = *state;

	say(w, CHUNK("see "));
	say(w, BLOCK("\"type\":\"image\",\"data\":\"aGk=\",\"mimeType\":\"image/png\""));
	say(w, BLOCK("\"type\":\"resource_link\",\"name\":\"a\",\"uri\":\"file:///a\""));
	say(w,
	    BLOCK("\"type\":\"resource\",\"resource\":{\"uri\":\"file:///b\",\"text\":\"words\"}"));
	say(w,
	    BLOCK("\"type\":\"resource\",\"resource\":{\"uri\":\"file:///c\",\"blob\":\"aGk=\"}"));
	expect_end(w, "see [image][resource_link: file:///a]words[resource: file:///c]");
	expect(w, "text see [image][resource_link: file:///a]words[resource: file:///c]|");
}

static void test_tool_call_ends_a_text(void **state)
{
	struct world *w = *state;

	say(w, CHUNK("before"));
	say(w, TOOL("\"toolCallId\":\"t\",\"kind\":\"execute\",\"title\":\"rm\",\"status\":"
		    "\"pending\""));
	say(w, TOOL("\"toolCallId\":\"t\",\"status\":\"in_progress\""));
	say(w, TOOL("\"toolCallId\":\"t\",\"status\":\"completed\""));
	say(w, TOOL("\"toolCallId\":\"t\",\"status\":\"failed\""));
	say(w, CHUNK("after"));
	expect_end(w, "after");
	expect(w, "text before|tool t execute|end t|text after|");
}

static void test_new_message_ends_a_text(void **state)
{
	struct world *w = *state;

	say(w, CHUNK_OF("1", "a"));
	say(w, CHUNK_OF("1", "b"));
	say(w, CHUNK_OF("2", "c"));
	expect(w, "text ab|");
	expect_end(w, "c");
}

static void test_names_of_tools(void **state)
{
	struct world *w = *state;

	say(w, TOOL("\"toolCallId\":\"1\",\"kind\":\"other\",\"title\":\"send_message\""));
	say(w, TOOL("\"toolCallId\":\"2\""));
	say(w, TOOL("\"kind\":\"read\""));
	expect(w, "tool 1 send_message|tool 2 tool|");
}

/* What the agent never says to have ended ends with the turn. */
static void test_tools_end_with_the_turn(void **state)
{
	struct world *w = *state;
	size_t len;

	say(w, CHUNK("half"));
	say(w, TOOL("\"toolCallId\":\"1\",\"kind\":\"read\""));
	say(w, CHUNK("more"));
	assert_string_equal(acp_wire_end(w->wire, false, &len), "more");
	expect(w, "text half|tool 1 read|end 1|");
}

static void test_nothing_is_heard_outside_of_a_turn(void **state)
{
	struct world *w = *state;

	expect_end(w, "");
	say(w, CHUNK("late"));
	say(w, TOOL("\"toolCallId\":\"1\""));
	expect_end(w, "");
	assert_int_equal(acp_wire_begin(w->wire, "another"), 0);
	say(w, CHUNK("of a stranger"));
	expect_end(w, "");
	expect(w, "");
}

static void test_answers_and_requests(void **state)
{
	struct world *w = *state;

	say(w, "{\"id\":1,\"result\":{}}");
	say(w, "{\"id\":2,\"error\":{}}");
	say(w, "{\"id\":\"x\",\"result\":{}}");
	say(w, "{\"id\":1,\"method\":\"m\"}");
	say(w, "{\"id\":\"x\",\"method\":\"m\",\"params\":{}}");
	say(w, "{\"method\":\"notification\"}");
	expect(w, "answer 1 result|answer 2 error|request number m|request x m params|");
}

/* Some name a tool first where they ask for its permission. */
static void test_permission_starts_a_tool(void **state)
{
	struct world *w = *state;

	say(w, "{\"id\":0,\"method\":\"session/request_permission\",\"params\":{\"toolCall\":{"
	       "\"toolCallId\":\"1\",\"kind\":\"edit\"}}}");
	expect(w, "tool 1 edit|request number session/request_permission params|");
}

static void test_commands(void **state)
{
	struct world *w = *state;

	assert_false(acp_wire_knows_commands(w->wire));
	say(w, UPDATE("\"sessionUpdate\":\"available_commands_update\",\"availableCommands\":["
		      "{\"name\":\"init\"},{\"name\":\"/help\"},{},7]"));
	assert_true(acp_wire_knows_commands(w->wire));
	assert_true(acp_wire_has_command(w->wire, "/init"));
	assert_true(acp_wire_has_command(w->wire, "/help"));
	assert_false(acp_wire_has_command(w->wire, "init"));
	say(w, UPDATE("\"sessionUpdate\":\"available_commands_update\",\"availableCommands\":[]"));
	assert_false(acp_wire_has_command(w->wire, "/init"));
}

static void test_noise(void **state)
{
	struct world *w = *state;

	say(w, "");
	say(w, "Welcome");
	say(w, "[]");
	say(w, "{ not JSON");
	say(w, "{}");
	say(w, UPDATE("\"sessionUpdate\":\"of the future\""));
	say(w, BLOCK("\"type\":\"text\""));
	say(w, BLOCK(""));
	say(w, UPDATE("\"sessionUpdate\":7"));
	expect(w, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chunks_are_one_text),
		TEST(test_what_is_no_text_is_named),
		TEST(test_tool_call_ends_a_text),
		TEST(test_new_message_ends_a_text),
		TEST(test_names_of_tools),
		TEST(test_tools_end_with_the_turn),
		TEST(test_nothing_is_heard_outside_of_a_turn),
		TEST(test_answers_and_requests),
		TEST(test_permission_starts_a_tool),
		TEST(test_commands),
		TEST(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
