/* SPDX-License-Identifier: MIT */
#include "runner/mcp/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "runner/io/json.h"
#include "tests/test.h"

/* A clock of our own: nobody has to wait for who holds a file. */
static int64_t now;

int64_t clock_monotonic_ms(void)
{
	return now;
}

int64_t clock_realtime_ms(void)
{
	return now;
}

/* Where somebody else cancels the call. */
enum moment { NEVER, IN_WRITE, IN_FORGET, IN_RELEASE, IN_ENDED };

static struct {
	struct call *call;
	char log[512]; /* what happened, in order */
	enum moment cancel_in;
	bool write_at_once; /* the row is on disk before write() returns */
	int write_result;
	bool answer_when_written;
} world;

static const char no_memory[] =
	"ended error There is not enough memory for this at the moment. Try again later.\n";

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	size_t used = strlen(world.log);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(world.log + used, sizeof(world.log) - used, format, arguments);
	va_end(arguments);
}

static void reach(enum moment moment)
{
	if (world.cancel_in == moment)
		call_cancel(world.call);
}

static int on_write(void *userdata, const struct outbound_message *message, struct call *call)
{
	assert_ptr_equal(userdata, &world);
	note("write %s\n", message->kind);
	reach(IN_WRITE);
	if (world.write_at_once)
		call_written(call, 5);
	return world.write_result;
}

static void on_forget(void *userdata, struct call *call)
{
	assert_ptr_equal(userdata, &world);
	assert_ptr_equal(call, world.call);
	note("forget\n");
	reach(IN_FORGET);
}

static const struct call_services services = { .write = on_write, .forget = on_forget };
static struct call_context context = { .services = &services, .userdata = &world };

static void on_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	assert_ptr_equal(userdata, &world);
	assert_ptr_equal(call, world.call);
	note("ended %s%s\n", is_error ? "error " : "", text);
	reach(IN_ENDED);
}

static void on_progress(void *userdata, struct call *call, double progress, double total,
			const char *message)
{
	assert_ptr_equal(userdata, &world);
	assert_ptr_equal(call, world.call);
	note("progress %g of %g: %s\n", progress, total, message);
}

static void on_release(void *state)
{
	note("release %s\n", (const char *)state);
	free(state);
	reach(IN_RELEASE);
}

static void on_written(struct call *call, int64_t seq)
{
	note("written %d\n", (int)seq);
	if (world.answer_when_written)
		call_answer(call, "row %d", (int)seq);
}

static const struct outbound_message message = { .kind = "chat", .content = "{}" };

/* A new call that holds something. */
static void begin(void)
{
	static const struct call_owner owner = {
		.ended = on_ended,
		.progress = on_progress,
		.userdata = &world,
	};

	world.log[0] = '\0';
	world.call = call_new(&context, &owner);
	assert_non_null(world.call);
	assert_ptr_equal(call_context(world.call), &context);
	assert_null(call_state(world.call));
	call_hold(world.call, strdup("it"), on_release);
	assert_string_equal(call_state(world.call), "it");
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	begin();
	return 0;
}

static void assert_log(const char *expected)
{
	assert_string_equal(world.log, expected);
}

static void test_answer(void **state)
{
	(void)state;
	/* The text is composed before what it is made of is released. */
	call_answer(world.call, "%s %d", (char *)call_state(world.call), 7);
	assert_log("release it\nended it 7\n");
}

static void test_fail(void **state)
{
	(void)state;
	call_fail(world.call, "no %s", "good");
	assert_log("release it\nended error no good\n");
}

static void test_answer_text(void **state)
{
	(void)state;
	call_answer_text(world.call, strdup("100 %s"));
	assert_log("release it\nended 100 %s\n");
	begin();
	call_answer_text(world.call, NULL);
	assert_string_equal(strstr(world.log, "ended"), no_memory);
}

static void test_cancel(void **state)
{
	(void)state;
	call_cancel(world.call);
	assert_log("release it\n");
	call_cancel(NULL);
}

