/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-question.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "common/clock.h"
#include "tests/runner/mcp/tool.h"

/* A clock of our own: each round of the loop is half a second, and nobody has to wait. */
static struct {
	int64_t now;
	int ready; /* a descriptor that always is, so that the loop never sleeps */
	struct loop_source *source;
} times;

int64_t clock_monotonic_ms(void)
{
	return times.now;
}

static void pass_time(void *userdata, uint32_t events)
{
	(void)userdata;
	(void)events;
	times.now += 500;
}

int64_t clock_realtime_ms(void)
{
	return 1770206400000;
}

static char progress[2048];

static int setup(void **state)
{
	tool_setup(state);
	progress[0] = '\0';
	times.now = 1000;
	times.ready = eventfd(1, EFD_CLOEXEC);
	return loop_add_fd(tool.context.loop, times.ready, EPOLLIN, pass_time, NULL, &times.source);
}

static int teardown(void **state)
{
	loop_source_free(times.source);
	tool_teardown(state);
	close(times.ready);
	return 0;
}

static void on_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	tool_ended(userdata, call, text, is_error);
	loop_stop(tool.context.loop, 0);
}

static void on_progress(void *userdata, struct call *call, double done, double total,
			const char *message)
{
	size_t used = strlen(progress);

	(void)userdata;
	assert_ptr_equal(call, tool.call);
	(void)snprintf(progress + used, sizeof(progress) - used, "%g of %g: %s\n", done, total,
		       message);
}

/* As tool_run(), with an owner who wants to know how far it is. */
static void ask(const char *arguments)
{
	static const struct call_owner owner = {
		.ended = on_ended,
		.progress = on_progress,
		.userdata = &tool,
	};
	cleanup_json json_t *value = test_json(arguments);

	tool_question_ask(tool_call_of(&owner), value);
}

#define YES_NO "{'title':'T','question':'Go?','options':['yes','no']}"

