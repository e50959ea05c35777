/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/quote.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/mcp/tool-route.h"
#include "runner/mcp/tool-row.h"
#include "runner/message/blank.h"
#include "runner/message/content.h"
#include "runner/message/cron.h"
#include "runner/message/timezone.h"
#include "runner/store/inbound-task.h"

/*
 * The longest prompt or script in bytes. A row of which more than INBOUND_CONTENT_MAX would have to
 * be read is not taken up: such a task would be lost when it is due.
 */
#define TOOL_TASK_TEXT_MAX (1024 * 1024)

#define TOOL_TASK_ID_MAX   256

/* What a list shows: tasks, and characters of each prompt. */
#define TOOL_TASK_LIST_MAX   100
#define TOOL_TASK_PROMPT_MAX 80

/* What is given of a task, as the host wants it. NULL: it is not given. */
struct tool_task_given {
	json_t *prompt; /* borrowed */
	char process_after[TIMEZONE_UTC_SIZE];
	int64_t process_after_ms;
	bool has_process_after;
	json_t *recurrence; /* null for none */
	json_t *script;	    /* null for none */
};

static void tool_task_given_deinit(struct tool_task_given *given)
{
	json_decref(given->recurrence);
	json_decref(given->script);
}

#define cleanup_tool_task_given CLEANUP(tool_task_given_deinit)

static const char *tool_task_zone(void)
{
	const char *zone = getenv("TZ");

	return zone ? zone : "UTC";
}

/* A prompt or a script, if it is given: not too long? False: the call has ended. */
static bool tool_task_check_text(struct call *call, const json_t *arguments, const char *name)
{
	size_t len = json_string_length(json_member(arguments, name));

	if (len <= TOOL_TASK_TEXT_MAX)
		return true;
	call_fail(call,
		  "The argument `%s` has %zu bytes; a task can hold %d. Put it into a file, and "
		  "have the prompt name the file.",
		  name, len, TOOL_TASK_TEXT_MAX);
	return false;
}

static bool tool_task_read_time(struct call *call, const char *text, struct tool_task_given *given)
{
	char quoted[QUOTE_SIZE];

	if (timezone_parse_local(text, &given->process_after_ms) == 0) {
		timezone_print_utc(given->process_after_ms, given->process_after);
		given->has_process_after = true;
		return true;
	}
	call_fail(call,
		  "The argument `processAfter` must be a date and a time in ISO 8601, not %s. "
		  "2026-03-01T08:00:00 is read as the clock in %s; with Z or an offset behind it, "
		  "as in 2026-03-01T08:00:00+01:00, it is that moment.",
		  quote(quoted, text, strlen(text)), tool_task_zone());
	return false;
}

/* Nothing but blanks, or nothing at all. */
static bool tool_task_is_blank(const char *text)
{
	size_t len = strlen(text);

	blank_trim(&text, &len);
	return len == 0;
}

/* What is blank becomes JSON's null; the blanks around a recurrence go. */
static bool tool_task_read_text(struct call *call, const char *text, bool is_recurrence,
				json_t **ret_value)
{
	const char *trimmed = text;
	size_t len = strlen(text);

	blank_trim(&trimmed, &len);
	if (len == 0)
		*ret_value = json_null();
	else
		*ret_value = is_recurrence ? json_stringn(trimmed, len) : json_string(text);
	if (!*ret_value)
		call_answer_text(call, NULL);
	return *ret_value != NULL;
}

static bool tool_task_check_recurrence(struct call *call, const char *recurrence)
{
	char quoted[QUOTE_SIZE];
	struct err err = { "" };

	if (!recurrence || cron_check(recurrence, &err) == 0)
		return true;
	call_fail(
		call,
		"The argument `recurrence` must be a cron expression, such as \"0 9 * * 1-5\" for "
		"9:00 from Monday to Friday; %s is none: %s.",
		quote(quoted, recurrence, strlen(recurrence)), err.text);
	return false;
}

/* Checks all that is given of a task. False: the call has ended. */
static bool tool_task_read(struct call *call, const json_t *arguments,
			   struct tool_task_given *ret_given)
{
	const char *time = json_member_string(arguments, "processAfter");
	const char *recurrence = json_member_string(arguments, "recurrence");
	const char *script = json_member_string(arguments, "script");

	*ret_given = (struct tool_task_given){ .prompt = json_member(arguments, "prompt") };
	if (!tool_task_check_text(call, arguments, "prompt") ||
	    !tool_task_check_text(call, arguments, "script"))
		return false;
	if (time && !tool_task_read_time(call, time, ret_given))
		return false;
	if (script && !tool_task_read_text(call, script, false, &ret_given->script))
		return false;
	if (!recurrence)
		return true;
	return tool_task_read_text(call, recurrence, true, &ret_given->recurrence) &&
	       tool_task_check_recurrence(call, json_string_value(ret_given->recurrence));
}

/* A new reference to what may be missing: then it is null. */
static json_t *tool_task_or_null(json_t *value)
{
	return value ? json_incref(value) : json_null();
}

