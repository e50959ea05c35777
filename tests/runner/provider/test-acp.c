/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp.h"

#include <errno.h>
#include <inttypes.h>

#include "common/strbuf.h"
#include "runner/provider/registry.h"
#include "tests/runner/provider/fake-cli.h"

/* A shell script answers requests by their order: our ids count from 1. */
#define OPENED                                                                                \
	"take() { read -r line && echo \"$line\" >> in; }; "                                  \
	"take; echo '{\"id\":1,\"result\":{\"agentCapabilities\":{\"loadSession\":true}}}'; " \
	"take; echo '{\"id\":2,\"result\":{\"sessionId\":\"s\"}}'; "
#define CHUNK(text)                                                                          \
	"echo '{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s\",\"update\":{"  \
	"\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":" \
	"\"" text "\"}}}}'; "
#define END(id, reason) "echo '{\"id\":" #id ",\"result\":{\"stopReason\":\"" reason "\"}}'; "

struct world {
	struct loop *loop;
	struct children *children;
	struct loop_timer *timer;
	struct provider *provider;
	struct fake_cli cli;
	struct strbuf log;
	const char *until;
};

static void on_event(struct world *w)
{
	if (w->until && strstr(w->log.data, w->until))
		loop_stop(w->loop, 0);
}

static void on_ready(void *userdata)
{
	struct world *w = userdata;

	strbuf_puts(&w->log, "ready|");
	on_event(w);
}

static void on_init(void *userdata, const char *continuation)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "init %s|", continuation);
	on_event(w);
}

static void on_text(void *userdata, const char *text, size_t len)
{
	struct world *w = userdata;

	assert_int_equal(strlen(text), len);
	strbuf_printf(&w->log, "text %s|", text);
	on_event(w);
}

static void on_tool_start(void *userdata, const char *id, const char *name, int64_t timeout_ms)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "tool %s %s %" PRId64 "|", id, name, timeout_ms);
	on_event(w);
}

static void on_tool_end(void *userdata, const char *id)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "end %s|", id);
	on_event(w);
}

static void on_result(void *userdata, const struct provider_result *result)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "result %s %" PRIu64 " %s%s|", provider_error_name(result->error),
		      result->answered, result->text, result->interrupted ? "interrupted" : "");
	on_event(w);
}

static void on_activity(void *userdata)
{
	(void)userdata;
}

static void on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "exited %s %s|", provider_error_name(error), detail);
	loop_stop(w->loop, 0);
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .log = STRBUF_EMPTY };
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(children_new(world.loop, NULL, NULL, &world.children, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_timeout, &world, &world.timer), 0);
	loop_timer_arm(world.timer, 10000);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	acp_free(w->provider);
	children_free(w->children);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	strbuf_deinit(&w->log);
	fake_cli_remove(&w->cli);
	return 0;
}

static void start_as(struct world *w, const char *name, const char *continuation,
		     const char *script)
{
	static const struct provider_events events = {
		.ready = on_ready,
		.init = on_init,
		.text = on_text,
		.tool_start = on_tool_start,
		.tool_end = on_tool_end,
		.result = on_result,
		.activity = on_activity,
		.exited = on_exited,
	};
	const char *const command[] = { w->cli.path, NULL };
	const struct provider_query query = {
		.type = registry_find(name),
		.loop = w->loop,
		.children = w->children,
		.cwd = w->cli.folder,
		.continuation = continuation,
		.command = command,
	};

	fake_cli_make(&w->cli, script);
	assert_int_equal(query.type->start(&query, &events, w, &w->provider, NULL), 0);
	assert_ptr_equal(w->provider->type, query.type);
}

static void start(struct world *w, const char *script)
{
	start_as(w, "acp", NULL, script);
}

static void wait_for(struct world *w, const char *until)
{
	w->until = until;
	if (!w->log.data || !strstr(w->log.data, until))
		assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_non_null(strstr(w->log.data, until));
}

static void push(struct world *w, uint64_t id, const char *text)
{
	assert_int_equal(acp_push(w->provider, id, text, strlen(text), text[0] == '/'), 0);
}

static void expect_input(struct world *w, const char *text)
{
	char *input = fake_cli_read(&w->cli, "in");

	assert_non_null(strstr(input, text));
	free(input);
}

static void test_turn(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; " CHUNK("hello") END(3, "end_turn") "take");
	push(w, 7, "hi");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|init s|text hello|result ok 7 hello|");
	expect_input(w, "\"text\":\"hi\"");
	assert_false(acp_is_busy(w->provider));
}

static void test_second_push_waits_for_the_first_answer(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; " END(3, "end_turn") "take; " END(4, "end_turn") "take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "2 ");
	/* Without a word there is an empty answer. */
	assert_string_equal(w->log.data, "ready|init s|result ok 1 |result ok 2 |");
}

static void test_errors(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; "
			"echo '{\"id\":3,\"error\":{\"code\":-32603,\"message\":\"overloaded\"}}'; "
			"take; " END(4, "cancelled") "take; " END(5, "refusal") "take");
	push(w, 1, "one");
	push(w, 2, "two");
	push(w, 3, "three");
	wait_for(w, "result other");
	assert_string_equal(w->log.data, "ready|init s|result transient 1 overloaded|"
					 "result transient 2 cancelled|result other 3 refusal|");
}

static void test_error_that_is_only_said(void **state)
{
	struct world *w = *state;

	start_as(w, "copilot", NULL,
		 OPENED "take; " CHUNK("Error: 401 no") END(3, "end_turn") "take");
	push(w, 1, "one");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|init s|result auth 1 Error: 401 no|");
}

#define NOTICE "Info: Request failed due to a transient API error. Retrying..."

