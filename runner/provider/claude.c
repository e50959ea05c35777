/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/provider/claude-error.h"
#include "runner/provider/claude-launch.h"
#include "runner/provider/claude-queue.h"
#include "runner/provider/claude-wire.h"
#include "runner/provider/transcript.h"

#define CLAUDE_LINE_MAX (64 * 1024 * 1024)
/* From the start to the answer to `initialize`; it takes half a second. */
#define CLAUDE_START_MS (60 * 1000)
/* How long an idle CLI may owe a result before nobody waits for it any more. */
#define CLAUDE_SETTLE_MS (15 * 1000)
/* Between SIGTERM and SIGKILL for a CLI that is given up. */
#define CLAUDE_GIVE_UP_MS 2000

/* Control requests, by id. A cancelled push's UUID stands behind the last. */
#define CLAUDE_INITIALIZE "initialize"
#define CLAUDE_INTERRUPT  "interrupt"
#define CLAUDE_CANCEL	  "cancel-"

enum claude_timer {
	CLAUDE_TIMER_START,  /* not ready in time; or there was nothing to be started */
	CLAUDE_TIMER_SETTLE, /* idle, and a result is missing */
	CLAUDE_TIMER_LADDER, /* the next step of ending it */
	CLAUDE_TIMERS,
};

struct claude {
	struct provider base;
	struct provider_events events;
	void *userdata;
	struct child *child; /* NULL: there was nothing to be started */
	struct claude_wire *wire;
	struct claude_queue queue;
	struct loop_timer *timers[CLAUDE_TIMERS];
	char *conversation; /* its id, as last told */
	char *config_dir;
	char *archive_dir;
	char *assistant_name;
	bool is_resuming; /* an earlier conversation */
	bool is_ready;
	bool is_idle;
	bool is_interrupting;
	uint64_t interrupted; /* every push up to this id is ended by the interrupt */
	bool is_stopping;
	int64_t ladder_ms; /* from SIGTERM to SIGKILL */
	bool is_terminated;
	enum provider_error verdict; /* why we gave it up; PROVIDER_OK: we did not */
	struct err last_words;	     /* the reason for its end, as far as it is known */
};

static struct claude *claude_of(struct provider *provider)
{
	return (struct claude *)provider;
}

/* Sending */

static void claude_give_up(struct claude *claude, enum provider_error verdict)
{
	if (claude->verdict != PROVIDER_OK || claude->is_stopping)
		return;
	claude->verdict = verdict;
	claude->is_terminated = true;
	child_signal(claude->child, SIGTERM);
	loop_timer_arm(claude->timers[CLAUDE_TIMER_LADDER], CLAUDE_GIVE_UP_MS);
}

/* Writes one line. 0, or <0 and the CLI is given up. */
static int claude_send(struct claude *claude, struct strbuf *line)
{
	int r;

	strbuf_putc(line, '\n');
	r = line->error ? line->error : child_write(claude->child, line->data, line->len);
	if (r < 0) {
		err_sys(&claude->last_words, r, "cannot write to Claude Code");
		claude_give_up(claude, PROVIDER_CRASHED);
	}
	return r;
}

static int claude_send_initialize(struct claude *claude, const char *instructions)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_puts(&line, "{\"type\":\"control_request\",\"request_id\":\"" CLAUDE_INITIALIZE
			   "\",\"request\":{\"subtype\":\"initialize\",\"hooks\":{}");
	if (instructions) {
		strbuf_puts(&line, ",\"appendSystemPrompt\":");
		json_append_string(&line, instructions, strlen(instructions));
	}
	strbuf_puts(&line, "}}");
	return claude_send(claude, &line);
}

static void claude_send_interrupt(struct claude *claude)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_puts(&line, "{\"type\":\"control_request\",\"request_id\":\"" CLAUDE_INTERRUPT
			   "\",\"request\":{\"subtype\":\"interrupt\"}}");
	(void)claude_send(claude, &line);
}

static void claude_send_cancel(struct claude *claude, const char *uuid)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_printf(&line,
		      "{\"type\":\"control_request\",\"request_id\":\"" CLAUDE_CANCEL "%s\","
		      "\"request\":{\"subtype\":\"cancel_async_message\",\"message_uuid\":\"%s\"}}",
		      uuid, uuid);
	(void)claude_send(claude, &line);
}

