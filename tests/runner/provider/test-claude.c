/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude.h"

#include <errno.h>
#include <inttypes.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "tests/capture.h"
#include "tests/runner/provider/fake-cli.h"

/* What the scripts have in common. Each line that they take is kept in the file `seen`. */
#define SCRIPT                                                                                   \
	"say() { printf '%s\\n' \"$1\"; }\n"                                                     \
	"take() { IFS= read -r line && printf '%s\\n' \"$line\" >> seen; }\n"                    \
	"user() { take; u=${line##*uuid\\\":\\\"}; u=${u%%\\\"*}; }\n"                           \
	"ready() { take; say '{\"type\":\"control_response\",\"response\":{\"subtype\":"         \
	"\"success\",\"request_id\":\"initialize\",\"response\":{\"commands\":[{\"name\":"       \
	"\"cost\"}]}}}'; }\n"                                                                    \
	"replay() { say '{\"type\":\"user\",\"isReplay\":true,\"uuid\":\"'$1'\"}'; }\n"          \
	"result() { say '{\"type\":\"result\",\"is_error\":false,\"result\":\"'\"$1\"'\"}'; }\n" \
	"aborted() { say '{\"type\":\"result\",\"subtype\":\"error_during_execution\","          \
	"\"is_error\":true,\"errors\":[\"aborted\"]}'; }\n"                                      \
	"accept() { say '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\","  \
	"\"request_id\":\"'$1'\",\"response\":{\"cancelled\":'$2'}}}'; }\n"                      \
	"init() { say '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"'$1'\"}'; }\n" \
	"state() { say '{\"type\":\"system\",\"subtype\":\"session_state_changed\",\"state\":\"" \
	"'$1'\"}'; }\n"

struct world {
	struct loop *loop;
	struct children *children;
	struct loop_timer *timer;
	struct provider *provider;
	struct fake_cli cli;
	struct strbuf log; /* what was raised, each followed by | */
	size_t activities;
	const char *until; /* the loop stops once the log holds this */
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

	strbuf_printf(&w->log, "result %s %" PRIu64 " %s%s%s|", provider_error_name(result->error),
		      result->answered, result->text, result->interrupted ? "interrupted" : "",
		      result->missing ? "missing" : "");
	on_event(w);
}

static void on_server(void *userdata, const char *name, const char *status)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "server %s %s|", name, status);
	on_event(w);
}

static void on_compacted(void *userdata)
{
	struct world *w = userdata;

	strbuf_puts(&w->log, "compacted|");
	on_event(w);
}

static void on_activity(void *userdata)
{
	struct world *w = userdata;

	w->activities++;
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

	claude_provider.free(w->provider);
	children_free(w->children);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	strbuf_deinit(&w->log);
	fake_cli_remove(&w->cli);
	return 0;
}

static void start_query(struct world *w, struct provider_query *query)
{
	static const struct provider_events events = {
		.ready = on_ready,
		.init = on_init,
		.text = on_text,
		.tool_start = on_tool_start,
		.tool_end = on_tool_end,
		.result = on_result,
		.server = on_server,
		.compacted = on_compacted,
		.activity = on_activity,
		.exited = on_exited,
	};

	query->loop = w->loop;
	query->children = w->children;
	query->cwd = w->cli.folder;
	assert_int_equal(claude_provider.start(query, &events, w, &w->provider, NULL), 0);
	assert_ptr_equal(w->provider->type, &claude_provider);
}

static void start(struct world *w, const char *script)
{
	struct provider_query query = { .instructions = "You are Robin." };

	fake_cli_make(&w->cli, script);
	start_query(w, &query);
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
	assert_int_equal(claude_provider.push(w->provider, id, text, strlen(text), text[0] == '/'),
			 0);
}

/* Do the lines that the script took hold this? */
static bool saw(struct world *w, const char *part)
{
	char *text = fake_cli_read(&w->cli, "seen");
	bool found = strstr(text, part) != NULL;

	free(text);
	return found;
}

/* Beginning */

