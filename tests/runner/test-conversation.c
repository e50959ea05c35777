/* SPDX-License-Identifier: MIT */
#include "runner/conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/capture.h"
#include "tests/runner/parts.h"
#include "tests/runner/provider/fake-cli.h"

static struct capture capture;

struct world {
	struct parts p;
	const char *until; /* the loop ends when the acknowledgements are these */
	char servers[256]; /* "name status|" each */
	int worked, ended;
	struct loop_timer *hung; /* looks whether the CLI has got so far */
};

static void on_look(void *userdata)
{
	struct world *w = userdata;

	if (w->until && strcmp(exchange_acks(&w->p.x), w->until) == 0)
		loop_stop(w->p.x.loop, 0);
}

static void on_worked(void *userdata)
{
	struct world *w = userdata;

	w->worked++;
}

static void on_ended(void *userdata)
{
	struct world *w = userdata;

	w->ended++;
	loop_stop(w->p.x.loop, 0);
}

static void on_server(void *userdata, const char *name, const char *status)
{
	struct world *w = userdata;
	size_t used = strlen(w->servers);

	(void)snprintf(w->servers + used, sizeof(w->servers) - used, "%s %s|", name, status);
}

static const struct conversation_events events = {
	.look = on_look,
	.worked = on_worked,
	.ended = on_ended,
	.server = on_server,
};

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .until = NULL };
	parts_setup(&w->p, &events, w);
	capture_start(&capture, STDERR_FILENO);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	(void)capture_stop(&capture);
	parts_teardown(&w->p);
	return 0;
}

static void receive(struct world *w, const char *id, const char *place, const char *command)
{
	struct turn_input input = { .count = 1, .command = command };

	input.rows = malloc(sizeof(*input.rows));
	input.rows[0] = exchange_row(id, place, "hello");
	assert_int_equal(conversation_take(w->p.c, &input, NULL), 0);
}

/* Runs until the acknowledgements are these. */
static void run_until(struct world *w, const char *acks)
{
	w->until = acks;
	assert_int_equal(loop_run(w->p.x.loop, NULL), 0);
	assert_string_equal(exchange_acks(&w->p.x), acks);
}

static const char *continuation(struct world *w)
{
	return database_query(w->p.x.outbound_path, "SELECT value FROM session_state WHERE key ="
						    " 'continuation:mock'");
}

static void on_ready_look(void *userdata)
{
	struct world *w = userdata;

	if (conversation_knows_commands(w->p.c))
		loop_stop(w->p.x.loop, 0);
}

static void test_warm(void **state)
{
	struct world *w = *state;
	struct loop_timer *tick;

	conversation_warm(w->p.c);
	/* It is about to announce its commands. */
	assert_false(conversation_knows_commands(w->p.c));
	assert_false(conversation_is_active(w->p.c));
	assert_int_equal(loop_timer_new(w->p.x.loop, on_ready_look, w, &tick), 0);
	loop_timer_arm(tick, 5);
	assert_int_equal(loop_run(w->p.x.loop, NULL), 0);
	loop_timer_free(tick);
	assert_true(conversation_has_command(w->p.c, "/mock"));
	assert_false(conversation_has_command(w->p.c, "/etc"));
}

static void test_answer_and_continuation(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a", NULL);
	assert_true(conversation_is_active(w->p.c));
	run_until(w, "m1|completed\n");
	assert_false(conversation_is_active(w->p.c));
	assert_string_equal(exchange_sent(&w->p.x), "m1|a|thread-a|echo: hello\n");
	assert_int_equal(strncmp(continuation(w), "mock-", 5), 0);
}

