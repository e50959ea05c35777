/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-process.h"

#include <errno.h>

#include "common/clock.h"
#include "tests/runner/provider/fake-cli.h"

struct world {
	struct loop *loop;
	struct children *children;
	struct loop_timer *timer;
	struct cli_process *process;
	struct fake_cli cli;
	struct strbuf lines; /* joined with | */
	enum provider_error error;
	struct err detail;
};

static void on_line(void *userdata, const char *line, size_t len)
{
	struct world *w = userdata;

	strbuf_append(&w->lines, line, len);
	strbuf_putc(&w->lines, '|');
	if (strcmp(line, "ready") == 0)
		loop_stop(w->loop, 1);
}

static void on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct world *w = userdata;

	w->error = error;
	err_set(&w->detail, 0, "%s", detail);
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

	world = (struct world){ .error = PROVIDER_ERROR_COUNT };
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

	cli_process_free(w->process);
	children_free(w->children);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	strbuf_deinit(&w->lines);
	fake_cli_remove(&w->cli);
	return 0;
}

static bool is_unknown_session(const char *text)
{
	return strstr(text, "No conversation found with session ID") != NULL;
}

static void start_named(struct world *w, const char *continuation, const char *missing)
{
	static const struct cli_process_events events = {
		.line = on_line,
		.exited = on_exited,
	};
	const char *const argv[] = { w->cli.path, NULL };
	const struct provider_query query = {
		.loop = w->loop,
		.children = w->children,
		.cwd = w->cli.folder,
		.continuation = continuation,
	};
	const struct cli_spec spec = {
		.title = "Agent",
		.argv = argv,
		.missing = missing,
		.is_unknown_session = is_unknown_session,
	};
	struct err err;

	assert_int_equal(cli_process_start(&query, &spec, &events, w, &w->process, &err), 0);
}

static void start_resuming(struct world *w, const char *script, const char *continuation)
{
	fake_cli_make(&w->cli, script);
	start_named(w, continuation, NULL);
}

static void start(struct world *w, const char *script)
{
	start_resuming(w, script, NULL);
}

static void wait_ready(struct world *w)
{
	assert_int_equal(loop_run(w->loop, NULL), 1);
	cli_process_is_ready(w->process);
}

static void expect_end(struct world *w, enum provider_error error, const char *detail)
{
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(provider_error_name(w->error), provider_error_name(error));
	assert_string_equal(w->detail.text, detail);
}

static void write_text(struct world *w, const char *text, int expected)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_puts(&line, text);
	assert_int_equal(cli_process_write(w->process, &line), expected);
}

static void test_lines_both_ways(void **state)
{
	struct world *w = *state;

	start(w, "echo hello; read line; echo \"got $line\"; echo ready; cat");
	write_text(w, "one\n", 0);
	wait_ready(w);
	assert_string_equal(w->lines.data, "hello|got one|ready|");
	cli_process_stop(w->process, 5000);
	assert_false(cli_process_is_wanted(w->process));
	expect_end(w, PROVIDER_OK, "ended as asked");
}

static void test_exit_before_it_is_ready(void **state)
{
	struct world *w = *state;

	start(w, "echo first >&2; echo 'no libfoo' >&2; exit 3");
	expect_end(w, PROVIDER_UNAVAILABLE, "Agent ended with exit code 3: no libfoo");
}

static void test_exit_without_a_word(void **state)
{
	struct world *w = *state;

	start(w, "exit 0");
	expect_end(w, PROVIDER_UNAVAILABLE, "Agent ended with exit code 0");
}

static void test_death_before_it_is_ready_may_pass(void **state)
{
	struct world *w = *state;

	start(w, "kill -9 $$");
	expect_end(w, PROVIDER_CRASHED, "Agent was killed by signal 9");
}

static void test_exit_of_a_ready_one_is_a_crash(void **state)
{
	struct world *w = *state;

	start(w, "echo ready; read line; echo boom >&2; exit 7");
	wait_ready(w);
	write_text(w, "x\n", 0);
	expect_end(w, PROVIDER_CRASHED, "Agent ended with exit code 7: boom");
}

static void test_unknown_conversation(void **state)
{
	struct world *w = *state;

	start_resuming(w, "echo 'No conversation found with session ID: 1' >&2; exit 1", "1");
	expect_end(w, PROVIDER_INVALID_SESSION,
		   "Agent ended with exit code 1: No conversation found with session ID: 1");
}

/* Without one to resume the same words mean nothing. */
static void test_unknown_conversation_of_nobody(void **state)
{
	struct world *w = *state;

	start(w, "echo 'No conversation found with session ID: 1' >&2; exit 1");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->error, PROVIDER_UNAVAILABLE);
}

static void test_noted_words_explain_the_end(void **state)
{
	struct world *w = *state;

	start_resuming(w, "echo unimportant >&2; exit 1", "1");
	cli_process_note(w->process, "No conversation found with session ID: 1");
	expect_end(w, PROVIDER_INVALID_SESSION,
		   "Agent ended with exit code 1: No conversation found with session ID: 1");
}