static int claude_send_push(struct claude *claude, const struct claude_push *push)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_puts(&line, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":");
	json_append_string(&line, push->text, push->len);
	strbuf_printf(&line, "},\"parent_tool_use_id\":null,\"session_id\":\"\",\"uuid\":\"%s\"}",
		      push->uuid);
	return claude_send(claude, &line);
}

/* Sends what may be sent. */
static void claude_pump(struct claude *claude)
{
	struct claude_push *push;

	while (claude->is_ready && !claude->is_stopping && claude->verdict == PROVIDER_OK &&
	       (push = claude_queue_next(&claude->queue)) && claude_send_push(claude, push) == 0)
		claude_queue_sent(push);
}

/* Results */

/* Raises the result and forgets what it answers. Nothing is touched after it. */
static void claude_raise(struct claude *claude, const struct provider_result *result)
{
	loop_timer_disarm(claude->timers[CLAUDE_TIMER_SETTLE]);
	claude_queue_answered(&claude->queue, result->answered);
	claude_pump(claude);
	claude->events.result(claude->userdata, result);
}

static uint64_t claude_answered(const struct claude *claude,
				const struct claude_wire_result *result)
{
	const json_t *uuid;
	uint64_t newest = 0;
	size_t i;

	if (result->is_background)
		return 0;
	if (json_array_size(result->answers) == 0)
		return claude_queue_guess(&claude->queue);
	json_array_foreach(result->answers, i, uuid)
	{
		uint64_t id = json_is_string(uuid)
				      ? claude_queue_find(&claude->queue, json_string_value(uuid))
				      : 0;

		newest = id > newest ? id : newest;
	}
	return newest;
}

static void claude_on_result(void *userdata, const struct claude_wire_result *found)
{
	struct claude *claude = userdata;
	struct provider_result result = {
		.error = found->error,
		.text = found->text,
		.text_len = found->text_len,
		.answered = claude_answered(claude, found),
		.retry_at_ms = found->retry_at_ms,
	};

	if (!claude->is_ready) {
		/* The reason for which it is about to exit, not the answer to anything. */
		err_set(&claude->last_words, 0, "%s", found->text);
		return;
	}
	if (claude->is_interrupting && !found->is_background) {
		claude->is_interrupting = false;
		if (result.answered < claude->interrupted)
			result.answered = claude->interrupted;
		if (found->error != PROVIDER_OK) {
			result.interrupted = true;
			result.error = PROVIDER_OK;
			result.text = "";
			result.text_len = 0;
		}
	}
	claude_raise(claude, &result);
}

/* The interrupt was answered, and nothing runs whose result could end what was interrupted. */
static void claude_finish_interrupt(struct claude *claude)
{
	const struct provider_result result = {
		.text = "",
		.answered = claude->interrupted,
		.interrupted = true,
	};

	if (!claude->is_interrupting || claude_queue_in_flight(&claude->queue))
		return;
	claude->is_interrupting = false;
	claude_raise(claude, &result);
}

/*
 * Some inputs get no result at all (a prompt that a hook refused, for instance). Whoever waits for
 * one would wait for ever, and so would everybody behind it.
 */
static void claude_on_settle_timer(void *userdata)
{
	struct claude *claude = userdata;
	struct provider_result result = { .text = "" };

	for (const struct claude_push *p = claude->queue.first; p && p->is_sent; p = p->next)
		result.answered = p->id;
	if (result.answered == 0)
		return;
	log_warning("Claude Code is idle and owes an answer: going on without it");
	claude->is_interrupting = false;
	claude_raise(claude, &result);
}

/* What the wire says */

static void claude_become_ready(struct claude *claude)
{
	claude->is_ready = true;
	loop_timer_disarm(claude->timers[CLAUDE_TIMER_START]);
	claude_pump(claude);
	claude->events.ready(claude->userdata);
}

static void claude_on_answer(void *userdata, const char *id, const json_t *response,
			     const char *error)
{
	struct claude *claude = userdata;
	size_t prefix = strlen(CLAUDE_CANCEL);

	if (strcmp(id, CLAUDE_INITIALIZE) == 0 && error) {
		err_set(&claude->last_words, 0, "Claude Code refuses to start: %s", error);
		claude_give_up(claude, PROVIDER_UNAVAILABLE);
	} else if (strcmp(id, CLAUDE_INITIALIZE) == 0 && !claude->is_ready) {
		claude_become_ready(claude);
	} else if (strncmp(id, CLAUDE_CANCEL, prefix) == 0) {
		if (json_member_bool(response, "cancelled", false))
			claude_queue_cancelled(&claude->queue, id + prefix);
	} else if (strcmp(id, CLAUDE_INTERRUPT) == 0) {
		claude_finish_interrupt(claude);
	}
}