static void test_clear(void **state)
{
	struct inbound_row row = exchange_row("m2", "a", "/clear");
	struct world *w = *state;

	receive(w, "m1", "a", NULL);
	run_until(w, "m1|completed\n");
	conversation_clear(w->p.c, &row);
	inbound_row_deinit(&row);
	assert_string_equal(continuation(w), "");
	assert_string_equal(exchange_sent(&w->p.x), "m1|a|thread-a|echo: hello\n"
						    "m2|a|thread-a|Session cleared.\n");
	/* The next message finds a fresh agent. */
	receive(w, "m3", "b", NULL);
	run_until(w, "m1|completed\nm2|completed\nm3|completed\n");
	assert_int_equal(strncmp(continuation(w), "mock-", 5), 0);
}

static void test_interrupt(void **state)
{
	struct inbound_row stop = exchange_row("m2", "a", "/stop");
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_DELAY_MS", "60000", 1), 0);
	conversation_warm(w->p.c);
	while (!conversation_knows_commands(w->p.c)) {
		struct loop_timer *tick;

		assert_int_equal(loop_timer_new(w->p.x.loop, on_ready_look, w, &tick), 0);
		loop_timer_arm(tick, 5);
		assert_int_equal(loop_run(w->p.x.loop, NULL), 0);
		loop_timer_free(tick);
	}
	receive(w, "m1", "a", NULL);
	assert_false(conversation_is_full(w->p.c));
	conversation_interrupt(w->p.c, &stop);
	inbound_row_deinit(&stop);
	/* What follows waits for a turn of its own. */
	assert_true(conversation_is_full(w->p.c));
	run_until(w, "m1|completed\nm2|completed\n");
	assert_false(conversation_is_full(w->p.c));
	assert_string_equal(exchange_sent(&w->p.x), "m2|a|thread-a|Stopped.\n");
}

/* The agent is not even ready: what is queued for it must not run later. */
static void test_interrupt_before_the_agent_is_ready(void **state)
{
	struct inbound_row stop = exchange_row("m2", "a", "/stop");
	struct world *w = *state;

	receive(w, "m1", "a", NULL);
	w->until = NULL;
	conversation_interrupt(w->p.c, &stop);
	inbound_row_deinit(&stop);
	assert_false(conversation_is_active(w->p.c));
	assert_string_equal(exchange_acks(&w->p.x), "m1|completed\nm2|completed\n");
	receive(w, "m3", "a", NULL);
	run_until(w, "m1|completed\nm2|completed\nm3|completed\n");
	assert_string_equal(exchange_sent(&w->p.x),
			    "m2|a|thread-a|Stopped.\nm3|a|thread-a|echo: hello\n");
}

static void test_retries_then_tells(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_ERROR", "crashed", 1), 0);
	/* Each time it is taken up anew. */
	for (int i = 1; i < CONFIG_ATTEMPTS; i++) {
		receive(w, "m1", "a", NULL);
		run_until(w, "");
	}
	receive(w, "m1", "a", NULL);
	run_until(w, "m1|failed\n");
	assert_non_null(strstr(exchange_sent(&w->p.x), "m1|a|thread-a|My agent program broke off"));
	/* It is not restarted without need, but for the next message it is. */
	assert_int_equal(unsetenv("AGENT_MOCK_ERROR"), 0);
	receive(w, "m2", "a", NULL);
	run_until(w, "m1|failed\nm2|completed\n");
}

/* With a Claude Code that is this script. */
static void open_claude(struct world *w, struct fake_cli *cli, const char *script)
{
	fake_cli_make(cli, script);
	toolbox_free(steal_ptr(w->p.toolbox));
	conversation_free(steal_ptr(w->p.c));
	config_free(steal_ptr(w->p.config));
	assert_int_equal(setenv("AGENT_PROVIDER", "claude", 1), 0);
	assert_int_equal(config_load(folder_file(&w->p.x.folder, "none.json"), &w->p.config, NULL),
			 0);
	folder_mkdir(&w->p.x.folder, "agent");
	parts_open_toolbox(&w->p);
	parts_open_conversation(&w->p, &events, w);
}

/* What the script wrote to this file of its working folder; the caller frees it. */
static char *read_file(struct world *w, const char *name)
{
	char path[64], *text;
	size_t len;

	(void)snprintf(path, sizeof(path), "agent/%s", name);
	assert_int_equal(fd_read_file(folder_file(&w->p.x.folder, path), 65536, &text, &len, NULL),
			 0);
	return text;
}