static void test_initialize(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; take");
	assert_false(claude_provider.has_command(w->provider, "/cost"));
	wait_for(w, "ready|");
	assert_true(saw(w, "{\"subtype\":\"initialize\",\"hooks\":{},"
			   "\"appendSystemPrompt\":\"You are Robin.\"}"));
	assert_true(claude_provider.has_command(w->provider, "/cost"));
	assert_false(claude_provider.has_command(w->provider, "/tmp"));
	assert_false(claude_provider.is_busy(w->provider));
	assert_int_equal(w->activities, 1);
}

static void test_refusal_to_initialize(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "take; say '{\"type\":\"control_response\",\"response\":{\"subtype\":"
			"\"error\",\"request_id\":\"initialize\",\"error\":\"too old\"}}'; take");
	wait_for(w, "exited ");
	assert_string_equal(w->log.data,
			    "exited unavailable Claude Code was killed by signal 15: too old|");
}

/* Asked as soon as it is ready, and told again with each turn. */
static void test_servers(void **state)
{
	struct world *w = *state;
	json_t *servers = json_pack("{s:{s:s}}", "nanoclaw", "command", "x");
	struct provider_query query = { .mcp_servers = servers, .config_dir = w->cli.folder };
	char argument[128];
	char *list;

	fake_cli_make(&w->cli,
		      SCRIPT "printf '%s\\n' \"$@\" > seen; ready; take; say '{\"type\":"
			     "\"control_response\",\"response\":{\"subtype\":\"success\","
			     "\"request_id\":\"mcp-status\",\"response\":{\"mcpServers\":["
			     "{\"name\":\"nanoclaw\",\"status\":\"connected\"},"
			     "{\"name\":\"b\",\"status\":\"pending\"}]}}}'; user; "
			     "say '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\","
			     "\"mcp_servers\":[{\"name\":\"b\",\"status\":\"failed\"}]}'; take");
	start_query(w, &query);
	wait_for(w, "b pending|");
	assert_string_equal(w->log.data, "ready|server nanoclaw connected|server b pending|");
	push(w, 1, "hello");
	wait_for(w, "init s|");
	assert_non_null(strstr(w->log.data, "pending|server b failed|init s|"));
	(void)snprintf(argument, sizeof(argument), "--mcp-config=%s/mcp-servers.json\n",
		       w->cli.folder);
	assert_true(saw(w, argument));
	assert_true(saw(w, "{\"type\":\"control_request\",\"request_id\":\"mcp-status\","
			   "\"request\":{\"subtype\":\"mcp_status\"}}\n"));
	list = fake_cli_read(&w->cli, "mcp-servers.json");
	assert_string_equal(list, "{\"mcpServers\":{\"nanoclaw\":{\"command\":\"x\"}}}\n");
	free(list);
	json_decref(servers);
}

/* A CLI that knows no such request is as good as any. */
static void test_servers_are_not_told(void **state)
{
	struct world *w = *state;
	json_t *servers = json_pack("{s:{s:s}}", "nanoclaw", "command", "x");
	struct provider_query query = { .mcp_servers = servers, .config_dir = w->cli.folder };

	fake_cli_make(&w->cli,
		      SCRIPT "ready; take; say '{\"type\":\"control_response\",\"response\":"
			     "{\"subtype\":\"error\",\"request_id\":\"mcp-status\",\"error\":"
			     "\"unknown\"}}'; user; replay $u; result one; take");
	start_query(w, &query);
	push(w, 1, "hello");
	wait_for(w, "one|");
	assert_string_equal(w->log.data, "ready|result ok 1 one|");
	json_decref(servers);
}

static void test_no_servers(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; result one; take");
	push(w, 1, "hello");
	wait_for(w, "one|");
	assert_false(saw(w, "mcp_status"));
}

static void test_pushes_wait_until_it_is_ready(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; init s-1; replay $u; result one; user; replay $u; "
			"result two; take");
	push(w, 1, "first");
	push(w, 2, "second");
	wait_for(w, "two|");
	assert_string_equal(w->log.data, "ready|init s-1|result ok 1 one|result ok 2 two|");
	assert_true(saw(w, "\"content\":\"first\""));
}

