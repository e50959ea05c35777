/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-task.h"

#include <errno.h>
#include <time.h>

#include "runner/message/timezone.h"
#include "tests/runner/mcp/tool.h"

static int setup(void **state)
{
	setenv("TZ", "America/New_York", 1);
	assert_string_equal(timezone_init(), "America/New_York");
	return tool_setup(state);
}

/* The newest row, with ID for its own id: id's prefix|kind|in_reply_to|address|content. */
static void assert_asked(const char *expected)
{
	char row[8192];

	(void)snprintf(row, sizeof(row), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT substr(id, 1, instr(id, '-')), kind, in_reply_to,"
				    " channel_type, platform_id, thread_id,"
				    " replace(content, id, 'ID') FROM messages_out"
				    " ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	row[strcspn(row, "\n")] = '\0';
	assert_string_equal(row, expected);
}

/* The answer, in which ID stands for the newest row's id. */
static void assert_answer_with_id(const char *format)
{
	const char *at = strstr(format, "ID");
	char id[64], expected[8192];

	(void)snprintf(id, sizeof(id), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT id FROM messages_out ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	id[strcspn(id, "\n")] = '\0';
	(void)snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(at - format), format, id,
		       at + 2);
	assert_answer(expected);
}

static void test_schedule(void **state)
{
	(void)state;
	tool_run(tool_task_schedule, "{'prompt':'Say \\'hi\\'','processAfter':'2999-01-15T09:00'}");
	assert_answer_with_id("ok: The task is scheduled. Its id is ID. It runs at "
			      "2999-01-15T14:00:00.000Z, which is Jan 15, 2999, 9:00 AM in "
			      "America/New_York.");
	assert_asked("task-|system|m-1|slack|C1|T1|{\"action\":\"schedule_task\",\"taskId\":\"ID\","
		     "\"prompt\":\"Say \\\"hi\\\"\",\"script\":null,"
		     "\"processAfter\":\"2999-01-15T14:00:00.000Z\",\"recurrence\":null,"
		     "\"platformId\":\"C1\",\"channelType\":\"slack\",\"threadId\":\"T1\"}");
	assert_string_equal(tool.sent, "");
}

static void test_schedule_again_and_again(void **state)
{
	(void)state;
	tool_host("DELETE FROM session_routing");
	tool_run(tool_task_schedule,
		 "{'prompt':'p','processAfter':'2999-07-01T08:00:00+02:00','script':' echo\\n',"
		 "'recurrence':' 0 9 * * MON-FRI\\n'}");
	assert_answer_with_id("ok: The task is scheduled. Its id is ID. It runs first at "
			      "2999-07-01T06:00:00.000Z, which is Jul 1, 2999, 2:00 AM in "
			      "America/New_York, and then by \"0 9 * * MON-FRI\".");
	assert_asked("task-|system|m-1|null|null|null|{\"action\":\"schedule_task\","
		     "\"taskId\":\"ID\",\"prompt\":\"p\",\"script\":\" echo\\n\","
		     "\"processAfter\":\"2999-07-01T06:00:00.000Z\","
		     "\"recurrence\":\"0 9 * * MON-FRI\",\"platformId\":null,"
		     "\"channelType\":null,\"threadId\":null}");
}

static void test_schedule_blank_is_none(void **state)
{
	(void)state;
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'2999-01-15','script':'',"
				     "'recurrence':' \\n'}");
	assert_asked("task-|system|m-1|slack|C1|T1|{\"action\":\"schedule_task\",\"taskId\":\"ID\","
		     "\"prompt\":\"p\",\"script\":null,"
		     "\"processAfter\":\"2999-01-15T05:00:00.000Z\",\"recurrence\":null,"
		     "\"platformId\":\"C1\",\"channelType\":\"slack\",\"threadId\":\"T1\"}");
}