/* The newest row's id. */
static const char *row_id(void)
{
	static char id[64];

	(void)snprintf(id, sizeof(id), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT id FROM messages_out ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	id[strcspn(id, "\n")] = '\0';
	return id;
}

/* The host hands in the answer to the newest question: a JSON value. */
static bool answer(const char *selected)
{
	cleanup_json json_t *content = json_pack("{s:s}", "questionId", row_id());
	cleanup_json json_t *value = NULL;

	if (selected) {
		assert_int_equal(json_parse(selected, strlen(selected), &value, NULL), 0);
		json_object_set(content, "selectedOption", value);
	}
	return awaited_offer(tool.context.awaited, content);
}

static size_t waiting(void)
{
	return awaited_count(tool.context.awaited, AWAITED_QUESTION);
}

static void test_answer(void **state)
{
	char expected[1024];

	(void)state;
	ask("{'title':'Delete?','question':'All of \\'it\\'?','options':['yes',"
	    "{'label':'no','selectedLabel':'kept','value':'n'},{'label':'later','value':''}]}");
	(void)snprintf(expected, sizeof(expected),
		       "chat-sdk|m-1|slack|C1|T1|{\"type\":\"ask_question\",\"questionId\":\"%s\","
		       "\"title\":\"Delete?\",\"question\":\"All of \\\"it\\\"?\",\"options\":["
		       "{\"label\":\"yes\",\"selectedLabel\":\"yes\",\"value\":\"yes\"},"
		       "{\"label\":\"no\",\"selectedLabel\":\"kept\",\"value\":\"n\"},"
		       "{\"label\":\"later\",\"selectedLabel\":\"later\",\"value\":\"later\"}]}",
		       row_id());
	assert_row(expected);
	assert_memory_equal(row_id(), "msg-", 4);
	assert_string_equal(tool.sent, "casa/T1|null\n");
	assert_string_equal(tool.answer, "");
	assert_int_equal(waiting(), 1);
	assert_true(answer("\"n\""));
	assert_answer("ok: n");
	assert_int_equal(waiting(), 0);
	/* It is over. */
	assert_false(answer("\"n\""));
}

static void test_answers_of_all_kinds(void **state)
{
	static const struct {
		const char *selected, *text;
	} rows[] = {
		{ "\"y e s\"", "ok: y e s" },
		{ "5.0", "ok: 5" },
		{ "true", "ok: true" },
		{ "[\"a\",1]", "ok: [\"a\",1]" },
		{ "\"\"", NULL },
		{ "null", NULL },
		{ NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask(YES_NO);
		assert_true(answer(rows[i].selected));
		assert_answer(rows[i].text ? rows[i].text
					   : "error: The question was answered, but the answer "
					     "names no choice. Ask again if you need to know.");
	}
	assert_int_equal(waiting(), 0);
}

/* Each has its own answer, in whatever order they come. */
static void test_two_questions(void **state)
{
	struct call *first;
	char id[64];

	(void)state;
	ask(YES_NO);
	first = tool.call;
	strcpy(id, row_id());
	tool.call = NULL;
	ask(YES_NO);
	assert_int_equal(waiting(), 2);
	assert_string_not_equal(id, row_id());
	assert_true(answer("\"second\""));
	assert_answer("ok: second");
	assert_int_equal(waiting(), 1);
	tool.call = first;
	call_cancel(steal_ptr(tool.call));
	assert_int_equal(waiting(), 0);
}

static void test_nobody_answers(void **state)
{
	(void)state;
	ask("{'title':'T','question':'Go?','options':['yes'],'timeout':35.5}");
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	assert_answer("error: Nobody answered within 35.5 seconds. If an answer comes later, you "
		      "will be told of it in a system note.");
	assert_int_equal(waiting(), 0);
	assert_false(answer("\"late\""));
	assert_string_equal(progress, "10 of 35.5: Waiting for an answer\n"
				      "20 of 35.5: Waiting for an answer\n"
				      "30 of 35.5: Waiting for an answer\n");
	assert_int_equal(times.now, 1000 + 35500);
}

static void test_default_timeout(void **state)
{
	(void)state;
	ask(YES_NO);
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	assert_non_null(strstr(tool.answer, "within 300 seconds"));
}

/* The time runs from when it can be seen. */
static void test_slow_disk(void **state)
{
	(void)state;
	tool.writes_later = true;
	ask(YES_NO);
	assert_string_equal(tool.answer, "");
	times.now += 3600 * 1000;
	tool_commit();
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	assert_non_null(strstr(tool.answer, "within 300 seconds"));
	assert_int_equal(times.now, 1000 + 3600 * 1000 + 300 * 1000);
}

static void test_cancel(void **state)
{
	(void)state;
	ask(YES_NO);
	call_cancel(steal_ptr(tool.call));
	assert_int_equal(waiting(), 0);
	assert_string_equal(tool.answer, "");
	assert_false(answer("\"yes\""));

	tool.writes_later = true;
	ask(YES_NO);
	call_cancel(steal_ptr(tool.call));
	assert_int_equal(tool.forgotten, 1);
	assert_int_equal(waiting(), 0);
}

static void cancel_when_told(void *userdata, struct call *call, double done, double total,
			     const char *message)
{
	on_progress(userdata, call, done, total, message);
	call_cancel(steal_ptr(tool.call));
	loop_stop(tool.context.loop, 0);
}

static void test_cancelled_by_who_is_told(void **state)
{
	static const struct call_owner owner = {
		.ended = on_ended,
		.progress = cancel_when_told,
		.userdata = &tool,
	};
	cleanup_json json_t *arguments =
		json_pack("{s:s, s:s, s:[s]}", "title", "T", "question", "Go?", "options", "yes");

	(void)state;
	tool.call = call_new(&tool.context, &owner);
	tool_question_ask(tool.call, arguments);
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	assert_string_equal(progress, "10 of 300: Waiting for an answer\n");
	assert_int_equal(waiting(), 0);
}

static void test_options(void **state)
{
	cleanup_json json_t *options = json_array();
	cleanup_json json_t *arguments =
		json_pack("{s:s, s:s, s:O}", "title", "T", "question", "Go?", "options", options);

	(void)state;
	tool_question_ask(tool_call(), arguments);
	assert_answer("error: A question can have 1 to 25 options, not 0.");
	for (int i = 0; i < 26; i++)
		json_array_append_new(options, json_string("x"));
	tool_question_ask(tool_call(), arguments);
	assert_answer("error: A question can have 1 to 25 options, not 26.");
	assert_row_count(0);
	json_array_remove(options, 0);
	tool_question_ask(tool_call(), arguments);
	assert_row_count(1);
}

static void test_nowhere_to_ask(void **state)
{
	(void)state;
	tool_host("DELETE FROM session_routing");
	ask(YES_NO);
	assert_non_null(strstr(tool.answer, "error: This session has no chat of its own"));
	assert_string_equal(tool.sent, "");
	assert_row_count(0);
	assert_int_equal(waiting(), 0);
}

static void test_no_memory(void **state)
{
	(void)state;
	tool.write_result = -ENOMEM;
	ask(YES_NO);
	assert_answer("error: There is not enough memory for this at the moment. Try again "
		      "later.");
	assert_int_equal(waiting(), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_answer),	    CASE(test_answers_of_all_kinds),
		CASE(test_two_questions),   CASE(test_nobody_answers),
		CASE(test_default_timeout), CASE(test_slow_disk),
		CASE(test_cancel),	    CASE(test_cancelled_by_who_is_told),
		CASE(test_options),	    CASE(test_nowhere_to_ask),
		CASE(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