static void test_unknown_conversation(void **state)
{
	struct provider_query query = { .continuation = "1" };
	struct world *w = *state;

	/* Its result bears an id, too: one of nothing. */
	fake_cli_make(&w->cli,
		      SCRIPT "say '{\"type\":\"result\",\"subtype\":\"error_during_execution\","
			     "\"is_error\":true,\"session_id\":\"random\",\"errors\":"
			     "[\"No conversation found with session ID: 1\"]}'; exit 1");
	start_query(w, &query);
	push(w, 1, "hello");
	wait_for(w, "exited ");
	assert_string_equal(w->log.data,
			    "exited invalid_session Claude Code ended with exit code 1: "
			    "No conversation found with session ID: 1|");
}

static void test_conversation_is_told_when_it_changes(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; init s-1; init s-1; init s-2; take");
	wait_for(w, "s-2|");
	assert_string_equal(w->log.data, "ready|init s-1|init s-2|");
}

/* Results */

static void test_one_result_answers_all_that_was_consumed(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; a=$u; user; replay $a; replay $u; result both; user; "
			"replay other; result third; take");
	push(w, 1, "one");
	push(w, 2, "two");
	push(w, 3, "three");
	wait_for(w, "third|");
	assert_string_equal(w->log.data, "ready|result ok 2 both|result ok 3 third|");
}

static void test_result_that_names_what_it_answers(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; a=$u; user; replay $a; replay $u; "
			"say '{\"user_message_uuids\":[\"'$a'\"],\"result\":\"a\",\"type\":"
			"\"result\"}'; say '{\"user_message_uuids\":[\"x\"],\"result\":\"x\","
			"\"type\":\"result\"}'; say '{\"user_message_uuids\":[\"'$u'\"],"
			"\"result\":\"b\",\"type\":\"result\"}'; take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "b|");
	assert_string_equal(w->log.data, "ready|result ok 1 a|result ok 0 x|result ok 2 b|");
}

static void test_result_without_a_replay_answers_the_oldest(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; user; result one; result two; take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "two|");
	assert_string_equal(w->log.data, "ready|result ok 1 one|result ok 2 two|");
}

static void test_result_that_is_repeated_answers_nothing_twice(void **state)
{
	struct world *w = *state;

	/* The second message is with it, and not begun, when the first one's result comes again. */
	start(w, SCRIPT "ready; user; replay $u; user; result one; result one; replay $u; "
			"result two; take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "two|");
	assert_string_equal(w->log.data, "ready|result ok 1 one|result ok 2 two|");
}

static void test_background_work_answers_nothing(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; say '{\"type\":\"system\",\"subtype\":"
			"\"task_started\",\"task_id\":\"t\"}'; "
			"say '{\"type\":\"result\",\"result\":\"by the way\",\"origin\":{\"kind\":"
			"\"task-notification\"}}'; take");
	push(w, 1, "one");
	wait_for(w, "by the way|");
	assert_string_equal(w->log.data, "ready|result ok 0 by the way|");
	assert_true(claude_provider.is_busy(w->provider));
}

#define STATE(state_)                                                                         \
	"say '{\"type\":\"system\",\"subtype\":\"session_state_changed\",\"state\":\"" state_ \
	"\"}'; "
#define TASK(what_)                                                                         \
	"say '{\"type\":\"system\",\"subtype\":\"" what_ "\",\"task_id\":\"t\",\"status\":" \
	"\"completed\"}'; "
/* All that live. The older CLI does not list them. */
#define TASKS(tasks_)                                                                           \
	"say '{\"type\":\"system\",\"subtype\":\"background_tasks_changed\",\"tasks\":[" tasks_ \
	"]}'; "
#define BY_THE_WAY(text_)                               \
	"say '{\"type\":\"result\",\"result\":\"" text_ \
	"\",\"origin\":{\"kind\":\"task-notification\"}}'; "

/* A second after the end of the last task nothing of it is to be expected any more. */
static void wait_for_rest(struct world *w)
{
	int64_t limit_ms = clock_monotonic_ms() + 10000;

	while (claude_provider.is_busy(w->provider)) {
		assert_true(clock_monotonic_ms() < limit_ms);
		loop_timer_arm(w->timer, 20);
		assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	}
}