static void test_schedule_in_the_past(void **state)
{
	(void)state;
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'2020-01-15T09:00:00Z'}");
	assert_answer_with_id("ok: The task is scheduled. Its id is ID. It runs at "
			      "2020-01-15T09:00:00.000Z, which is Jan 15, 2020, 4:00 AM in "
			      "America/New_York. That time is past, so it runs at once: if this is "
			      "not meant, use update_task.");
	assert_row_count(1);
}

#define NO_TIME(quoted)                                                                         \
	"error: The argument `processAfter` must be a date and a time in ISO 8601, not " quoted \
	". 2026-03-01T08:00:00 is read as the clock in America/New_York; with Z or an offset "  \
	"behind it, as in 2026-03-01T08:00:00+01:00, it is that moment."
#define NO_PROMPT                                                                             \
	"error: The argument `prompt` must not be empty: a task cannot do without it. Leave " \
	"it out if it is to stay as it is."
#define NO_CRON(quoted, problem)                                                               \
	"error: The argument `recurrence` must be a cron expression, such as \"0 9 * * 1-5\" " \
	"for 9:00 from Monday to Friday; " quoted " is none: " problem "."

static void test_schedule_wrongly(void **state)
{
	(void)state;
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'tomorrow\\nat 9'}");
	assert_answer(NO_TIME("\"tomorrow\\nat 9\""));
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':''}");
	assert_answer(NO_TIME("\"\""));
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'2026-02-30'}");
	assert_answer(NO_TIME("\"2026-02-30\""));
	tool_run(tool_task_schedule,
		 "{'prompt':'p','processAfter':'2999-01-15','recurrence':'60 * * * *'}");
	assert_answer(NO_CRON("\"60 * * * *\"", "minute: \"60\" is not a number from 0 to 59"));
	tool_run(tool_task_schedule,
		 "{'prompt':'p','processAfter':'2999-01-15','recurrence':'daily'}");
	assert_answer(NO_CRON("\"daily\"", "it has 1 field; give 5: minute, hour, day of month, "
					   "month, day of week (or 6, with seconds first)"));
	assert_row_count(0);
}

/* A text of n bytes as an argument, and the least of the others. */
static void run_long(tools_fn *fn, const char *name, size_t n)
{
	cleanup_json json_t *arguments = json_object();
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'a', n);
	text[n] = '\0';
	json_object_set_new(arguments, "taskId", json_string("t"));
	json_object_set_new(arguments, "prompt", json_string("p"));
	json_object_set_new(arguments, "processAfter", json_string("2999-01-15"));
	json_object_set_new(arguments, name, json_string(text));
	free(text);
	fn(tool_call(), arguments);
}

static void test_limits(void **state)
{
	(void)state;
	run_long(tool_task_schedule, "prompt", 1024 * 1024 + 1);
	assert_answer("error: The argument `prompt` has 1048577 bytes; a task can hold 1048576. "
		      "Put it into a file, and have the prompt name the file.");
	run_long(tool_task_update, "script", 1024 * 1024 + 1);
	assert_answer("error: The argument `script` has 1048577 bytes; a task can hold 1048576. "
		      "Put it into a file, and have the prompt name the file.");
	run_long(tool_task_cancel, "taskId", 257);
	assert_non_null(strstr(tool.answer, "aaa...\" is not the id of a task: list_tasks tells "
					    "them."));
	run_long(tool_task_update, "taskId", 257);
	assert_non_null(strstr(tool.answer, "is not the id of a task"));
	assert_row_count(0);
	run_long(tool_task_schedule, "prompt", 1024 * 1024);
	run_long(tool_task_cancel, "taskId", 256);
	assert_row_count(2);
}

static void test_unreadable(void **state)
{
	(void)state;
	assert_int_equal(unlink(tool.inbound), 0);
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'2999-01-15'}");
	assert_non_null(strstr(tool.answer, "error: Nothing was done, since the session's files "
					    "cannot be read at the moment: "));
	tool_run(tool_task_list, "{}");
	assert_non_null(strstr(tool.answer, "error: The tasks cannot be read at the moment: "));
	assert_non_null(strstr(tool.answer, "inbound.db is missing"));
	assert_row_count(0);
}