/* It waits for an answer to whatever it asks: "no" is one. */
static void claude_on_request(void *userdata, const char *id, const char *subtype)
{
	struct claude *claude = userdata;
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	log_debug("Claude Code asks for %s: refused", subtype);
	strbuf_puts(&line, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
			   "\"request_id\":");
	json_append_string(&line, id, strlen(id));
	strbuf_puts(&line, ",\"error\":\"not supported\"}}");
	(void)claude_send(claude, &line);
}

static void claude_on_init(void *userdata, const char *conversation)
{
	struct claude *claude = userdata;
	char *copy;

	/* The interrupt came before the turn that it was meant for. */
	if (claude->is_interrupting)
		claude_send_interrupt(claude);
	if (claude->conversation && strcmp(claude->conversation, conversation) == 0)
		return;
	copy = strdup(conversation);
	if (!copy)
		return;
	free(claude->conversation);
	claude->conversation = copy;
	claude->events.init(claude->userdata, copy);
}

static void claude_on_text(void *userdata, const char *text, size_t len)
{
	struct claude *claude = userdata;

	claude->events.text(claude->userdata, text, len);
}

static void claude_on_tool_start(void *userdata, const char *id, const char *name,
				 int64_t timeout_ms)
{
	struct claude *claude = userdata;

	claude->events.tool_start(claude->userdata, id, name, timeout_ms);
}

static void claude_on_tool_end(void *userdata, const char *id)
{
	struct claude *claude = userdata;

	claude->events.tool_end(claude->userdata, id);
}

static void claude_on_replayed(void *userdata, const char *uuid)
{
	struct claude *claude = userdata;

	claude_queue_replayed(&claude->queue, uuid);
}

static void claude_on_compacted(void *userdata)
{
	struct claude *claude = userdata;
	const struct transcript transcript = {
		.config_dir = claude->config_dir,
		.conversation = claude->conversation,
		.assistant_name = claude->assistant_name,
		.archive_dir = claude->archive_dir,
		.now_ms = clock_realtime_ms(),
	};
	struct err err;

	if (claude->archive_dir && claude->conversation &&
	    transcript_archive(&transcript, &err) < 0)
		log_warning("the conversation is not archived: %s", err.text);
	claude->events.compacted(claude->userdata);
}

static void claude_on_idle(void *userdata, bool is_idle)
{
	struct claude *claude = userdata;

	claude->is_idle = is_idle;
	if (is_idle && claude_queue_in_flight(&claude->queue))
		loop_timer_arm(claude->timers[CLAUDE_TIMER_SETTLE], CLAUDE_SETTLE_MS);
	else
		loop_timer_disarm(claude->timers[CLAUDE_TIMER_SETTLE]);
}

static const struct claude_wire_events claude_wire_events = {
	.answer = claude_on_answer,
	.request = claude_on_request,
	.init = claude_on_init,
	.text = claude_on_text,
	.tool_start = claude_on_tool_start,
	.tool_end = claude_on_tool_end,
	.replayed = claude_on_replayed,
	.result = claude_on_result,
	.compacted = claude_on_compacted,
	.idle = claude_on_idle,
};

/* The process */

static void claude_on_line(void *userdata, const char *line, size_t len)
{
	struct claude *claude = userdata;

	claude->events.activity(claude->userdata);
	claude_wire_line(claude->wire, line, len);
}

static void claude_on_overlong(void *userdata, size_t len)
{
	struct claude *claude = userdata;

	log_warning("a line of Claude Code of %zu bytes was dropped", len);
	claude->events.activity(claude->userdata);
}

/* Why it ended by itself. */
static enum provider_error claude_diagnose(const struct claude *claude, int status)
{
	if (claude->verdict != PROVIDER_OK)
		return claude->verdict;
	if (claude->is_ready)
		return PROVIDER_CRASHED;
	if (claude->is_resuming &&
	    (claude_error_is_unknown_session(claude->last_words.text) ||
	     claude_error_is_unknown_session(child_stderr_tail(claude->child))))
		return PROVIDER_INVALID_SESSION;
	/* A kill may be a lack of memory, and pass; one that exits at once will do it again. */
	return WIFSIGNALED(status) ? PROVIDER_CRASHED : PROVIDER_UNAVAILABLE;
}

