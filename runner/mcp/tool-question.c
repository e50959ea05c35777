/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-question.h"

#include <stdlib.h>

#include "common/clock.h"
#include "runner/io/json.h"
#include "runner/mcp/tool-route.h"
#include "runner/message/content.h"

/* More buttons than this are not to be had in one message of Slack or Discord. */
#define TOOL_QUESTION_OPTIONS_MAX 25

#define TOOL_QUESTION_TIMEOUT_S	  300

/* How often the caller is told that it still waits; many clients give up after a minute of silence. */
#define TOOL_QUESTION_PROGRESS_MS 10000

/* A question that waits for the disk, then for its answer. */
struct tool_question {
	struct call *call;
	struct awaited_entry *entry;
	struct loop_timer *timer;
	int64_t timeout_ms;
	int64_t asked_ms; /* monotonic */
};

static void tool_question_free(void *state)
{
	struct tool_question *question = state;

	awaited_remove(question->entry);
	loop_timer_free(question->timer);
	free(question);
}

static void tool_question_on_answer(void *userdata, const json_t *content)
{
	const struct tool_question *question = userdata;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (content_append_text(&text, json_member(content, "selectedOption")) == 0 &&
	    text.len == 0)
		call_fail(question->call, "The question was answered, but the answer names no "
					  "choice. Ask again if you need to know.");
	else
		call_answer_text(question->call, strbuf_steal(&text));
}

static void tool_question_arm(const struct tool_question *question, int64_t elapsed)
{
	int64_t left = question->timeout_ms - elapsed;

	loop_timer_arm(question->timer,
		       left < TOOL_QUESTION_PROGRESS_MS ? left : TOOL_QUESTION_PROGRESS_MS);
}

static void tool_question_on_timer(void *userdata)
{
	const struct tool_question *question = userdata;
	int64_t elapsed = clock_monotonic_ms() - question->asked_ms;

	if (elapsed >= question->timeout_ms) {
		call_fail(question->call,
			  "Nobody answered within %g seconds. If an answer comes later, you will "
			  "be told of it in a system note.",
			  (double)question->timeout_ms / 1000);
		return;
	}
	tool_question_arm(question, elapsed);
	/* Seconds as whole numbers: a client may show them as they are. The call may end there. */
	call_progress(question->call, (double)(elapsed / 1000), (double)question->timeout_ms / 1000,
		      "Waiting for an answer");
}

static void tool_question_on_written(struct call *call, int64_t seq)
{
	struct tool_question *question = call_state(call);

	(void)seq;
	question->asked_ms = clock_monotonic_ms();
	tool_question_arm(question, 0);
}

/* Made before the row is written: once somebody is asked, nothing can fail any more. */
static struct tool_question *tool_question_new(struct call *call, const char *id,
					       const json_t *timeout)
{
	const struct call_context *context = call_context(call);
	struct tool_question *question = calloc(1, sizeof(*question));

	if (!question)
		return NULL;
	question->call = call;
	question->timeout_ms = timeout ? (int64_t)(json_number_value(timeout) * 1000)
				       : TOOL_QUESTION_TIMEOUT_S * 1000;
	question->entry = awaited_add(context->awaited, AWAITED_QUESTION, id,
				      tool_question_on_answer, question);
	if (!question->entry ||
	    loop_timer_new(context->loop, tool_question_on_timer, question, &question->timer) < 0) {
		tool_question_free(question);
		return NULL;
	}
	return question;
}

/* A new reference to a member, or to the label where it is missing or "". */
static json_t *tool_question_member(const json_t *option, const char *name, json_t *label)
{
	json_t *member = json_member(option, name);

	return json_incref(json_string_length(member) > 0 ? member : label);
}

/* NULL: out of memory. */
static json_t *tool_question_options(const json_t *given)
{
	cleanup_json json_t *options = json_array();

	for (size_t i = 0; i < json_array_size(given); i++) {
		json_t *option = json_array_get(given, i);
		json_t *label = json_is_string(option) ? option : json_member(option, "label");

		if (json_array_append_new(
			    options,
			    json_pack("{s:O, s:o, s:o}", "label", label, "selectedLabel",
				      tool_question_member(option, "selectedLabel", label), "value",
				      tool_question_member(option, "value", label))) < 0)
			return NULL;
	}
	return steal_ptr(options);
}

/* The row's content as text; NULL: out of memory. */
static char *tool_question_content(const char *id, const json_t *arguments)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_json json_t *content = json_pack(
		"{s:s, s:s, s:O, s:O, s:o}", "type", "ask_question", "questionId", id, "title",
		json_member(arguments, "title"), "question", json_member(arguments, "question"),
		"options", tool_question_options(json_member(arguments, "options")));

	if (!content || json_append_compact(&text, content) < 0)
		return NULL;
	return strbuf_steal(&text);
}

void tool_question_ask(struct call *call, const json_t *arguments)
{
	const struct call_context *context = call_context(call);
	cleanup_tool_route struct tool_route route = { .name = NULL };
	cleanup_free char *content = NULL;
	struct outbound_message message = { .kind = "chat-sdk" };
	size_t count = json_array_size(json_member(arguments, "options"));
	struct tool_question *question;
	char id[OUTBOUND_ID_SIZE];

	if (count < 1 || count > TOOL_QUESTION_OPTIONS_MAX) {
		call_fail(call, "A question can have 1 to %d options, not %zu.",
			  TOOL_QUESTION_OPTIONS_MAX, count);
		return;
	}
	if (!tool_route_own(call, &route))
		return;
	outbound_make_id("msg", id);
	content = tool_question_content(id, arguments);
	question = content ? tool_question_new(call, id, json_member(arguments, "timeout")) : NULL;
	if (!question) {
		call_answer_text(call, NULL);
		return;
	}
	call_hold(call, question, tool_question_free);
	tool_route_apply(&route, &message);
	message.id = id;
	message.content = content;
	context->services->sent(context->userdata, route.name, route.address.thread_id, NULL);
	call_write(call, &message, tool_question_on_written);
}