static void test_no_memory(void **state)
{
	(void)state;
	tool.write_result = -ENOMEM;
	tool_run(tool_task_schedule, "{'prompt':'p','processAfter':'2999-01-15'}");
	assert_answer("error: There is not enough memory for this at the moment. Try again "
		      "later.");
}

static void test_changes(void **state)
{
	(void)state;
	tool_run(tool_task_cancel, "{'taskId':'task-1'}");
	assert_answer("ok: The host is asked to cancel the task \"task-1\".");
	assert_asked("sys-|system|null|null|null|null|"
		     "{\"action\":\"cancel_task\",\"taskId\":\"task-1\"}");
	tool_run(tool_task_pause, "{'taskId':'a\\'b'}");
	assert_answer("ok: The host is asked to pause the task \"a\\\"b\": it does not run until "
		      "resume_task.");
	assert_asked("sys-|system|null|null|null|null|"
		     "{\"action\":\"pause_task\",\"taskId\":\"a\\\"b\"}");
	tool_run(tool_task_resume, "{'taskId':'task-1'}");
	assert_answer("ok: The host is asked to resume the task \"task-1\".");
	assert_asked("sys-|system|null|null|null|null|"
		     "{\"action\":\"resume_task\",\"taskId\":\"task-1\"}");
	assert_row_count(3);
}

static void test_update(void **state)
{
	(void)state;
	tool_run(tool_task_update,
		 "{'script':'s','recurrence':'@daily','processAfter':'2999-01-15T09:00:00',"
		 "'prompt':'p','taskId':'t'}");
	assert_answer("ok: The host is asked to change the task \"t\".");
	assert_asked("sys-|system|null|null|null|null|{\"action\":\"update_task\",\"taskId\":\"t\","
		     "\"prompt\":\"p\",\"processAfter\":\"2999-01-15T14:00:00.000Z\","
		     "\"recurrence\":\"@daily\",\"script\":\"s\"}");
	tool_run(tool_task_update, "{'taskId':'t','recurrence':'','script':''}");
	assert_asked("sys-|system|null|null|null|null|{\"action\":\"update_task\",\"taskId\":\"t\","
		     "\"recurrence\":null,\"script\":null}");
	tool_run(tool_task_update, "{'taskId':'t','prompt':'new'}");
	assert_asked("sys-|system|null|null|null|null|{\"action\":\"update_task\",\"taskId\":\"t\","
		     "\"prompt\":\"new\"}");
	assert_row_count(3);
}

static void test_update_wrongly(void **state)
{
	(void)state;
	tool_run(tool_task_update, "{'taskId':'t','prompt':null}");
	assert_answer("error: Nothing is to be changed: give at least one of `prompt`, "
		      "`processAfter`, `recurrence` and `script`.");
	tool_run(tool_task_update, "{'taskId':'t','prompt':''}");
	assert_answer(NO_PROMPT);
	tool_run(tool_task_update, "{'taskId':'t','prompt':' \\n\\u00a0'}");
	assert_answer(NO_PROMPT);
	tool_run(tool_task_update, "{'taskId':'t','prompt':'p','processAfter':'now'}");
	assert_answer(NO_TIME("\"now\""));
	tool_run(tool_task_update, "{'taskId':'t','prompt':'p','recurrence':'@often'}");
	assert_answer(
		NO_CRON("\"@often\"",
			"\"@often\" is none of @yearly, @annually, @monthly, @weekly, @daily, "
			"@hourly, @minutely, @secondly, @weekdays, @weekends"));
	assert_row_count(0);
}

