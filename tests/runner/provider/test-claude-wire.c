/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "runner/io/json.h"
#include "tests/capture.h"
#include "tests/test.h"

/* Streams recorded from the real CLI, by version and scenario; see record_claude.py there. */
#define OLD	 "2.1.128"
#define NEW	 "2.1.329"

#define MAX_LINE (1024 * 1024)

/* Everything that was raised, as text. */
struct world {
	struct claude_wire *wire;
	struct strbuf log;
};

static void on_answer(void *userdata, const char *id, const json_t *response, const char *error)
{
	struct world *w = userdata;
	const char *cancelled = json_member_bool(response, "cancelled", false) ? " cancelled" : "";

	strbuf_printf(&w->log, "answer %s%s%s%s|", id, cancelled, error ? ": " : "",
		      error ? error : "");
}

static void on_request(void *userdata, const char *id, const char *subtype)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "request %s %s|", id, subtype);
}

static void on_server(void *userdata, const char *name, const char *status)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "server %s %s|", name, status);
}

static void on_init(void *userdata, const char *conversation)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "init %zu|", strlen(conversation));
}

static void on_text(void *userdata, const char *text, size_t len)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "text %.40s%s|", text, len > 40 ? "…" : "");
}

static void on_tool_start(void *userdata, const char *id, const char *name, int64_t timeout_ms)
{
	struct world *w = userdata;

	assert_true(*id != '\0');
	strbuf_printf(&w->log, "tool %s %lld|", name, (long long)timeout_ms);
}

static void on_tool_end(void *userdata, const char *id)
{
	struct world *w = userdata;

	assert_true(*id != '\0');
	strbuf_puts(&w->log, "tool ends|");
}

static void on_replayed(void *userdata, const char *uuid)
{
	struct world *w = userdata;

	/* What the CLI says by itself bears a UUID of its own. */
	if (strncmp(uuid, "00000000-", 9) == 0)
		strbuf_printf(&w->log, "replayed %s|", uuid + strlen(uuid) - 1);
}

static void on_result(void *userdata, const struct claude_wire_result *result)
{
	struct world *w = userdata;
	const json_t *uuid;
	size_t i;

	strbuf_printf(&w->log, "result %s %.40s", provider_error_name(result->error), result->text);
	json_array_foreach(result->answers, i, uuid) strbuf_printf(
		&w->log, " #%s", json_string_value(uuid) + json_string_length(uuid) - 1);
	if (result->is_background)
		strbuf_puts(&w->log, " background");
	if (result->is_repetition)
		strbuf_puts(&w->log, " again");
	if (result->retry_at_ms)
		strbuf_printf(&w->log, " until %lld", (long long)result->retry_at_ms);
	strbuf_puts(&w->log, "|");
}

static void on_compacted(void *userdata)
{
	struct world *w = userdata;

	strbuf_puts(&w->log, "compacted|");
}

static void on_idle(void *userdata, bool is_idle)
{
	struct world *w = userdata;

	if (is_idle)
		strbuf_puts(&w->log, "idle|");
}

static int setup(void **state)
{
	static const struct claude_wire_events events = {
		.answer = on_answer,
		.request = on_request,
		.server = on_server,
		.init = on_init,
		.text = on_text,
		.tool_start = on_tool_start,
		.tool_end = on_tool_end,
		.replayed = on_replayed,
		.result = on_result,
		.compacted = on_compacted,
		.idle = on_idle,
	};
	static struct world world;

	world = (struct world){ .log = STRBUF_EMPTY };
	world.wire = claude_wire_new(&events, &world);
	assert_non_null(world.wire);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	claude_wire_free(w->wire);
	strbuf_deinit(&w->log);
	return 0;
}

static void line(struct world *w, const char *text)
{
	claude_wire_line(w->wire, text, strlen(text));
}

static const char *said(struct world *w)
{
	return w->log.len ? w->log.data : "";
}

/* Plays a recording from its beginning, or on to the line that holds `until`. */
static void play_until(struct world *w, const char *version, const char *scenario,
		       const char *until)
{
	char path[512], *text = malloc(MAX_LINE);
	FILE *file;

	snprintf(path, sizeof(path), "%s/claude-%s-%s.ndjson", TEST_FIXTURES, version, scenario);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(text);
	strbuf_reset(&w->log);
	while (fgets(text, MAX_LINE, file)) {
		text[strcspn(text, "\n")] = '\0';
		line(w, text);
		if (until && strstr(text, until))
			break;
	}
	assert_true(!until || !feof(file));
	fclose(file);
	free(text);
}