static void claude_describe(const struct claude *claude, int status, struct err *ret_detail)
{
	const char *tail = child_stderr_tail(claude->child), *newline = strrchr(tail, '\n');
	const char *reason = newline ? newline + 1 : tail;

	if (claude->last_words.text[0])
		reason = claude->last_words.text;
	if (WIFSIGNALED(status))
		err_set(ret_detail, 0, "Claude Code was killed by signal %d", WTERMSIG(status));
	else
		err_set(ret_detail, 0, "Claude Code ended with exit code %d", WEXITSTATUS(status));
	if (*reason) {
		struct err first = *ret_detail;

		err_set(ret_detail, 0, "%s: %s", first.text, reason);
	}
}

static void claude_on_exited(void *userdata, int status)
{
	struct claude *claude = userdata;
	struct err detail;

	for (size_t i = 0; i < CLAUDE_TIMERS; i++)
		loop_timer_disarm(claude->timers[i]);
	if (claude->is_stopping) {
		claude->events.exited(claude->userdata, PROVIDER_OK, "ended as asked");
		return;
	}
	claude_describe(claude, status, &detail);
	claude->events.exited(claude->userdata, claude_diagnose(claude, status), detail.text);
}

static void claude_on_start_timer(void *userdata)
{
	struct claude *claude = userdata;

	if (claude->child) {
		err_set(&claude->last_words, 0, "it did not become ready within %d s",
			CLAUDE_START_MS / 1000);
		claude_give_up(claude, PROVIDER_CRASHED);
	} else if (claude->is_stopping) {
		claude->events.exited(claude->userdata, PROVIDER_OK, "ended as asked");
	} else {
		claude->events.exited(claude->userdata, PROVIDER_UNAVAILABLE,
				      claude->last_words.text);
	}
}

static void claude_on_ladder_timer(void *userdata)
{
	struct claude *claude = userdata;

	child_signal(claude->child, claude->is_terminated ? SIGKILL : SIGTERM);
	if (!claude->is_terminated)
		loop_timer_arm(claude->timers[CLAUDE_TIMER_LADDER], claude->ladder_ms);
	claude->is_terminated = true;
}

/* The vtable */

static void claude_free(struct provider *provider)
{
	struct claude *claude = claude_of(provider);

	if (!claude)
		return;
	child_free(claude->child);
	claude_wire_free(claude->wire);
	claude_queue_deinit(&claude->queue);
	for (size_t i = 0; i < CLAUDE_TIMERS; i++)
		loop_timer_free(claude->timers[i]);
	free(claude->conversation);
	free(claude->config_dir);
	free(claude->archive_dir);
	free(claude->assistant_name);
	free(claude);
}

/* Copies text if there is one. */
static int claude_keep(char **ret_copy, const char *text)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

static int claude_make_parts(struct claude *claude, const struct provider_query *query)
{
	static loop_timer_fn *const handlers[] = {
		[CLAUDE_TIMER_START] = claude_on_start_timer,
		[CLAUDE_TIMER_SETTLE] = claude_on_settle_timer,
		[CLAUDE_TIMER_LADDER] = claude_on_ladder_timer,
	};
	TABLE_COVERS(handlers, CLAUDE_TIMERS);
	const char *config_dir = getenv("CLAUDE_CONFIG_DIR"), *home = getenv("HOME");
	int r;

	claude->is_resuming = query->continuation != NULL;
	claude->wire = claude_wire_new(&claude_wire_events, claude);
	r = claude->wire ? claude_keep(&claude->archive_dir, query->archive_dir) : -ENOMEM;
	if (r == 0)
		r = claude_keep(&claude->assistant_name, query->assistant_name);
	if (r == 0 && config_dir)
		r = claude_keep(&claude->config_dir, config_dir);
	else if (r == 0 && asprintf(&claude->config_dir, "%s/.claude", home ? home : "") < 0)
		claude->config_dir = NULL, r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < CLAUDE_TIMERS; i++)
		r = loop_timer_new(query->loop, handlers[i], claude, &claude->timers[i]);
	return r;
}

static int claude_spawn(struct claude *claude, const char *path, const struct provider_query *query,
			struct err *err)
{
	static const struct child_events events = {
		.line = claude_on_line,
		.overlong = claude_on_overlong,
		.exited = claude_on_exited,
	};
	struct claude_launch launch = { NULL, NULL };
	struct child_spec spec = {
		.cwd = query->cwd,
		.role = "agent",
		.line_max = CLAUDE_LINE_MAX,
		.has_stdin = true,
	};
	int r = claude_launch_init(&launch, path, query);