static void test_notices_of_its_own_tries(void **state)
{
	struct world *w = *state;

	start_as(w, "copilot", NULL,
		 OPENED "take; " CHUNK(NOTICE) CHUNK(NOTICE) CHUNK("Error: 401 no")
			 END(3, "end_turn") "take; " CHUNK(NOTICE) CHUNK("yes")
				 END(4, "end_turn") "take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "yes|");
	assert_non_null(strstr(w->log.data, "result auth 1 Error: 401 no|"));
	assert_non_null(strstr(w->log.data, "result ok 2 yes|"));
}

static void test_requests_of_the_agent(void **state)
{
	struct world *w = *state;

	/* Its id is that of our prompt. */
	start(w,
	      OPENED "take; echo '{\"id\":3,\"method\":\"session/request_permission\",\"params\":{"
		     "\"options\":[{\"kind\":\"reject_always\",\"optionId\":\"n\"},"
		     "{\"kind\":\"allow_once\",\"optionId\":\"once\"},"
		     "{\"kind\":\"allow_always\",\"optionId\":\"ever\"}]}}'; "
		     "take; echo '{\"id\":\"q\",\"method\":\"terminal/create\"}'; take; " END(
			     3, "end_turn") "take");
	push(w, 1, "one");
	wait_for(w, "result ok 1");
	expect_input(w, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"outcome\":{\"outcome\":"
			"\"selected\",\"optionId\":\"ever\"}}}");
	expect_input(w, "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"error\":{\"code\":-32601,");
}

static void test_interrupt(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; " CHUNK("half") "take; " END(3, "cancelled") "take; " END(
			 4, "end_turn") "take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "init");
	acp_interrupt(w->provider);
	push(w, 3, "three");
	wait_for(w, "result ok 3");
	assert_string_equal(w->log.data, "ready|init s|result ok 2 interrupted|result ok 3 |");
	expect_input(w, "\"session/cancel\",\"params\":{\"sessionId\":\"s\"}");
}

static void test_interrupt_that_came_too_late(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; " CHUNK("whole") "take; " END(3, "end_turn") "take");
	push(w, 1, "one");
	wait_for(w, "init");
	acp_interrupt(w->provider);
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|init s|text whole|result ok 1 whole|");
}

static void test_interrupt_of_nothing(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take");
	wait_for(w, "ready");
	acp_interrupt(w->provider);
	acp_stop(w->provider, 8000);
	wait_for(w, "exited");
	assert_string_equal(w->log.data, "ready|exited ok ended as asked|");
}

static void test_stop_cancels_a_turn_first(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; " CHUNK("x") "take; take");
	push(w, 1, "one");
	wait_for(w, "init");
	acp_stop(w->provider, 8000);
	wait_for(w, "exited");
	expect_input(w, "\"session/cancel\"");
}

static void test_load_that_hangs(void **state)
{
	struct world *w = *state;

	start_as(w, "acp", "s",
		 "read -r a; echo '{\"id\":1,\"result\":{\"agentCapabilities\":{\"loadSession\":"
		 "true}}}'; exec sleep 100");
	acp_set_resume_ms(w->provider, 50);
	wait_for(w, "exited");
	assert_string_equal(w->log.data,
			    "exited invalid_session the ACP agent was killed by signal "
			    "15: it does not open the conversation|");
}

/* A long conversation takes its time: as long as something comes of it, it is waited for. */
static void test_long_repetition(void **state)
{
	struct world *w = *state;

	start_as(w, "acp", "s",
		 "read -r a; echo '{\"id\":1,\"result\":{\"agentCapabilities\":{\"loadSession\":"
		 "true}}}'; read -r a; for i in 1 2 3 4 5 6; do sleep 0.1; " CHUNK(
			 "old") "done; echo '{\"id\":2,\"result\":{}}'; read -r a; " CHUNK("new")
			 END(3, "end_turn") "read -r a");
	acp_set_resume_ms(w->provider, 400);
	push(w, 1, "one");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|init s|text new|result ok 1 new|");
}

/* It repeats the conversation after its answer: that is no answer to anything. */
static void test_late_repetition(void **state)
{
	struct world *w = *state;

	start_as(w, "gemini", "s",
		 OPENED CHUNK("old") "sleep 0.1; " CHUNK("older") "take; " CHUNK("new")
			 END(3, "end_turn") "take");
	push(w, 1, "one");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|init s|text new|result ok 1 new|");
}

static void test_crash(void **state)
{
	struct world *w = *state;

	start(w, OPENED "take; echo boom >&2; exit 7");
	push(w, 1, "one");
	wait_for(w, "exited");
	assert_string_equal(w->log.data,
			    "ready|exited crashed the ACP agent ended with exit code 7: boom|");
}

static void test_missing(void **state)
{
	struct world *w = *state;
	const char *const command[] = { "/nonexistent/agent", NULL };
	struct provider_query query = { .type = registry_find("acp"), .command = command };
	struct err err;

	fake_cli_make(&w->cli, "exit 0");
	assert_int_equal(acp_probe(&query, &err), -ENOENT);
	query.command = (const char *const[]){ w->cli.path, NULL };
	assert_int_equal(acp_probe(&query, &err), 0);
	assert_memory_equal(err.text, "the ACP agent is /tmp/", 22);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_turn),
		TEST(test_second_push_waits_for_the_first_answer),
		TEST(test_errors),
		TEST(test_error_that_is_only_said),
		TEST(test_notices_of_its_own_tries),
		TEST(test_requests_of_the_agent),
		TEST(test_interrupt),
		TEST(test_interrupt_that_came_too_late),
		TEST(test_interrupt_of_nothing),
		TEST(test_stop_cancels_a_turn_first),
		TEST(test_load_that_hangs),
		TEST(test_long_repetition),
		TEST(test_late_repetition),
		TEST(test_crash),
		TEST(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