static const char *play(struct world *w, const char *version, const char *scenario)
{
	play_until(w, version, scenario, NULL);
	return said(w);
}

/* Recordings */

static void test_tool(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "tool"),
			    "init 36|replayed 1|text on it|tool Bash 5000|tool ends|text first|"
			    "text second|result ok second|idle|");
	assert_string_equal(play(w, NEW, "tool"),
			    "init 36|replayed 1|text on it|tool Bash 5000|tool ends|text first|"
			    "text second|result ok second #1|idle|");
}

static void test_follow_up_folds_into_the_turn(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "follow-up"),
			    "init 36|replayed 1|tool Bash -1|tool ends|replayed 2|text both|"
			    "result ok both|idle|");
	assert_string_equal(play(w, NEW, "follow-up"),
			    "init 36|replayed 1|tool Bash -1|tool ends|replayed 2|text both|"
			    "result ok both #1 #2|idle|");
}

static void test_push_while_text_streams_gets_its_own_turn(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "streaming"),
			    "init 36|replayed 1|text first answer|result ok first answer|init 36|"
			    "replayed 2|text second answer|result ok second answer|idle|");
	assert_string_equal(play(w, NEW, "streaming"),
			    "init 36|replayed 1|text first answer|result ok first answer #1|"
			    "init 36|replayed 2|text second answer|result ok second answer #2|"
			    "idle|");
}

static void test_errors_are_no_texts(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "overloaded"),
			    "init 36|replayed 1|result transient API Error: 529 scripted failure. "
			    "This is|idle|");
	assert_string_equal(play(w, NEW, "overloaded"),
			    "init 36|replayed 1|result transient API Error: 529 scripted failure. "
			    "This is #1|idle|");
	assert_string_equal(play(w, OLD, "unauthorized"),
			    "init 36|replayed 1|result auth Failed to authenticate. API Error: 401 "
			    "{|idle|");
	assert_string_equal(play(w, NEW, "unauthorized"),
			    "init 36|replayed 1|result auth Failed to authenticate. API Error: 401 "
			    "s #1|idle|");
	assert_string_equal(play(w, OLD, "too-long"),
			    "init 36|replayed 1|result too_long Prompt is too long|idle|");
	assert_string_equal(play(w, NEW, "too-long"), "init 36|replayed 1|result too_long Prompt "
						      "is too long · the request is ~21 #1|idle|");
}

static void test_usage_limit(void **state)
{
	struct world *w = *state;

	play(w, OLD, "limited");
	assert_non_null(strstr(said(w), "result quota You've hit your "));
	assert_non_null(strstr(said(w), " until 4102444800000|idle|"));
	play(w, NEW, "limited");
	assert_non_null(strstr(said(w), "result quota You've hit your "));
	assert_non_null(strstr(said(w), " until 4102444800000|idle|"));
}

/* A limit belongs to the request that met it. */
static void test_limit_is_forgotten(void **state)
{
	struct world *w = *state;

	play(w, OLD, "limited");
	play(w, OLD, "overloaded");
	assert_non_null(strstr(said(w), "result transient "));
}

static void test_limit_that_ends_at_no_time(void **state)
{
	struct world *w = *state;

	line(w, "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\","
		"\"resetsAt\":9223372036854775807}}");
	line(w, "{\"type\":\"result\",\"is_error\":true,\"api_error_status\":429,"
		"\"result\":\"limited\"}");
	assert_string_equal(said(w), "result transient limited|");
}

/* A CLI that writes for people, line after line, must not fill the log. */
static void test_noise_is_warned_of_once(void **state)
{
	static struct capture capture;
	struct world *w = *state;

	capture_start(&capture, STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		line(w, "{ words");
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: a line of the agent is not JSON: line 1, "
			    "column 7: string or '}' expected\n");
}

static void test_a_broken_message_is_said_once(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "torn"),
			    "init 36|replayed 1|text whole|result ok whole|idle|");
	play(w, NEW, "torn");
	assert_null(strstr(said(w), "text This answer is never complete."));
	assert_non_null(strstr(said(w), "text whole|result ok whole #1|idle|"));
}

