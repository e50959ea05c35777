/* SPDX-License-Identifier: MIT */
#include "runner/mcp/methods.h"

#include <errno.h>

#include "common/clock.h"
#include "tests/runner/mcp/tool.h"

/* A clock of our own: nobody has to wait for the host. */
static int64_t now;

int64_t clock_monotonic_ms(void)
{
	return now;
}

int64_t clock_realtime_ms(void)
{
	return 1770206400000;
}

static int setup(void **state)
{
	now = 1000;
	return tool_setup(state);
}

/* The command, and the row that it becomes; the request's id. */
static const char *request(const char *params, const char *content)
{
	cleanup_json json_t *value = test_json(params);
	static char id[64];
	char row[1024];

	methods_ncl(tool_call(), value);
	(void)snprintf(id, sizeof(id), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT id FROM messages_out ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	id[strcspn(id, "\n")] = '\0';
	assert_memory_equal(id, "cli-1770206400000-", 18);
	(void)snprintf(
		row, sizeof(row),
		"system|null|null|null|null|{\"action\":\"cli_request\",\"requestId\":\"%s\","
		"%s}",
		id, content);
	assert_row(row);
	/* A request is nothing that people see. */
	assert_string_equal(tool.sent, "");
	return id;
}

/* The host answers: rest stands behind the request's id. */
static bool answer(const char *id, const char *rest)
{
	cleanup_json json_t *content = NULL;
	char text[512];

	(void)snprintf(text, sizeof(text), "{'requestId':'%s'%s}", id, rest);
	content = test_json(text);
	return awaited_offer(tool.context.awaited, content);
}

/* Lets the timers that are due by now fire, and a millisecond pass. */
static void on_timer(void *userdata)
{
	loop_stop(userdata, 0);
}

static void settle(void)
{
	struct loop_timer *timer;

	now++;
	assert_int_equal(loop_timer_new(tool.context.loop, on_timer, tool.context.loop, &timer), 0);
	loop_timer_arm(timer, 0);
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	loop_timer_free(timer);
}

static void test_a_frame(void **state)
{
	const char *id;

	(void)state;
	id = request("{'command':'groups-list','args':{'limit':'2','all':true}}",
		     "\"command\":\"groups-list\",\"args\":{\"limit\":\"2\",\"all\":true}");
	assert_int_equal(awaited_count(tool.context.awaited, AWAITED_REQUEST), 1);
	assert_true(
		answer(id, ",'frame':{'id':'r','ok':false,'error':{'code':'x','message':'y'}}"));
	assert_answer(
		"ok: {\"id\":\"r\",\"ok\":false,\"error\":{\"code\":\"x\",\"message\":\"y\"}}");
	assert_int_equal(awaited_count(tool.context.awaited, AWAITED_REQUEST), 0);
	assert_false(answer(id, ",'frame':{}"));
}

static void test_arguments_that_are_none(void **state)
{
	static const char *const params[] = {
		"{'command':'help'}",
		"{'command':'help','args':null}",
		"{'command':'help','args':['x']}",
		"{'command':'help','args':'x'}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		assert_true(answer(request(params[i], "\"command\":\"help\",\"args\":{}"),
				   ",'frame':{}"));
		assert_answer("ok: {}");
	}
}

static void test_no_frame(void **state)
{
	static const char *const rests[] = { "", ",'frame':null", ",'frame':'x'", ",'frame':[]" };
	char expected[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		const char *id =
			request("{'command':'a\\\"b'}", "\"command\":\"a\\\"b\",\"args\":{}");

		assert_true(answer(id, rests[i]));
		(void)snprintf(expected, sizeof(expected),
			       "ok: {\"id\":\"%s\",\"ok\":false,\"error\":{\"code\":\"bad-frame\","
			       "\"message\":\"the host's answer holds no frame\"}}",
			       id);
		assert_answer(expected);
	}
}

static void test_the_host_is_silent(void **state)
{
	const char *id;

	(void)state;
	id = request("{'command':'help'}", "\"command\":\"help\",\"args\":{}");
	now += METHODS_NCL_MS - 2;
	settle();
	assert_string_equal(tool.answer, "");
	now += 1;
	settle();
	assert_answer("error: the host did not answer within 30 s");
	assert_false(answer(id, ",'frame':{}"));
}

/* From then on the host has its time, and not before. */
static void test_the_row_waits_for_the_disk(void **state)
{
	const char *id;

	(void)state;
	tool.writes_later = true;
	id = request("{'command':'help'}", "\"command\":\"help\",\"args\":{}");
	now += 10 * METHODS_NCL_MS;
	settle();
	assert_string_equal(tool.answer, "");
	tool_commit();
	now += METHODS_NCL_MS - 2;
	settle();
	assert_true(answer(id, ",'frame':{}"));
	assert_answer("ok: {}");
}

/* The row is on disk, and answered, before its writer is told so. */
static void test_a_fast_host(void **state)
{
	const char *id;

	(void)state;
	tool.writes_later = true;
	id = request("{'command':'help'}", "\"command\":\"help\",\"args\":{}");
	assert_true(answer(id, ",'frame':{}"));
	assert_answer("ok: {}");
}

static void test_who_asked_goes(void **state)
{
	const char *id;

	(void)state;
	id = request("{'command':'help'}", "\"command\":\"help\",\"args\":{}");
	call_cancel(steal_ptr(tool.call));
	assert_false(answer(id, ",'frame':{}"));
	assert_int_equal(awaited_count(tool.context.awaited, AWAITED_REQUEST), 0);
	tool.writes_later = true;
	request("{'command':'help'}", "\"command\":\"help\",\"args\":{}");
	call_cancel(steal_ptr(tool.call));
	assert_int_equal(tool.forgotten, 1);
	now += 10 * METHODS_NCL_MS;
	settle();
	assert_string_equal(tool.answer, "");
}

static void test_no_memory(void **state)
{
	cleanup_json json_t *params = test_json("{'command':'help'}");

	(void)state;
	tool.write_result = -ENOMEM;
	methods_ncl(tool_call(), params);
	assert_answer("error: There is not enough memory for this at the moment. Try again later.");
	assert_row_count(0);
	assert_int_equal(awaited_count(tool.context.awaited, AWAITED_REQUEST), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, tool_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_frame),
		CASE(test_arguments_that_are_none),
		CASE(test_no_frame),
		CASE(test_the_host_is_silent),
		CASE(test_the_row_waits_for_the_disk),
		CASE(test_a_fast_host),
		CASE(test_who_asked_goes),
		CASE(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