/* "a" is said between the two messages, "b" when all is done. */
static void assert_busy_between_messages(struct world *w)
{
	push(w, 1, "one");
	wait_for(w, "a|");
	assert_true(claude_provider.is_busy(w->provider));
	push(w, 2, "two");
	wait_for(w, "b|");
	wait_for_rest(w);
}

/* What a task brings, the model works on without a message of anybody's. */
static void test_work_of_its_own(void **state)
{
	struct world *w = *state;

	start(w,
	      SCRIPT "ready; user; replay $u; " STATE("running")
		      TASK("task_started") "result one; " STATE("idle") TASK("task_notification")
			      STATE("running")
				      BY_THE_WAY("a") "user; replay $u; result two; " STATE("idle")
					      BY_THE_WAY("b") "take");
	assert_busy_between_messages(w);
}

/* The older CLI does not say in between that it is idle, and that it works again. */
static void test_work_of_its_own_without_a_word(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; " STATE("running")
			 TASK("task_started") "result one; " TASK("task_notification")
				 BY_THE_WAY("a") "user; replay $u; result two; " STATE("idle")
					 BY_THE_WAY("b") "take");
	assert_busy_between_messages(w);
}

/* The task ended within the turn, and nobody has told the model so far. */
static void test_work_of_its_own_on_what_has_ended(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; " STATE("running") TASK("task_started")
			 TASK("task_notification") "result a; "
						   "user; replay $u; result two; " STATE("idle")
							   BY_THE_WAY("b") "take");
	assert_busy_between_messages(w);
}

/* The end of a task is told in one line, and that the model works on it in another. */
static void test_a_task_has_just_ended(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; " STATE("running")
			 TASKS("{\"task_id\":\"t\"}") "result one; " STATE("idle") TASKS("")
				 BY_THE_WAY("a") "take");
	push(w, 1, "one");
	wait_for(w, "a|");
	assert_true(claude_provider.is_busy(w->provider));
	wait_for_rest(w);
}

/* A turn without tasks is over with its result, before the CLI says that it is idle. */
static void test_no_work_of_its_own(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; " STATE("running") "result a; take");
	push(w, 1, "one");
	wait_for(w, "a|");
	assert_false(claude_provider.is_busy(w->provider));
}

static void test_error(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; say '{\"type\":\"assistant\",\"error\":\"x\","
			"\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"API Error\"}]}}'; "
			"say '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,"
			"\"api_error_status\":529,\"result\":\"API Error: 529\"}'; take");
	push(w, 1, "one");
	wait_for(w, "529|");
	assert_string_equal(w->log.data, "ready|result transient 1 API Error: 529|");
}

#define FAILED \
	"say " \
	"'{\"type\":\"result\",\"is_error\":true,\"api_error_status\":529,\"result\":\"no\"}'; "

/* The failed text is still in the conversation, so the next answer is about both. */
static void test_failure_before_another_turn_is_left_to_that(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; user; " FAILED "replay $u; result both; take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|result ok 2 both|");
}

static void test_failure_of_all_turns_is_one_of_all_texts(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; user; " FAILED "replay $u; " FAILED "take");
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|result transient 2 no|");
}

static void test_failure_is_not_forgotten_if_the_other_turn_never_comes(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; user; " FAILED "state idle; take");
	claude_set_settle_ms(w->provider, 1);
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "result ");
	assert_string_equal(w->log.data, "ready|result transient 2 missing|");
}

static void test_result_that_never_comes_is_not_waited_for(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; state idle; user; state running; user; state idle; user; "
			"replay $u; result next; take");
	claude_set_settle_ms(w->provider, 1);
	push(w, 1, "one");
	push(w, 2, "two");
	wait_for(w, "result ok 2 missing|");
	/* The next one is answered in its own time. */
	claude_set_settle_ms(w->provider, 60000);
	push(w, 3, "three");
	wait_for(w, "next|");
	assert_string_equal(w->log.data, "ready|result ok 2 missing|result ok 3 next|");
}