static void test_missing(void **state)
{
	struct world *w = *state;

	fake_cli_make(&w->cli, "exit 0");
	start_named(w, NULL, "it is nowhere");
	cli_process_expect_ready(w->process, 60000);
	write_text(w, "x\n", -EPIPE);
	expect_end(w, PROVIDER_UNAVAILABLE, "it is nowhere");
}

static void test_not_ready_in_time(void **state)
{
	struct world *w = *state;

	start(w, "exec sleep 100");
	cli_process_expect_ready(w->process, 1);
	expect_end(w, PROVIDER_CRASHED,
		   "Agent was killed by signal 15: it did not become ready in time");
}

static void test_ready_in_time(void **state)
{
	struct world *w = *state;

	start(w, "echo ready; read line; exit 1");
	cli_process_expect_ready(w->process, 200);
	wait_ready(w);
	loop_timer_arm(w->timer, 300);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_true(cli_process_is_wanted(w->process));
}

static void test_closed_input_is_a_crash(void **state)
{
	struct world *w = *state;

	start(w, "exec <&-; echo ready; exec sleep 100");
	wait_ready(w);
	/* Time for the loop to see that nobody reads any more. */
	loop_timer_arm(w->timer, 50);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	write_text(w, "x\n", -EPIPE);
	loop_timer_arm(w->timer, 10000);
	expect_end(w, PROVIDER_CRASHED,
		   "Agent was killed by signal 15: cannot write to it: Broken pipe");
}

static void test_closed_output_is_a_crash(void **state)
{
	struct world *w = *state;

	start(w, "echo ready; exec >&-; exec sleep 100");
	wait_ready(w);
	expect_end(w, PROVIDER_CRASHED,
		   "Agent was killed by signal 15: it closed its input or output");
}

/* What it says with its exit is worth more. */
static void test_closed_output_before_the_exit_is_none(void **state)
{
	struct world *w = *state;

	start(w, "exec >&-; sleep 0.1; echo 'no libfoo' >&2; exit 3");
	expect_end(w, PROVIDER_UNAVAILABLE, "Agent ended with exit code 3: no libfoo");
}

static void test_given_up(void **state)
{
	struct world *w = *state;

	start(w, "echo ready; exec sleep 100");
	wait_ready(w);
	cli_process_note(w->process, "no");
	cli_process_give_up(w->process, PROVIDER_UNAVAILABLE);
	cli_process_give_up(w->process, PROVIDER_CRASHED);
	assert_false(cli_process_is_wanted(w->process));
	expect_end(w, PROVIDER_UNAVAILABLE, "Agent was killed by signal 15: no");
}

/* Stopping: the end of its input, SIGTERM, SIGKILL */

static void test_stop_by_the_end_of_input(void **state)
{
	struct world *w = *state;
	char *text;

	start(w, "trap 'echo term > ended' TERM; echo ready; read line || echo eof > ended");
	wait_ready(w);
	cli_process_stop(w->process, 8000);
	cli_process_stop(w->process, 1);
	expect_end(w, PROVIDER_OK, "ended as asked");
	text = fake_cli_read(&w->cli, "ended");
	assert_string_equal(text, "eof\n");
	free(text);
}

static void test_stop_by_sigterm(void **state)
{
	struct world *w = *state;
	char *text;

	start(w, "trap 'echo term > ended; exit 0' TERM; echo ready; "
		 "while :; do sleep 0.01; done");
	wait_ready(w);
	cli_process_stop(w->process, 400);
	expect_end(w, PROVIDER_OK, "ended as asked");
	text = fake_cli_read(&w->cli, "ended");
	assert_string_equal(text, "term\n");
	free(text);
}

static void test_stop_by_sigkill(void **state)
{
	struct world *w = *state;
	int64_t before;

	start(w, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
	wait_ready(w);
	before = clock_monotonic_ms();
	cli_process_stop(w->process, 100);
	expect_end(w, PROVIDER_OK, "ended as asked");
	assert_true(clock_monotonic_ms() - before >= 100);
}

static void test_overlong_line_is_a_sign_of_life(void **state)
{
	struct world *w = *state;

	start(w, "head -c 67108865 /dev/zero | tr '\\0' x; echo; echo ready; read line");
	wait_ready(w);
	assert_string_equal(w->lines.data, "|ready|");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines_both_ways),
		TEST(test_exit_before_it_is_ready),
		TEST(test_exit_without_a_word),
		TEST(test_death_before_it_is_ready_may_pass),
		TEST(test_exit_of_a_ready_one_is_a_crash),
		TEST(test_unknown_conversation),
		TEST(test_unknown_conversation_of_nobody),
		TEST(test_noted_words_explain_the_end),
		TEST(test_missing),
		TEST(test_not_ready_in_time),
		TEST(test_ready_in_time),
		TEST(test_closed_input_is_a_crash),
		TEST(test_closed_output_is_a_crash),
		TEST(test_closed_output_before_the_exit_is_none),
		TEST(test_given_up),
		TEST(test_stop_by_the_end_of_input),
		TEST(test_stop_by_sigterm),
		TEST(test_stop_by_sigkill),
		TEST(test_overlong_line_is_a_sign_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
