/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/io/json.h"
#include "runner/provider/claude-archive.h"
#include "runner/provider/claude-launch.h"
#include "runner/provider/claude-line.h"
#include "runner/provider/claude-wire.h"
#include "runner/provider/cli-process.h"
#include "runner/provider/push-queue.h"

/* From the start to the answer to `initialize`; it takes half a second. */
#define CLAUDE_START_MS (60 * 1000)
/* How long an idle CLI may owe a result before nobody waits for it any more. */
#define CLAUDE_SETTLE_MS (15 * 1000)
/* Within so long after the end of a task the CLI begins to report on it, by a line of its own. */
#define CLAUDE_REPORT_MS 1000

/* Control requests, by id. A cancelled push's UUID stands behind the last. */
#define CLAUDE_INITIALIZE "initialize"
#define CLAUDE_INTERRUPT  "interrupt"
#define CLAUDE_MCP_STATUS "mcp-status"
#define CLAUDE_CANCEL	  "cancel-"

struct claude {
	struct provider base;
	struct provider_events events;
	void *userdata;
	struct cli_process *process;
	struct claude_wire *wire;
	struct claude_archive *archive;
	struct push_queue queue;
	struct loop_timer *settle;
	int64_t settle_ms;
	char *conversation; /* its id, as last told */
	bool has_servers;   /* MCP servers were given to it */
	bool is_ready;
	bool is_idle;
	bool is_on_its_own; /* it works, and not on what was pushed: a task's end made it go on */
	bool is_interrupting;
	uint64_t interrupted;	       /* every push up to this id is ended by the interrupt */
	enum provider_error postponed; /* of a turn whose texts are left to the next one */
};

static struct claude *claude_of(struct provider *provider)
{
	return (struct claude *)provider;
}

/* Sending */

static void claude_send_interrupt(struct claude *claude)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	claude_line_interrupt(&line, CLAUDE_INTERRUPT);
	(void)cli_process_write(claude->process, &line);
}

static void claude_send_cancel(struct claude *claude, const char *uuid)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	char id[sizeof(CLAUDE_CANCEL) + PUSH_UUID_SIZE];

	(void)snprintf(id, sizeof(id), CLAUDE_CANCEL "%s", uuid);
	claude_line_cancel(&line, id, uuid);
	(void)cli_process_write(claude->process, &line);
}

static int claude_send_push(struct claude *claude, const struct push *push)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	claude_line_user(&line, push->uuid, push->text, push->len);
	return cli_process_write(claude->process, &line);
}

/* Sends what may be sent. */
static void claude_pump(struct claude *claude)
{
	struct push *push;

	while (claude->is_ready && cli_process_is_wanted(claude->process) &&
	       (push = push_queue_next(&claude->queue)) && claude_send_push(claude, push) == 0)
		push_queue_sent(push);
}

/* Results */

/* Raises the result and forgets what it answers. Nothing is touched after it. */
static void claude_raise(struct claude *claude, const struct provider_result *result)
{
	loop_timer_disarm(claude->settle);
	claude->postponed = PROVIDER_OK;
	push_queue_answered(&claude->queue, result->answered);
	/*
	 * It says no more before it goes on with what its tasks have brought: 2.1.128 never, 2.1.329
	 * if they end before the turn does.
	 */
	if (!claude->is_idle && claude_wire_had_tasks(claude->wire) &&
	    push_queue_in_flight(&claude->queue) == 0)
		claude->is_on_its_own = true;
	claude_pump(claude);
	claude->events.result(claude->userdata, result);
}

static uint64_t claude_answered(const struct claude *claude,
				const struct claude_wire_result *result)
{
	if (result->is_background)
		return 0;
	if (json_array_size(result->answers) > 0 || claude->is_interrupting)
		return push_queue_named(&claude->queue, result->answers);
	return push_queue_guess(&claude->queue);
}

/*
 * A text whose turn failed stays in the conversation: if another is in the works, the model sees
 * both, and the next result is about both. Tried again, it would be answered twice.
 */