/* One failure told twice, by a result and by the exit behind it, is one. */
static void test_exit_behind_a_failure_costs_no_try(void **state)
{
	struct world *w = *state;
	struct fake_cli cli;
	char *starts;

	/* Long enough for its exit to come first. */
	assert_int_equal(setenv("AGENT_RETRY_MS", "100", 1), 0);
	open_claude(w, &cli,
		    "echo x >> starts; read -r line\n"
		    "echo '{\"type\":\"control_response\",\"response\":{\"subtype\":"
		    "\"success\",\"request_id\":\"initialize\",\"response\":{}}}'\n"
		    "read -r line\n"
		    "echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,"
		    "\"api_error_status\":529,\"result\":\"API Error: 529\"}'\n"
		    "exit 1");
	receive(w, "m1", "a", NULL);
	run_until(w, "m1|failed\n");
	assert_non_null(strstr(exchange_sent(&w->p.x), "I could not reach the AI service"));
	/* The first try, and one after each wait. */
	starts = read_file(w, "starts");
	assert_string_equal(starts, "x\nx\nx\nx\n");
	free(starts);
	fake_cli_remove(&cli);
}

/* It may be asked for other things meanwhile. */
#define READ_UNTIL(words) \
	"while read -r line; do case \"$line\" in *" words "*) break ;; esac; done\n"

/* What a CLI says before it hangs in its turn. */
#define INITIALIZED                                                                               \
	"echo x >> starts; read -r line\n"                                                        \
	"echo '{\"type\":\"control_response\",\"response\":{\"subtype\":"                         \
	"\"success\",\"request_id\":\"initialize\",\"response\":{}}}'\n" READ_UNTIL(              \
		"'\"user\"'") "echo "                                                             \
			      "'{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\"}'" \
			      "\n"                                                                \
			      "test -e hung && answer=1; touch hung\n"

static void on_hung(void *userdata)
{
	struct world *w = userdata;

	loop_timer_arm(w->hung, 10);
	/* What it said before it hung must have been heard, too. */
	if (!conversation_knows_commands(w->p.c) ||
	    access(folder_file(&w->p.x.folder, "agent/hung"), F_OK) < 0)
		return;
	loop_timer_disarm(w->hung);
	conversation_on_silence(w->p.c, 600000);
	/* Once is enough. */
	conversation_on_silence(w->p.c, 600000);
}

/* Runs until the CLI hangs, and then until what it hung on is given back. */
static void hang(struct world *w, struct fake_cli *cli, const char *script)
{
	open_claude(w, cli, script);
	w->p.config->interrupt_s = 1;
	conversation_on_silence(w->p.c, 600000);
	assert_int_equal(loop_timer_new(w->p.x.loop, on_hung, w, &w->hung), 0);
	loop_timer_arm(w->hung, 1);
	receive(w, "m1", "a", NULL);
	run_until(w, "");
	assert_string_equal(exchange_sent(&w->p.x),
			    "NULL|a|thread-a|My agent program has given no sign of life for 10 "
			    "minutes. I stop what it does, and let it go on with your message.\n");
	loop_timer_free(w->hung);
}

#define ANSWER                                                                   \
	"echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false," \
	"\"result\":\"<message to=\\\"ann\\\">hi</message>\"}'\n"                \
	"read -r line"

/* The first process hangs as this script does; a second one answers. */
static void assert_asked_again(struct world *w, const char *script)
{
	struct fake_cli cli;
	char *starts;

	hang(w, &cli, script);
	receive(w, "m1", "a", NULL);
	run_until(w, "m1|completed\n");
	assert_non_null(strstr(exchange_sent(&w->p.x), "m1|a|thread-a|hi\n"));
	starts = read_file(w, "starts");
	assert_string_equal(starts, "x\nx\n");
	free(starts);
	fake_cli_remove(&cli);
}