static void test_working_is_not_idle(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; state idle; state running; sleep 0.2; replay $u; "
			"result late; take");
	claude_set_settle_ms(w->provider, 50);
	push(w, 1, "one");
	wait_for(w, "late|");
	assert_string_equal(w->log.data, "ready|result ok 1 late|");
}

static void test_command_is_alone(void **state)
{
	struct world *w = *state;

	/* What follows must not be there before the command's result is. */
	start(w, SCRIPT "ready; user; replay $u; result before; user; timeout 0.2 cat > early; "
			"result cost; user; replay $u; result after; take");
	push(w, 1, "one");
	push(w, 2, "/cost");
	push(w, 3, "three");
	wait_for(w, "after|");
	assert_string_equal(w->log.data,
			    "ready|result ok 1 before|result ok 2 cost|result ok 3 after|");
	free(fake_cli_read(&w->cli, "early"));
	assert_true(saw(w, "\"content\":\"/cost\""));
}

static void test_texts_and_tools(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT
	      "ready; user; replay $u; say '{\"type\":\"assistant\",\"message\":{\"content\":["
	      "{\"type\":\"text\",\"text\":\"on it\"},{\"type\":\"tool_use\",\"id\":\"t1\","
	      "\"name\":\"Bash\",\"input\":{\"timeout\":5000}}]}}'; "
	      "say '{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\","
	      "\"tool_use_id\":\"t1\"}]}}'; result done; take");
	push(w, 1, "one");
	wait_for(w, "done|");
	assert_string_equal(w->log.data,
			    "ready|text on it|tool t1 Bash 5000|end t1|result ok 1 done|");
}

static void test_large_text(void **state)
{
	struct world *w = *state;
	char *text = malloc(1000001);

	assert_non_null(text);
	memset(text, 'y', 1000000);
	text[1000000] = '\0';
	/* dash reads byte by byte: another reader for this one. */
	start(w, SCRIPT "ready; n=$(head -n 1 | wc -c); result $n; take");
	push(w, 1, text);
	free(text);
	wait_for(w, "result ok 1 ");
	/* The text, and what surrounds it. */
	assert_string_equal(w->log.data, "ready|result ok 1 1000143|");
}

static void test_request_is_refused(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; say '{\"type\":\"control_request\",\"request_id\":\"q1\","
			"\"request\":{\"subtype\":\"elicitation\"}}'; take; result taken; take");
	wait_for(w, "taken|");
	assert_true(saw(w, "{\"subtype\":\"error\",\"request_id\":\"q1\",\"error\":"));
}

/* Interrupts */

static void test_interrupt(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; init s; user; b=$u; init pause; "
			"take; accept cancel-$b true; take; accept interrupt null; aborted; "
			"user; replay $u; result next; take");
	push(w, 1, "one");
	wait_for(w, "init s|");
	push(w, 2, "two");
	wait_for(w, "pause|");
	push(w, 3, "/cost");
	claude_provider.interrupt(w->provider);
	push(w, 4, "four");
	wait_for(w, "next|");
	assert_string_equal(w->log.data, "ready|init s|init pause|result ok 3 interrupted|"
					 "result ok 4 next|");
	assert_true(saw(w, "\"subtype\":\"cancel_async_message\",\"message_uuid\":\""));
	assert_true(saw(w, "\"request_id\":\"interrupt\""));
	assert_false(saw(w, "/cost"));
}

/* As above, and something new is there before the interrupt is answered: it stays. */
static void test_interrupt_spares_what_comes_after_it(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; b=$u; take; take; user; accept cancel-$b true; "
			"accept interrupt null; init s; replay $u; result next; take");
	wait_for(w, "ready|");
	push(w, 1, "one");
	claude_provider.interrupt(w->provider);
	push(w, 2, "two");
	wait_for(w, "next|");
	assert_string_equal(w->log.data, "ready|result ok 1 interrupted|init s|result ok 2 next|");
}