/* Only once, whatever comes in between; memory checkers see what is touched afterwards. */
static void test_cancel_from_within(void **state)
{
	(void)state;
	world.cancel_in = IN_RELEASE;
	call_answer(world.call, "late");
	assert_log("release it\n");

	begin();
	call_cancel(world.call);
	assert_log("release it\n");

	world.cancel_in = IN_ENDED;
	begin();
	call_answer(world.call, "in time");
	assert_log("release it\nended in time\n");

	world.cancel_in = IN_FORGET;
	begin();
	call_write(world.call, &message, on_written);
	call_answer(world.call, "late");
	assert_log("write chat\nforget\nrelease it\n");
}

static void test_written_later(void **state)
{
	(void)state;
	call_write(world.call, &message, on_written);
	assert_log("write chat\n");
	call_written(world.call, 3);
	assert_log("write chat\nwritten 3\n");
	/* Told once. */
	call_written(world.call, 3);
	/* And then there may be another row, and an answer without it. */
	call_write(world.call, &message, on_written);
	call_answer(world.call, "enough");
	assert_log("write chat\nwritten 3\nwrite chat\nforget\nrelease it\nended enough\n");
}

static void test_cancelled_before_written(void **state)
{
	(void)state;
	call_write(world.call, &message, on_written);
	call_cancel(world.call);
	assert_log("write chat\nforget\nrelease it\n");
}

static void test_written_at_once(void **state)
{
	(void)state;
	world.write_at_once = true;
	world.answer_when_written = true;
	call_write(world.call, &message, on_written);
	assert_log("write chat\nwritten 5\nrelease it\nended row 5\n");

	world.answer_when_written = false;
	begin();
	call_write(world.call, &message, on_written);
	call_answer(world.call, "now");
	assert_log("write chat\nwritten 5\nrelease it\nended now\n");
}

/* The row may have been queued before or after that: it is forgotten when write() is back. */
static void test_cancelled_while_writing(void **state)
{
	(void)state;
	world.cancel_in = IN_WRITE;
	call_write(world.call, &message, on_written);
	assert_log("write chat\nrelease it\nforget\n");

	world.write_at_once = true;
	begin();
	call_write(world.call, &message, on_written);
	assert_log("write chat\nrelease it\n");

	world.write_at_once = false;
	world.write_result = -ENOMEM;
	begin();
	call_write(world.call, &message, on_written);
	assert_log("write chat\nrelease it\n");
}

static void test_no_memory_to_write(void **state)
{
	char expected[256];

	(void)state;
	world.write_result = -ENOMEM;
	call_write(world.call, &message, on_written);
	(void)snprintf(expected, sizeof(expected), "write chat\nrelease it\n%s", no_memory);
	assert_log(expected);
}

/* A handler may go on for a while without seeing that its call has ended. */
static void test_ended_call_is_left_alone(void **state)
{
	(void)state;
	call_ref(world.call);
	call_cancel(world.call);
	call_cancel(world.call);
	assert_ptr_equal(call_context(world.call), &context);
	assert_null(call_state(world.call));
	call_write(world.call, &message, on_written);
	call_written(world.call, 3);
	call_progress(world.call, 1, 2, "on");
	call_answer(world.call, "late");
	call_fail(world.call, "late");
	call_answer_text(world.call, strdup("late"));
	assert_log("release it\n");
	call_hold(world.call, strdup("more"), on_release);
	assert_log("release it\nrelease more\n");
	call_unref(world.call);
}

static void test_progress(void **state)
{
	static const struct call_owner indifferent = { .ended = on_ended, .userdata = &world };

	(void)state;
	call_progress(world.call, 1.5, 300, "waiting");
	assert_log("progress 1.5 of 300: waiting\n");
	call_cancel(world.call);
	world.call = call_new(&context, &indifferent);
	call_progress(world.call, 1, 2, "waiting");
	call_answer(world.call, "done");
	assert_log("progress 1.5 of 300: waiting\nrelease it\nended done\n");
}

/* Another time */

static int put_off_for; /* so many runs of the handler find the file locked */
static int put_off_with;

static void run(struct call *call, const json_t *arguments)
{
	note("run with %s\n", json_string_value(arguments));
	if (put_off_for-- <= 0)
		call_answer(call, "done");
	else if (!call_later(call, put_off_with))
		call_fail(call, "locked");
}

static void on_pause_over(void *userdata)
{
	loop_stop(userdata, 0);
}