/* It heeds the interrupt; all the same nothing more is to be heard of it. */
static void test_an_agent_that_hangs(void **state)
{
	assert_asked_again(*state, INITIALIZED "if test -z \"$answer\"; then\n" READ_UNTIL(
					   "interrupt") "echo '{\"type\":\"result\",\"subtype\":"
							"\"error_during_execution\",\"is_error\":"
							"true,\"errors\":[]}'\nfi\n" ANSWER);
}

/* It does not, and is killed. */
static void test_an_agent_that_is_deaf(void **state)
{
	assert_asked_again(*state, INITIALIZED
			   "if test -z \"$answer\"; then trap '' TERM; sleep 60; fi\n" ANSWER);
}

/* The agent is told of its tools, finds them, and says what became of them; notes come first. */
static void test_tools_of_the_agent(void **state)
{
	struct world *w = *state;
	struct fake_cli cli;
	char *seen, expected[256];

	open_claude(w, &cli,
		    "{ echo \"$*\"; echo \"$AGENT_SOCKET\"; } > seen\n"
		    "take() { read -r line; printf '%s\\n' \"$line\" >> seen; }\n"
		    "take\n"
		    "echo '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\","
		    "\"request_id\":\"initialize\",\"response\":{}}}'\n"
		    "take\n"
		    "take\n"
		    "echo '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\","
		    "\"mcp_servers\":[{\"name\":\"nanoclaw\",\"status\":\"connected\"}]}'\n"
		    "echo '{\"type\":\"result\",\"is_error\":false,\"result\":\"\"}'\n"
		    "take\n");
	conversation_note(w->p.c, "<system>note</system>", NULL);
	conversation_send_held(w->p.c);
	receive(w, "m1", "a", NULL);
	run_until(w, "m1|completed\n");
	assert_string_equal(w->servers, "nanoclaw connected|");
	seen = read_file(w, "seen");
	(void)snprintf(expected, sizeof(expected), "--mcp-config=%s/mcp-servers.json ",
		       toolbox_folder(w->p.toolbox));
	assert_non_null(strstr(seen, expected));
	(void)snprintf(expected, sizeof(expected), "\n%s/socket\n", toolbox_folder(w->p.toolbox));
	assert_non_null(strstr(seen, expected));
	assert_non_null(strstr(seen, "or with the tool `send_message`, which"));
	assert_non_null(strstr(seen, "\"content\":\"<system>note</system>\\n<context "));
	free(seen);
	fake_cli_remove(&cli);
}

static void test_what_a_tool_sent_is_not_sent_again(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a", NULL);
	conversation_note_sent(w->p.c, "ann", "thread-a", "echo: hello");
	run_until(w, "m1|completed\n");
	assert_string_equal(exchange_sent(&w->p.x), "");
}

static void test_destinations(void **state)
{
	struct world *w = *state;

	assert_int_equal(conversation_destinations(w->p.c)->count, 3);
	assert_string_equal(conversation_destinations(w->p.c)->rows[0].name, "ann");
}

static void test_unknown_continuation_is_dropped(void **state)
{
	struct world *w = *state;

	database_exec(w->p.x.outbound_path, "INSERT INTO session_state VALUES"
					    " ('continuation:mock', 'mock-gone', '')");
	conversation_free(w->p.c);
	w->p.c = NULL;
	assert_int_equal(setenv("AGENT_MOCK_ERROR", "invalid_session", 1), 0);
	parts_open_conversation(&w->p, &events, w);
	receive(w, "m1", "a", NULL);
	run_until(w, "m1|completed\n");
	assert_string_equal(exchange_sent(&w->p.x), "m1|a|thread-a|echo: hello\n");
	assert_null(strstr(continuation(w), "gone"));
}

static void test_unusable_agent_is_said(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_DELAY_MS", "soon", 1), 0);
	receive(w, "m1", "a", NULL);
	assert_string_equal(exchange_acks(&w->p.x), "m1|failed\n");
	assert_non_null(strstr(exchange_sent(&w->p.x), "m1|a|thread-a|I cannot work: my agent"));
	assert_int_equal(unsetenv("AGENT_MOCK_DELAY_MS"), 0);
}