/* Everything was taken back before it was begun: no result will come. */
static void test_interrupt_of_what_was_not_begun(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; take; accept cancel-$u true; take; accept interrupt null; "
			"take");
	wait_for(w, "ready|");
	push(w, 1, "one");
	claude_provider.interrupt(w->provider);
	wait_for(w, "interrupted|");
	assert_string_equal(w->log.data, "ready|result ok 1 interrupted|");
}

/* It came between the message and its turn: the CLI had nothing to interrupt yet. */
static void test_interrupt_that_came_too_early_is_repeated(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; take; accept cancel-$u false; take; accept interrupt null; "
			"init s; take; accept interrupt null; aborted; take");
	wait_for(w, "ready|");
	push(w, 1, "one");
	claude_provider.interrupt(w->provider);
	wait_for(w, "interrupted|");
	assert_string_equal(w->log.data, "ready|init s|result ok 1 interrupted|");
}

/* The answer was complete before the interrupt came. */
static void test_interrupt_that_came_too_late(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; init s; take; result done; "
			"accept interrupt null; user; replay $u; result next; take");
	push(w, 1, "one");
	wait_for(w, "init s|");
	claude_provider.interrupt(w->provider);
	wait_for(w, "done|");
	push(w, 2, "two");
	wait_for(w, "next|");
	assert_string_equal(w->log.data, "ready|init s|result ok 1 done|result ok 2 next|");
}

static void test_interrupt_of_nothing(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; replay $u; result one; take");
	claude_provider.interrupt(w->provider);
	wait_for(w, "ready|");
	claude_provider.interrupt(w->provider);
	push(w, 1, "one");
	wait_for(w, "one|");
	assert_false(saw(w, "interrupt"));
}

/* The end */

static void test_stop_interrupts_a_turn_first(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; init s; take; take || exit 0; sleep 100");
	push(w, 1, "one");
	wait_for(w, "init s|");
	claude_provider.stop(w->provider, 8000);
	wait_for(w, "exited ");
	assert_string_equal(w->log.data, "ready|init s|exited ok ended as asked|");
	assert_true(saw(w, "\"subtype\":\"interrupt\""));
}

static void test_stop_of_an_idle_one_just_closes_its_input(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; take || exit 0; sleep 100");
	wait_for(w, "ready|");
	claude_provider.stop(w->provider, 8000);
	push(w, 1, "too late");
	wait_for(w, "exited ");
	assert_string_equal(w->log.data, "ready|exited ok ended as asked|");
	assert_false(saw(w, "interrupt"));
}

static void test_crash(void **state)
{
	struct world *w = *state;

	start(w, SCRIPT "ready; user; echo 'out of memory' >&2; exit 134");
	push(w, 1, "one");
	wait_for(w, "exited ");
	assert_string_equal(w->log.data, "ready|exited crashed Claude Code ended with exit code "
					 "134: out of memory|");
}

static void test_missing(void **state)
{
	struct provider_query query = { .instructions = NULL };
	struct world *w = *state;
	struct err err;

	fake_cli_make(&w->cli, "exit 0");
	assert_int_equal(claude_provider.probe(NULL, &err), 0);
	assert_true(strncmp(err.text, "Claude Code is /tmp/", 20) == 0);
	setenv("AGENT_CLAUDE_PATH", "/nonexistent", 1);
	assert_int_equal(claude_provider.probe(NULL, &err), -ENOENT);
	start_query(w, &query);
	push(w, 1, "one");
	wait_for(w, "exited ");
	assert_string_equal(w->log.data, "exited unavailable Claude Code is not at "
					 "AGENT_CLAUDE_PATH=/nonexistent: there is no such file|");
}

static void test_stop_of_a_missing_one(void **state)
{
	struct provider_query query = { .instructions = NULL };
	struct world *w = *state;

	fake_cli_make(&w->cli, "exit 0");
	setenv("AGENT_CLAUDE_PATH", "/nonexistent", 1);
	start_query(w, &query);
	claude_provider.stop(w->provider, 100);
	wait_for(w, "exited ");
	assert_string_equal(w->log.data, "exited ok ended as asked|");
}