static void test_list(void **state)
{
	(void)state;
	tool_run(tool_task_list, "{}");
	assert_answer("ok: No tasks found.");
	tool_host("INSERT INTO messages_in (id, seq, kind, timestamp, content, status,"
		  " process_after, recurrence, series_id) VALUES"
		  " ('t-1', 2, 'task', '', '{}', 'completed', '2026-01-01', NULL, 't-1'),"
		  " ('t-1b', 4, 'task', '', '{\"prompt\":\"Water\\r\\nthe\\u2028plants\\u0000\"}',"
		  " 'pending', '2026-01-03T09:00:00.000Z', '0 9 * * *', 't-1'),"
		  " ('t-2', 6, 'task', '', '{\"prompt\":\"' || replace(hex(zeroblob(40)), '00',"
		  " 'x\xc3\xa9') || '!\"}', 'paused', NULL, '', NULL),"
		  " ('t-3', 8, 'task', '', 'not JSON', 'pending', '2026-01-04\n- t-9', NULL, '')");
	tool_run(tool_task_list, "{'status':null}");
	assert_answer("ok: - t-2 [paused] at=now \xe2\x86\x92 "
		      "x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9"
		      "x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9"
		      "x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9"
		      "x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9"
		      "x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9x\xc3\xa9\n"
		      "- t-3 [pending] at=2026-01-04 - t-9 \xe2\x86\x92 not JSON\n"
		      "- t-1 [pending] at=2026-01-03T09:00:00.000Z recur=0 9 * * * \xe2\x86\x92 "
		      "Water  the plants ");
	tool_run(tool_task_list, "{'status':'pending'}");
	assert_answer("ok: - t-3 [pending] at=2026-01-04 - t-9 \xe2\x86\x92 not JSON\n"
		      "- t-1 [pending] at=2026-01-03T09:00:00.000Z recur=0 9 * * * \xe2\x86\x92 "
		      "Water  the plants ");
	tool_host("DELETE FROM messages_in WHERE id = 't-2'");
	tool_run(tool_task_list, "{'status':'paused'}");
	assert_answer("ok: No tasks found.");
	tool_run(tool_task_list, "{'status':'done'}");
	assert_answer(
		"error: The argument `status` must be \"pending\" or \"paused\", not \"done\".");
	assert_row_count(0);
}

static void test_long_list(void **state)
{
	(void)state;
	tool_host("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 201)"
		  " INSERT INTO messages_in (id, seq, kind, timestamp, content, process_after)"
		  " SELECT 't-' || i, i * 2, 'task', '', '{}', '2026-01-01T00:00:00.' || i || 'Z'"
		  " FROM n");
	tool_run(tool_task_list, "{}");
	assert_string_equal(strstr(tool.answer, "- t-199"),
			    "- t-199 [pending] at=2026-01-01T00:00:00.199Z \xe2\x86\x92 \n"
			    "2 more tasks, due later, are not listed.");
}

/* The prompts are neither read nor parsed: the loop would stand still meanwhile. */
static void test_list_of_long_prompts(void **state)
{
	(void)state;
	tool_host("INSERT INTO messages_in (id, seq, kind, timestamp, content) VALUES"
		  " ('t-1', 2, 'task', '', '{\"prompt\":\"' || hex(zeroblob(40000)) || '\"}'),"
		  " ('t-2', 4, 'task', '', '{\"prompt\":\"Water\",\"script\":\"'"
		  " || hex(zeroblob(30000)) || '\"}')");
	tool_run(tool_task_list, "{}");
	assert_answer("ok: - t-1 [pending] at=now \xe2\x86\x92 (too long to be shown)\n"
		      "- t-2 [pending] at=now \xe2\x86\x92 Water");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, tool_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_schedule),
		CASE(test_schedule_again_and_again),
		CASE(test_schedule_blank_is_none),
		CASE(test_schedule_in_the_past),
		CASE(test_schedule_wrongly),
		CASE(test_limits),
		CASE(test_unreadable),
		CASE(test_no_memory),
		CASE(test_changes),
		CASE(test_update),
		CASE(test_update_wrongly),
		CASE(test_list),
		CASE(test_long_list),
		CASE(test_list_of_long_prompts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