static bool claude_postpones(struct claude *claude, const struct provider_result *result)
{
	if (result->error == PROVIDER_OK || result->answered == 0 ||
	    push_queue_in_flight(&claude->queue) <= result->answered)
		return false;
	log_info("a turn failed (%s), the next one has begun: %s",
		 provider_error_name(result->error), result->text);
	claude->postponed = result->error;
	return true;
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
		cli_process_note(claude->process, found->text);
		return;
	}
	/* It would be said twice, or answer a message that the agent has not begun. */
	if (found->is_repetition && !push_queue_has_begun(&claude->queue)) {
		log_warning("Claude Code repeats a result: ignored");
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
	if (!claude_postpones(claude, &result))
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
	const struct push *first = claude->queue.first;

	if (!claude->is_interrupting ||
	    (first && first->is_sent && first->id <= claude->interrupted))
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
	const struct provider_result result = {
		.error = claude->postponed,
		.text = "",
		.answered = push_queue_in_flight(&claude->queue),
		.missing = true,
	};

	if (result.answered == 0)
		return;
	log_warning("Claude Code is idle and owes an answer: going on without it");
	claude->is_interrupting = false;
	claude_raise(claude, &result);
}

/* What the wire says */

static void claude_become_ready(struct claude *claude)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	claude->is_ready = true;
	claude->is_idle = true;
	claude->is_on_its_own = false;
	cli_process_is_ready(claude->process);
	/* A server that is missing is known by now: the agent is told with its first messages. */
	if (claude->has_servers) {
		claude_line_mcp_status(&line, CLAUDE_MCP_STATUS);
		(void)cli_process_write(claude->process, &line);
	}
	claude_pump(claude);
	claude->events.ready(claude->userdata);
}