static void test_compaction_archives_the_conversation(void **state)
{
	struct world *w = *state;
	char archive[128], command[256], *list;
	struct provider_query query = { .archive_dir = archive };

	fake_cli_make(&w->cli,
		      SCRIPT "mkdir -p projects/p; echo '{\"type\":\"user\",\"message\":"
			     "{\"content\":\"remember me\"}}' > projects/p/a-1.jsonl; ready; "
			     "init a-1; say '{\"type\":\"system\",\"subtype\":"
			     "\"compact_boundary\"}'; take");
	setenv("CLAUDE_CONFIG_DIR", w->cli.folder, 1);
	snprintf(archive, sizeof(archive), "%s/conversations", w->cli.folder);
	start_query(w, &query);
	unsetenv("CLAUDE_CONFIG_DIR");
	wait_for(w, "compacted|");
	assert_string_equal(w->log.data, "ready|init a-1|compacted|");
	claude_provider.stop(w->provider, 8000);
	wait_for(w, "exited ");
	snprintf(command, sizeof(command), "cat %s/*.md > %s/list", archive, w->cli.folder);
	assert_int_equal(system(command), 0);
	list = fake_cli_read(&w->cli, "list");
	assert_non_null(strstr(list, "**User**: remember me\n"));
	free(list);
}

/* An agent without them is better than none. */
static void test_servers_that_cannot_be_told(void **state)
{
	static struct capture capture;
	struct world *w = *state;
	json_t *servers = json_pack("{s:{s:s}}", "files", "command", "x");
	struct provider_query query = { .mcp_servers = servers };
	char *given;

	fake_cli_make(&w->cli,
		      "case \"$*\" in *mcp-config*) echo some;; *) echo none;; esac > given; "
		      "exit 1");
	capture_start(&capture, STDERR_FILENO);
	start_query(w, &query);
	assert_string_equal(
		capture_stop(&capture),
		"agent-runner: error: there is no private folder for the list of MCP servers: "
		"the agent is given no MCP servers\n");
	wait_for(w, "exited ");
	given = fake_cli_read(&w->cli, "given");
	assert_string_equal(given, "none\n");
	free(given);
	json_decref(servers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_initialize),
		TEST(test_refusal_to_initialize),
		TEST(test_servers),
		TEST(test_servers_are_not_told),
		TEST(test_no_servers),
		TEST(test_servers_that_cannot_be_told),
		TEST(test_pushes_wait_until_it_is_ready),
		TEST(test_unknown_conversation),
		TEST(test_conversation_is_told_when_it_changes),
		TEST(test_one_result_answers_all_that_was_consumed),
		TEST(test_result_that_names_what_it_answers),
		TEST(test_result_without_a_replay_answers_the_oldest),
		TEST(test_result_that_is_repeated_answers_nothing_twice),
		TEST(test_background_work_answers_nothing),
		TEST(test_work_of_its_own),
		TEST(test_work_of_its_own_without_a_word),
		TEST(test_work_of_its_own_on_what_has_ended),
		TEST(test_a_task_has_just_ended),
		TEST(test_no_work_of_its_own),
		TEST(test_error),
		TEST(test_failure_before_another_turn_is_left_to_that),
		TEST(test_failure_of_all_turns_is_one_of_all_texts),
		TEST(test_failure_is_not_forgotten_if_the_other_turn_never_comes),
		TEST(test_result_that_never_comes_is_not_waited_for),
		TEST(test_working_is_not_idle),
		TEST(test_command_is_alone),
		TEST(test_texts_and_tools),
		TEST(test_large_text),
		TEST(test_request_is_refused),
		TEST(test_interrupt),
		TEST(test_interrupt_spares_what_comes_after_it),
		TEST(test_interrupt_of_what_was_not_begun),
		TEST(test_interrupt_that_came_too_early_is_repeated),
		TEST(test_interrupt_that_came_too_late),
		TEST(test_interrupt_of_nothing),
		TEST(test_stop_interrupts_a_turn_first),
		TEST(test_stop_of_an_idle_one_just_closes_its_input),
		TEST(test_crash),
		TEST(test_missing),
		TEST(test_stop_of_a_missing_one),
		TEST(test_compaction_archives_the_conversation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