static void test_interrupt(void **state)
{
	struct world *w = *state;

	play(w, OLD, "interrupted");
	assert_non_null(strstr(said(w), "000000000002 cancelled|answer interrupt|"));
	assert_non_null(strstr(said(w), "replayed 1|result other [ede_diagnostic]"));
	assert_null(strstr(said(w), "text "));
	play(w, NEW, "interrupted");
	assert_non_null(strstr(said(w), "000000000002 cancelled|answer interrupt|"));
	assert_non_null(strstr(said(w), "result other "));
	assert_null(strstr(said(w), "text "));
}

static void test_commands(void **state)
{
	struct world *w = *state;

	assert_false(claude_wire_has_command(w->wire, "/compact"));
	play(w, OLD, "commands");
	assert_non_null(strstr(said(w), "answer initialize|init 36|replayed 1|text hello|"
					"result ok hello|idle|init 36|compacted|result ok |idle|"));
	assert_non_null(strstr(said(w), "result ok Total cost:"));
	assert_true(claude_wire_has_command(w->wire, "/compact"));
	assert_true(claude_wire_has_command(w->wire, "/usage"));
	assert_false(claude_wire_has_command(w->wire, "compact"));
	assert_false(claude_wire_has_command(w->wire, "/etc/hosts"));
	play(w, NEW, "commands");
	assert_non_null(strstr(said(w), "compacted|replayed 2|result ok  #2|idle|"));
	assert_non_null(strstr(said(w), "replayed 3|result ok Estimated cost:"));
}

static void test_background_work(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		const char *version = i ? NEW : OLD;

		play_until(w, version, "background", "\"type\":\"result\"");
		assert_true(claude_wire_has_tasks(w->wire));
		play(w, version, "background");
		assert_false(claude_wire_has_tasks(w->wire));
		assert_non_null(strstr(said(w), "text started|result ok started"));
		assert_non_null(
			strstr(said(w), "text finished|result ok finished background|idle|"));
	}
}

/* Its tools are a matter of liveness, its words are not the agent's. */
static void test_subagent(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "subagent"),
			    "init 36|replayed 1|tool Agent -1|tool Bash -1|tool ends|tool ends|"
			    "text all done|result ok all done|idle|");
	play(w, NEW, "subagent");
	assert_null(strstr(said(w), "text errand done"));
	assert_non_null(strstr(said(w), "tool Agent -1|tool ends|"));
	assert_non_null(strstr(said(w), "tool Bash -1|"));
	assert_false(claude_wire_has_tasks(w->wire));
}

static void test_unknown_session(void **state)
{
	struct world *w = *state;

	assert_string_equal(play(w, OLD, "unknown"),
			    "result other No conversation found with session ID: 1|");
	assert_string_equal(play(w, NEW, "unknown"),
			    "result other No conversation found with session ID: 1|");
}

/* Lines made by hand: what a recording does not hold */

#define MESSAGE(type, content)                                      \
	"{\"message\":{\"content\":[" content "]},\"type\":\"" type \
	"\",\"parent_tool_use_id\":null}"
#define TEXT(text)   "{\"type\":\"text\",\"text\":\"" text "\"}"
#define EVENT(event) "{\"type\":\"stream_event\",\"event\":{\"type\":\"" event "\"}}"
#define RESULT(text) "{\"type\":\"result\",\"is_error\":false,\"result\":\"" text "\"}"

static void test_text_outside_of_a_stream_is_raised_at_once(void **state)
{
	struct world *w = *state;

	line(w, MESSAGE("assistant", TEXT("one") "," TEXT("two")));
	assert_string_equal(said(w), "text one|text two|");
}

static void test_text_waits_for_the_end_of_its_message(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("one")));
	line(w, EVENT("content_block_stop"));
	assert_string_equal(said(w), "");
	line(w, EVENT("message_delta"));
	assert_string_equal(said(w), "text one|");
	line(w, EVENT("message_stop"));
	line(w, RESULT("one"));
	assert_string_equal(said(w), "text one|result ok one|");
}

static void test_tool_call_brings_the_text_before_it(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("on it")));
	line(w, MESSAGE("assistant", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"Read\","
				     "\"input\":{}}"));
	assert_string_equal(said(w), "text on it|tool Read -1|");
}

static void test_message_that_is_begun_anew_replaces_the_first(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("given up")));
	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("again")));
	line(w, EVENT("message_delta"));
	assert_string_equal(said(w), "text again|");
}