static void claude_on_answer(void *userdata, const char *id, const json_t *response,
			     const char *error)
{
	struct claude *claude = userdata;
	size_t prefix = strlen(CLAUDE_CANCEL);

	if (strcmp(id, CLAUDE_INITIALIZE) == 0 && error) {
		cli_process_note(claude->process, error);
		cli_process_give_up(claude->process, PROVIDER_UNAVAILABLE);
	} else if (strcmp(id, CLAUDE_INITIALIZE) == 0 && !claude->is_ready) {
		claude_become_ready(claude);
	} else if (strncmp(id, CLAUDE_CANCEL, prefix) == 0) {
		if (json_member_bool(response, "cancelled", false))
			push_queue_cancelled(&claude->queue, id + prefix);
	} else if (strcmp(id, CLAUDE_MCP_STATUS) == 0) {
		claude_wire_servers(claude->wire, json_member(response, "mcpServers"));
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
	claude_line_refuse(&line, id);
	(void)cli_process_write(claude->process, &line);
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

static void claude_on_server(void *userdata, const char *name, const char *status)
{
	struct claude *claude = userdata;

	claude->events.server(claude->userdata, name, status);
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

	push_queue_replayed(&claude->queue, uuid);
}

static void claude_on_compacted(void *userdata)
{
	struct claude *claude = userdata;

	if (claude->conversation)
		claude_archive_soon(claude->archive, claude->conversation);
	claude->events.compacted(claude->userdata);
}

static void claude_on_idle(void *userdata, bool is_idle)
{
	struct claude *claude = userdata;

	claude->is_idle = is_idle;
	claude->is_on_its_own =
		!is_idle && (claude->is_on_its_own || push_queue_in_flight(&claude->queue) == 0);
	if (is_idle && push_queue_in_flight(&claude->queue) > 0)
		loop_timer_arm(claude->settle, claude->settle_ms);
	else
		loop_timer_disarm(claude->settle);
}

static const struct claude_wire_events claude_wire_events = {
	.answer = claude_on_answer,
	.request = claude_on_request,
	.server = claude_on_server,
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

static void claude_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct claude *claude = userdata;

	loop_timer_disarm(claude->settle);
	claude_archive_finish(claude->archive);
	claude->events.exited(claude->userdata, error, detail);
}

/* The vtable */

static void claude_free(struct provider *provider)
{
	struct claude *claude = claude_of(provider);

	if (!claude)
		return;
	cli_process_free(claude->process);
	claude_wire_free(claude->wire);
	claude_archive_free(claude->archive);
	push_queue_deinit(&claude->queue);
	loop_timer_free(claude->settle);
	free(claude->conversation);
	free(claude);
}

static int claude_make_parts(struct claude *claude, const struct provider_query *query)
{
	int r = claude_archive_new(query, &claude->archive);

	if (r == 0)
		r = loop_timer_new(query->loop, claude_on_settle_timer, claude, &claude->settle);
	claude->wire = claude_wire_new(&claude_wire_events, claude);
	return r == 0 && !claude->wire ? -ENOMEM : r;
}

static int claude_start(const struct provider_query *query, const struct provider_events *events,
			void *userdata, struct provider **ret_provider, struct err *err)
{
	static const struct cli_process_events process_events = {
		.line = claude_on_line,
		.exited = claude_on_exited,
	};
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	struct claude *claude = calloc(1, sizeof(*claude));
	int r;

	if (!claude)
		return err_sys(err, -ENOMEM, "cannot start Claude Code");
	claude->base.type = &claude_provider;
	claude->events = *events;
	claude->userdata = userdata;
	claude->settle_ms = CLAUDE_SETTLE_MS;
	claude->has_servers = json_object_size(query->mcp_servers) > 0;
	r = claude_make_parts(claude, query);
	if (r < 0)
		err_sys(err, r, "cannot start Claude Code");
	else
		r = claude_launch_start(query, &process_events, claude, &claude->process, err);
	if (r < 0) {
		claude_free(&claude->base);
		return r;
	}
	cli_process_expect_ready(claude->process, CLAUDE_START_MS);
	claude_line_initialize(&line, CLAUDE_INITIALIZE, query->instructions);
	(void)cli_process_write(claude->process, &line);
	*ret_provider = &claude->base;
	return 0;
}

static int claude_push(struct provider *provider, uint64_t id, const char *text, size_t len,
		       bool is_command)
{
	struct claude *claude = claude_of(provider);
	int r = push_queue_add(&claude->queue, id, text, len, is_command);

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
	push_queue_drop_unsent(&claude->queue);
	for (const struct push *p = claude->queue.first; p; p = p->next)
		if (!p->is_replayed)
			claude_send_cancel(claude, p->uuid);
	claude_send_interrupt(claude);
}

static void claude_stop(struct provider *provider, int64_t kill_after_ms)
{
	struct claude *claude = claude_of(provider);

	loop_timer_disarm(claude->settle);
	/* With its input closed it finishes the turn first, and a wait for the API never. */
	if (claude->is_ready && cli_process_is_wanted(claude->process) &&
	    (!claude->is_idle || push_queue_in_flight(&claude->queue) > 0))
		claude_send_interrupt(claude);
	cli_process_stop(claude->process, kill_after_ms);
}

void claude_set_settle_ms(struct provider *provider, int64_t settle_ms)
{
	claude_of(provider)->settle_ms = settle_ms;
}

static bool claude_has_command(const struct provider *provider, const char *word)
{
	return claude_wire_has_command(((const struct claude *)provider)->wire, word);
}

static bool claude_is_busy(const struct provider *provider)
{
	const struct claude *claude = (const struct claude *)provider;
	int64_t ended_ms = claude_wire_tasks_ended_ms(claude->wire);

	return claude->is_on_its_own || claude_wire_has_tasks(claude->wire) ||
	       (ended_ms > 0 && clock_monotonic_ms() - ended_ms < CLAUDE_REPORT_MS);
}

static int claude_probe(const struct provider_query *query, struct err *err)
{
	cleanup_free char *path = NULL;
	int r = claude_launch_find(&path, err);

	(void)query;
	return r < 0 ? r : err_set(err, 0, "Claude Code is %s", path);
}

const struct provider_type claude_provider = {
	.name = "claude",
	.secrets = claude_launch_secrets,
	.start = claude_start,
	.push = claude_push,
	.interrupt = claude_interrupt,
	.stop = claude_stop,
	.has_command = claude_has_command,
	.is_busy = claude_is_busy,
	.free = claude_free,
	.probe = claude_probe,
};