/* So much time passes, and what is due by then happens. */
static void pass(int64_t ms)
{
	struct loop_timer *timer;

	now += ms;
	assert_int_equal(loop_timer_new(context.loop, on_pause_over, context.loop, &timer), 0);
	/* Behind what is due now. */
	loop_timer_arm(timer, 1);
	now++;
	assert_int_equal(loop_run(context.loop, NULL), 0);
	now--;
	loop_timer_free(timer);
}

static void start(int times, int error)
{
	cleanup_json json_t *arguments = json_string("these");

	now = 1000;
	put_off_for = times;
	put_off_with = error;
	assert_int_equal(loop_new(&context.loop, NULL), 0);
	assert_int_equal(call_line_new(context.loop, &context.line), 0);
	call_run(world.call, run, arguments);
}

static void stop(void)
{
	call_line_free(context.line);
	loop_free(context.loop);
	context.loop = NULL;
}

static void test_later(void **state)
{
	(void)state;
	start(2, -EAGAIN);
	pass(CALL_LATER_MS - 2);
	assert_log("run with these\n");
	pass(2);
	assert_log("run with these\nrun with these\n");
	pass(CALL_LATER_MS + 1);
	assert_log("run with these\nrun with these\nrun with these\nrelease it\nended done\n");
	stop();
}

static void test_later_but_not_for_ever(void **state)
{
	(void)state;
	start(1000, -EBADMSG);
	world.log[0] = '\0';
	now += CALL_PATIENCE_MS - CALL_LATER_MS;
	pass(0);
	assert_log("run with these\n");
	pass(CALL_LATER_MS + 1);
	assert_log("run with these\nrun with these\nrelease it\nended error locked\n");
	stop();
}

static void test_what_does_not_pass_is_not_tried_again(void **state)
{
	(void)state;
	start(1, -ENOTSUP);
	assert_log("run with these\nrelease it\nended error locked\n");
	stop();
}

static void on_other_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	(void)call;
	note("%s %s%s\n", (const char *)userdata, is_error ? "error " : "", text);
}

/* What comes while one waits goes behind it, whatever it would find itself. */
static void test_in_line(void **state)
{
	static char second_name[] = "second", third_name[] = "third";
	static const struct call_owner second_owner = { .ended = on_other_ended,
							.userdata = second_name };
	static const struct call_owner third_owner = { .ended = on_other_ended,
						       .userdata = third_name };
	cleanup_json json_t *second_arguments = json_string("two");
	cleanup_json json_t *third_arguments = json_string("three");
	struct call *second = call_new(&context, &second_owner);
	struct call *third = call_new(&context, &third_owner);

	(void)state;
	start(2, -EAGAIN);
	call_run(second, run, second_arguments);
	call_run(third, run, third_arguments);
	assert_log("run with these\n");
	call_cancel(second);
	pass(CALL_LATER_MS + 1);
	assert_log("run with these\nrun with these\n");
	pass(CALL_LATER_MS + 1);
	pass(1);
	assert_log("run with these\nrun with these\nrun with these\nrelease it\nended done\n"
		   "run with three\nthird done\n");
	stop();
}

static void test_cancelled_while_put_off(void **state)
{
	(void)state;
	start(1, -EAGAIN);
	call_cancel(world.call);
	pass(CALL_LATER_MS);
	assert_log("run with these\nrelease it\n");
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_answer, setup),
		cmocka_unit_test_setup(test_fail, setup),
		cmocka_unit_test_setup(test_answer_text, setup),
		cmocka_unit_test_setup(test_cancel, setup),
		cmocka_unit_test_setup(test_cancel_from_within, setup),
		cmocka_unit_test_setup(test_written_later, setup),
		cmocka_unit_test_setup(test_cancelled_before_written, setup),
		cmocka_unit_test_setup(test_written_at_once, setup),
		cmocka_unit_test_setup(test_cancelled_while_writing, setup),
		cmocka_unit_test_setup(test_no_memory_to_write, setup),
		cmocka_unit_test_setup(test_ended_call_is_left_alone, setup),
		cmocka_unit_test_setup(test_progress, setup),
		cmocka_unit_test_setup(test_later, setup),
		cmocka_unit_test_setup(test_later_but_not_for_ever, setup),
		cmocka_unit_test_setup(test_what_does_not_pass_is_not_tried_again, setup),
		cmocka_unit_test_setup(test_in_line, setup),
		cmocka_unit_test_setup(test_cancelled_while_put_off, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