/* A column of the host's; it is mended when it is printed. */
static json_t *tool_task_column(const char *text)
{
	return text ? json_string_nocheck(text) : json_null();
}

/* Ends the call with what was made of it. content is taken over. */
static void tool_task_end_scheduled(struct call *call, const struct outbound_message *message,
				    json_t *content, const struct tool_task_given *given)
{
	cleanup_strbuf struct strbuf local = STRBUF_EMPTY;
	const char *recurrence = json_string_value(given->recurrence);
	char quoted[QUOTE_SIZE] = "";

	if (recurrence)
		quote(quoted, recurrence, strlen(recurrence));
	if (timezone_format(given->process_after, &local) < 0) {
		json_decref(content);
		content = NULL;
	}
	tool_row_write(
		call, message, content,
		"The task is scheduled. Its id is %s. It runs %sat %s, which is %s in "
		"%s%s%s.%s",
		message->id, recurrence ? "first " : "", given->process_after, local.data,
		tool_task_zone(), recurrence ? ", and then by " : "", quoted,
		given->process_after_ms < clock_realtime_ms()
			? " That time is past, so it runs at once: if this is not meant, use "
			  "update_task."
			: "");
}

void tool_task_schedule(struct call *call, const json_t *arguments)
{
	cleanup_tool_task_given struct tool_task_given given = { .prompt = NULL };
	cleanup_tool_route struct tool_route route = { .name = NULL };
	struct outbound_message message = { .kind = "system" };
	char id[OUTBOUND_ID_SIZE];

	if (!tool_task_read(call, arguments, &given) || !tool_route_session(call, &route))
		return;
	tool_route_apply(&route, &message);
	/* Row and task bear one id. */
	outbound_make_id("task", id);
	message.id = id;
	tool_task_end_scheduled(
		call, &message,
		json_pack("{s:s, s:s, s:O, s:o, s:s, s:o, s:o, s:o, s:o}", "action",
			  "schedule_task", "taskId", id, "prompt", given.prompt, "script",
			  tool_task_or_null(given.script), "processAfter", given.process_after,
			  "recurrence", tool_task_or_null(given.recurrence), "platformId",
			  tool_task_column(route.address.platform_id), "channelType",
			  tool_task_column(route.address.channel_type), "threadId",
			  tool_task_column(route.address.thread_id)),
		&given);
}

/* Changes */

/* The id that is given; NULL: it cannot be one, and the call has ended. */
static const char *tool_task_id(struct call *call, const json_t *arguments)
{
	const char *id = json_member_string(arguments, "taskId");
	char quoted[QUOTE_SIZE];

	if (strlen(id) <= TOOL_TASK_ID_MAX)
		return id;
	call_fail(call, "%s is not the id of a task: list_tasks tells them.",
		  quote(quoted, id, strlen(id)));
	return NULL;
}

/* What the host is asked to do with a task; content is taken over. */
static void tool_task_ask(struct call *call, const char *task_id, json_t *content, const char *what,
			  const char *then)
{
	struct outbound_message message = { .kind = "system" };
	char id[OUTBOUND_ID_SIZE], quoted[QUOTE_SIZE];

	outbound_make_id("sys", id);
	message.id = id;
	tool_row_write(call, &message, content, "The host is asked to %s the task %s%s.", what,
		       quote(quoted, task_id, strlen(task_id)), then);
}

static void tool_task_do(struct call *call, const json_t *arguments, const char *action,
			 const char *what, const char *then)
{
	const char *id = tool_task_id(call, arguments);

	if (id)
		tool_task_ask(call, id, json_pack("{s:s, s:s}", "action", action, "taskId", id),
			      what, then);
}

void tool_task_cancel(struct call *call, const json_t *arguments)
{
	tool_task_do(call, arguments, "cancel_task", "cancel", "");
}

void tool_task_pause(struct call *call, const json_t *arguments)
{
	tool_task_do(call, arguments, "pause_task", "pause", ": it does not run until resume_task");
}

void tool_task_resume(struct call *call, const json_t *arguments)
{
	tool_task_do(call, arguments, "resume_task", "resume", "");
}

/* Members that are given; 0 or -1, as jansson has it. */
static int tool_task_add_given(json_t *content, const struct tool_task_given *given)
{
	int r = 0;

	if (given->prompt)
		r |= json_object_set(content, "prompt", given->prompt);
	if (given->has_process_after)
		r |= json_object_set_new(content, "processAfter",
					 json_string(given->process_after));
	if (given->recurrence)
		r |= json_object_set(content, "recurrence", given->recurrence);
	if (given->script)
		r |= json_object_set(content, "script", given->script);
	return r;
}