	spec.argv = (const char *const *)launch.argv;
	spec.env = (const char *const *)launch.env;
	if (r == 0)
		r = child_start(query->children, &spec, &events, claude, &claude->child, err);
	else
		err_sys(err, r, "cannot start Claude Code");
	claude_launch_deinit(&launch);
	if (r < 0)
		return r;
	r = claude_send_initialize(claude, query->instructions);
	return r < 0 ? err_set(err, r, "%s", claude->last_words.text) : 0;
}

static int claude_start(const struct provider_query *query, const struct provider_events *events,
			void *userdata, struct provider **ret_provider, struct err *err)
{
	struct claude *claude = calloc(1, sizeof(*claude));
	cleanup_free char *path = NULL;
	int r;

	if (!claude)
		return err_sys(err, -ENOMEM, "cannot start Claude Code");
	claude->base.type = &claude_provider;
	claude->events = *events;
	claude->userdata = userdata;
	r = claude_make_parts(claude, query);
	if (r == 0)
		r = claude_launch_find(&path, &claude->last_words);
	if (r == -ENOENT || r == -EACCES) {
		/* Said by `exited`, as it would be of one that does not start. */
		loop_timer_arm(claude->timers[CLAUDE_TIMER_START], 0);
		*ret_provider = &claude->base;
		return 0;
	}
	r = r < 0 ? err_sys(err, r, "cannot start Claude Code")
		  : claude_spawn(claude, path, query, err);
	if (r < 0) {
		claude_free(&claude->base);
		return r;
	}
	loop_timer_arm(claude->timers[CLAUDE_TIMER_START], CLAUDE_START_MS);
	*ret_provider = &claude->base;
	return 0;
}

static int claude_push(struct provider *provider, uint64_t id, const char *text, size_t len,
		       bool is_command)
{
	struct claude *claude = claude_of(provider);
	int r = claude_queue_add(&claude->queue, id, text, len, is_command);

	if (r == 0)
		claude_pump(claude);
	return r;
}

/*
 * Ends the running turn, and with it everything that was pushed so far: what the CLI has not begun
 * yet is taken back first, or it would begin it next.
 */
static void claude_interrupt(struct provider *provider)
{
	struct claude *claude = claude_of(provider);

	if (!claude->queue.first || !claude->is_ready)
		return;
	claude->is_interrupting = true;
	claude->interrupted = claude->queue.newest;
	claude_queue_drop_unsent(&claude->queue);
	for (const struct claude_push *p = claude->queue.first; p; p = p->next)
		if (!p->is_replayed)
			claude_send_cancel(claude, p->uuid);
	claude_send_interrupt(claude);
}

static void claude_stop(struct provider *provider, int64_t kill_after_ms)
{
	struct claude *claude = claude_of(provider);
	int64_t patience_ms = kill_after_ms / 4;

	if (claude->is_stopping)
		return;
	claude->is_stopping = true;
	if (!claude->child) {
		loop_timer_arm(claude->timers[CLAUDE_TIMER_START], 0);
		return;
	}
	loop_timer_disarm(claude->timers[CLAUDE_TIMER_START]);
	loop_timer_disarm(claude->timers[CLAUDE_TIMER_SETTLE]);
	/* With its input closed it finishes the turn first, and a wait for the API for ever. */
	if (claude->is_ready && !claude->is_idle)
		claude_send_interrupt(claude);
	child_close_stdin(claude->child);
	claude->ladder_ms = kill_after_ms - patience_ms;
	if (claude->verdict == PROVIDER_OK)
		loop_timer_arm(claude->timers[CLAUDE_TIMER_LADDER], patience_ms);
}

static bool claude_has_command(const struct provider *provider, const char *word)
{
	return claude_wire_has_command(((const struct claude *)provider)->wire, word);
}

static bool claude_is_busy(const struct provider *provider)
{
	return claude_wire_has_tasks(((const struct claude *)provider)->wire);
}

static int claude_probe(struct err *err)
{
	cleanup_free char *path = NULL;
	int r = claude_launch_find(&path, err);

	return r < 0 ? r : err_set(err, 0, "Claude Code is %s", path);
}

const struct provider_type claude_provider = {
	.name = "claude",
	.start = claude_start,
	.push = claude_push,
	.interrupt = claude_interrupt,
	.stop = claude_stop,
	.has_command = claude_has_command,
	.is_busy = claude_is_busy,
	.free = claude_free,
	.probe = claude_probe,
};