static void test_message_that_goes_on_is_put_together(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("first") "," TEXT("<message to='a'>on")));
	line(w, EVENT("message_stop"));
	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("e</message>")));
	line(w, EVENT("message_delta"));
	assert_string_equal(said(w), "text first|text <message to='a'>one</message>|");
}

static void test_half_a_message_is_dropped_with_an_error(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("half")));
	line(w, "{\"type\":\"result\",\"is_error\":true,\"result\":\"API Error: gone\"}");
	assert_string_equal(said(w), "result other API Error: gone|");
	strbuf_reset(&w->log);
	line(w, MESSAGE("assistant", TEXT("next")));
	assert_string_equal(said(w), "text next|");
}

static void test_half_a_message_is_raised_with_a_good_result(void **state)
{
	struct world *w = *state;

	line(w, EVENT("message_start"));
	line(w, MESSAGE("assistant", TEXT("half")));
	line(w, RESULT("half"));
	assert_string_equal(said(w), "text half|result ok half|");
}

static void test_events_of_a_subagent_hold_nothing_up(void **state)
{
	struct world *w = *state;

	line(w, "{\"type\":\"stream_event\",\"parent_tool_use_id\":\"t\","
		"\"event\":{\"type\":\"message_start\"}}");
	line(w, MESSAGE("assistant", TEXT("now")));
	assert_string_equal(said(w), "text now|");
}

static void test_control(void **state)
{
	struct world *w = *state;

	line(w, "{\"type\":\"control_request\",\"request_id\":\"q\","
		"\"request\":{\"subtype\":\"can_use_tool\"}}");
	line(w, "{\"type\":\"control_request\",\"request_id\":\"r\"}");
	line(w, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
		"\"request_id\":\"initialize\",\"error\":\"no\"}}");
	line(w, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
		"\"request_id\":\"x\"}}");
	assert_string_equal(said(w), "request q can_use_tool|request r unnamed|"
				     "answer initialize: no|answer x: refused without a reason|");
}

/* At the beginning of each turn, and when it was asked. */
static void test_servers(void **state)
{
	struct world *w = *state;
	cleanup_json json_t *servers = NULL;
	static const char list[] = "[{\"name\":\"a\",\"status\":\"failed\",\"error\":\"ENOENT\"}]";

	line(w, "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"12\",\"mcp_servers\":"
		"[{\"name\":\"a b\",\"status\":\"connected\"},{\"name\":\"c\"},7,null,[],"
		"{\"status\":\"failed\"},{\"name\":7,\"status\":\"failed\"},"
		"{\"name\":\"d\",\"status\":\"needs-auth\"}]}");
	line(w, "{\"type\":\"system\",\"subtype\":\"init\",\"mcp_servers\":{\"a\":1}}");
	line(w, "{\"type\":\"system\",\"subtype\":\"init\",\"mcp_servers\":null}");
	claude_wire_servers(w->wire, NULL);
	assert_string_equal(said(w), "server a b connected|server d needs-auth|init 2|");
	strbuf_reset(&w->log);
	assert_int_equal(json_parse(list, strlen(list), &servers, NULL), 0);
	claude_wire_servers(w->wire, servers);
	assert_string_equal(said(w), "server a failed|");
}

static void test_odd_lines_are_ignored(void **state)
{
	static const char *const lines[] = {
		"",
		"Welcome!",
		"{",
		"[]",
		"{}",
		"{\"type\":5}",
		"{\"type\":\"keep_alive\"}",
		"{\"type\":\"system\"}",
		"{\"type\":\"system\",\"subtype\":\"init\"}",
		"{\"type\":\"system\",\"subtype\":\"task_started\"}",
		"{\"type\":\"assistant\"}",
		"{\"type\":\"assistant\",\"message\":{\"content\":\"words\"}}",
		"{\"type\":\"assistant\",\"message\":{\"content\":[5,{\"type\":\"tool_use\"}]}}",
		("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":5}]"
		 "}"
		 "}"),
		"{\"type\":\"user\",\"isReplay\":true}",
		"{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\"}]}}",
		"{\"type\":\"stream_event\"}",
		"{\"type\":\"control_request\"}",
		"{\"type\":\"control_response\"}",
		"{\"type\":\"rate_limit_event\"}",
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		line(w, lines[i]);
	assert_string_equal(said(w), "");
}