void tool_task_update(struct call *call, const json_t *arguments)
{
	cleanup_tool_task_given struct tool_task_given given = { .prompt = NULL };
	const char *id = tool_task_id(call, arguments);
	json_t *content;

	if (!id || !tool_task_read(call, arguments, &given))
		return;
	/* As schema.h refuses it of a task that is scheduled. */
	if (given.prompt && tool_task_is_blank(json_string_value(given.prompt))) {
		call_fail(call, "The argument `prompt` must not be empty: a task cannot do without "
				"it. Leave it out if it is to stay as it is.");
		return;
	}
	if (!given.prompt && !given.has_process_after && !given.recurrence && !given.script) {
		call_fail(call, "Nothing is to be changed: give at least one of `prompt`, "
				"`processAfter`, `recurrence` and `script`.");
		return;
	}
	content = json_pack("{s:s, s:s}", "action", "update_task", "taskId", id);
	if (content && tool_task_add_given(content, &given) < 0) {
		json_decref(content);
		content = NULL;
	}
	tool_task_ask(call, id, content, "change", "");
}

/* The list */

/* Appends the first characters of text, so that they stay on their line. */
static void tool_task_append_line(struct strbuf *out, const char *text, size_t len, size_t max)
{
	for (size_t step; len > 0 && max > 0; max--, text += step, len -= step) {
		size_t blank = blank_length(text, len);

		step = blank ? blank : utf8_sequence(text, len);
		if (step == 0)
			step = 1;
		if (blank > 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
			strbuf_putc(out, ' ');
		else
			utf8_append_valid(out, text, step);
	}
}

static void tool_task_append_column(struct strbuf *out, const char *text)
{
	tool_task_append_line(out, text, strlen(text), SIZE_MAX);
}

/* Appends what the row's content says that is to be done. */
static int tool_task_append_content(struct strbuf *out, const struct inbound_row *row)
{
	static const char *const names[] = { "prompt", "text", NULL };
	cleanup_strbuf struct strbuf prompt = STRBUF_EMPTY;
	cleanup_json json_t *content = NULL;
	int r = content_parse(row->content, row->content_len, &content);

	if (r == 0)
		r = content_append_first(&prompt, content, names);
	if (r == 0)
		tool_task_append_line(out, prompt.data, prompt.len, TOOL_TASK_PROMPT_MAX);
	return r < 0 ? r : out->error;
}

/* The same; the loop does not stand still for megabytes of which hardly anything is shown. */
static int tool_task_append_prompt(struct strbuf *out, struct inbound *inbound,
				   const struct inbound_task *task, struct err *err)
{
	struct inbound_row row;
	int r;

	if (task->is_long) {
		strbuf_puts(out, "(too long to be shown)");
		return 0;
	}
	r = inbound_read_row(inbound, task->rowid, &row, err);
	if (r < 0)
		return r;
	r = tool_task_append_content(out, &row);
	inbound_row_deinit(&row);
	return r < 0 ? err_sys(err, r, "cannot read tasks") : 0;
}

static int tool_task_append(struct strbuf *out, struct inbound *inbound,
			    const struct inbound_task *task, struct err *err)
{
	strbuf_puts(out, out->len ? "\n- " : "- ");
	tool_task_append_column(out, task->id);
	strbuf_printf(out, " [%s] at=", task->status);
	tool_task_append_column(out, task->process_after ? task->process_after : "now");
	if (task->recurrence && task->recurrence[0]) {
		strbuf_puts(out, " recur=");
		tool_task_append_column(out, task->recurrence);
	}
	strbuf_puts(out, " \xe2\x86\x92 ");
	return tool_task_append_prompt(out, inbound, task, err);
}

/* status NULL: all of them. */
static int tool_task_read_list(const char *path, const char *status, struct strbuf *out,
			       struct err *err)
{
	cleanup_inbound struct inbound *inbound = NULL;
	CLEANUP(inbound_tasks_deinit) struct inbound_tasks tasks = { .rows = NULL };
	int r = inbound_try(path, &inbound, err);

	if (r == 0)
		r = inbound_tasks(inbound, status, TOOL_TASK_LIST_MAX, &tasks, err);
	for (size_t i = 0; r == 0 && i < tasks.count; i++)
		r = tool_task_append(out, inbound, &tasks.rows[i], err);
	if (r < 0)
		return r;
	if (tasks.total > (int64_t)tasks.count)
		strbuf_printf(out, "\n%" PRId64 " more tasks, due later, are not listed.",
			      tasks.total - (int64_t)tasks.count);
	if (tasks.count == 0)
		strbuf_puts(out, "No tasks found.");
	return 0;
}

void tool_task_list(struct call *call, const json_t *arguments)
{
	cleanup_strbuf struct strbuf list = STRBUF_EMPTY;
	const char *status = json_member_string(arguments, "status");
	char quoted[QUOTE_SIZE];
	struct err err = { "" };
	int r;

	if (status && !status[0])
		status = NULL;
	if (status && strcmp(status, "pending") != 0 && strcmp(status, "paused") != 0) {
		call_fail(call, "The argument `status` must be \"pending\" or \"paused\", not %s.",
			  quote(quoted, status, strlen(status)));
		return;
	}
	r = tool_task_read_list(call_context(call)->inbound_path, status, &list, &err);
	if (r < 0 && call_later(call, r))
		return;
	if (r < 0) {
		call_fail(call, "The tasks cannot be read at the moment: %s. Try again.", err.text);
		return;
	}
	call_answer_text(call, strbuf_steal(&list));
}