/* An agent without work ends, and is there again for the next message, in the same conversation. */
static void test_rest(void **state)
{
	struct world *w = *state;
	char before[64];

	assert_int_equal(conversation_rest(w->p.c), 0);
	assert_false(conversation_has_agent(w->p.c));
	receive(w, "m1", "a", NULL);
	assert_int_equal(conversation_rest(w->p.c), -EBUSY);
	run_until(w, "m1|completed\n");
	(void)snprintf(before, sizeof(before), "%s", continuation(w));
	assert_int_equal(w->worked, 0); /* for a message, that is */
	assert_int_equal(conversation_rest(w->p.c), 0);
	assert_true(conversation_has_agent(w->p.c));
	/* The look after its end. */
	run_until(w, "m1|completed\n");
	assert_false(conversation_has_agent(w->p.c));
	receive(w, "m2", "a", NULL);
	assert_true(conversation_has_agent(w->p.c));
	run_until(w, "m1|completed\nm2|completed\n");
	assert_string_equal(continuation(w), before);
	/* A message that comes while it ends waits for the next one. */
	assert_int_equal(conversation_rest(w->p.c), 0);
	receive(w, "m3", "a", NULL);
	run_until(w, "m1|completed\nm2|completed\nm3|completed\n");
	assert_string_equal(continuation(w), before);
}

static void test_end(void **state)
{
	struct world *w = *state;

	assert_false(conversation_end(w->p.c, 100));
	conversation_free(w->p.c);
	parts_open_conversation(&w->p, &events, w);
	assert_int_equal(setenv("AGENT_MOCK_DELAY_MS", "60000", 1), 0);
	receive(w, "m1", "a", NULL);
	assert_true(conversation_end(w->p.c, 100));
	assert_int_equal(loop_run(w->p.x.loop, NULL), 0);
	assert_int_equal(w->ended, 1);
	/* The claim is the session's to give back. */
	assert_string_equal(exchange_acks(&w->p.x), "m1|processing\n");
}

static void test_unknown_provider(void **state)
{
	struct world *w = *state;
	struct config config = *w->p.config;
	const struct conversation_options options = {
		.loop = w->p.x.loop,
		.config = &config,
		.workspace = w->p.x.folder.path,
		.outbound = w->p.x.outbound,
		.outbox = w->p.x.outbox,
		.toolbox = w->p.toolbox,
	};
	char name[] = "nobody";
	struct conversation *c = NULL;
	struct err err = { "" };

	config.provider = name;
	assert_int_equal(conversation_new(&options, &events, w, &c, &err), -ENOENT);
	assert_null(c);
	assert_non_null(strstr(err.text, "there is no provider \"nobody\""));
}

#define CONVERSATION_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONVERSATION_TEST(test_warm),
		CONVERSATION_TEST(test_answer_and_continuation),
		CONVERSATION_TEST(test_clear),
		CONVERSATION_TEST(test_interrupt),
		CONVERSATION_TEST(test_interrupt_before_the_agent_is_ready),
		CONVERSATION_TEST(test_retries_then_tells),
		CONVERSATION_TEST(test_exit_behind_a_failure_costs_no_try),
		CONVERSATION_TEST(test_an_agent_that_hangs),
		CONVERSATION_TEST(test_an_agent_that_is_deaf),
		CONVERSATION_TEST(test_tools_of_the_agent),
		CONVERSATION_TEST(test_what_a_tool_sent_is_not_sent_again),
		CONVERSATION_TEST(test_destinations),
		CONVERSATION_TEST(test_unknown_continuation_is_dropped),
		CONVERSATION_TEST(test_unusable_agent_is_said),
		CONVERSATION_TEST(test_rest),
		CONVERSATION_TEST(test_end),
		CONVERSATION_TEST(test_unknown_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