static void test_result_without_words(void **state)
{
	struct world *w = *state;

	line(w, "{\"type\":\"result\"}");
	line(w, "{\"type\":\"result\",\"is_error\":true,\"subtype\":\"error_max_turns\","
		"\"errors\":[\"too many\"]}");
	assert_string_equal(said(w), "result ok |result other too many|");
}

/* An interrupted subagent of the old CLI leaves its task open; being idle ends it. */
static void test_a_result_that_is_repeated_is_told_apart(void **state)
{
	struct world *w = *state;

	line(w, RESULT("done"));
	line(w, RESULT("done"));
	line(w, RESULT("more"));
	/* What something stands before is another. */
	line(w, MESSAGE("assistant", TEXT("more")));
	line(w, RESULT("more"));
	line(w, "{\"type\":\"system\",\"subtype\":\"init\"}");
	line(w, RESULT("more"));
	assert_string_equal(said(w), "result ok done|result ok done again|result ok more|"
				     "text more|result ok more|result ok more|");
}

static void test_idle_ends_the_tasks_of_a_cli_that_does_not_list_them(void **state)
{
	struct world *w = *state;

	line(w, "{\"type\":\"system\",\"subtype\":\"task_started\",\"task_id\":\"a\"}");
	assert_true(claude_wire_has_tasks(w->wire));
	line(w, "{\"type\":\"system\",\"subtype\":\"session_state_changed\",\"state\":\"idle\"}");
	assert_false(claude_wire_has_tasks(w->wire));
	line(w, "{\"type\":\"system\",\"subtype\":\"background_tasks_changed\","
		"\"tasks\":[{\"task_id\":\"a\"}]}");
	line(w, "{\"type\":\"system\",\"subtype\":\"session_state_changed\",\"state\":\"idle\"}");
	assert_true(claude_wire_has_tasks(w->wire));
}

/* What they brought is told by the time that the CLI is idle. */
static void test_tasks_that_have_ended_count_until_the_cli_is_idle(void **state)
{
	static const char *const idle = "{\"type\":\"system\",\"subtype\":"
					"\"session_state_changed\",\"state\":\"idle\"}";
	struct world *w = *state;

	assert_false(claude_wire_had_tasks(w->wire));
	line(w, "{\"type\":\"system\",\"subtype\":\"background_tasks_changed\","
		"\"tasks\":[{\"task_id\":\"a\"}]}");
	line(w, idle);
	assert_true(claude_wire_had_tasks(w->wire));
	line(w, "{\"type\":\"system\",\"subtype\":\"background_tasks_changed\",\"tasks\":[]}");
	assert_false(claude_wire_has_tasks(w->wire));
	assert_true(claude_wire_had_tasks(w->wire));
	line(w, idle);
	assert_false(claude_wire_had_tasks(w->wire));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tool),
		TEST(test_follow_up_folds_into_the_turn),
		TEST(test_push_while_text_streams_gets_its_own_turn),
		TEST(test_errors_are_no_texts),
		TEST(test_usage_limit),
		TEST(test_limit_is_forgotten),
		TEST(test_limit_that_ends_at_no_time),
		TEST(test_noise_is_warned_of_once),
		TEST(test_a_broken_message_is_said_once),
		TEST(test_interrupt),
		TEST(test_commands),
		TEST(test_background_work),
		TEST(test_subagent),
		TEST(test_unknown_session),
		TEST(test_text_outside_of_a_stream_is_raised_at_once),
		TEST(test_text_waits_for_the_end_of_its_message),
		TEST(test_tool_call_brings_the_text_before_it),
		TEST(test_message_that_is_begun_anew_replaces_the_first),
		TEST(test_message_that_goes_on_is_put_together),
		TEST(test_half_a_message_is_dropped_with_an_error),
		TEST(test_half_a_message_is_raised_with_a_good_result),
		TEST(test_events_of_a_subagent_hold_nothing_up),
		TEST(test_control),
		TEST(test_servers),
		TEST(test_odd_lines_are_ignored),
		TEST(test_result_without_words),
		TEST(test_a_result_that_is_repeated_is_told_apart),
		TEST(test_idle_ends_the_tasks_of_a_cli_that_does_not_list_them),
		TEST(test_tasks_that_have_ended_count_until_the_cli_is_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
