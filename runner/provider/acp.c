/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/provider/acp-agents.h"
#include "runner/provider/acp-error.h"
#include "runner/provider/acp-launch.h"
#include "runner/provider/acp-line.h"
#include "runner/provider/acp-open.h"
#include "runner/provider/acp-wire.h"
#include "runner/provider/cli-process.h"
#include "runner/provider/push-queue.h"

/* From the start to a session; the slowest one takes half a minute where a network is missing. */
#define ACP_START_MS (90 * 1000)
/*
 * To open a known session. One that is silent there for so long is given up, and the conversation
 * with it; so is one that goes on repeating it up to the end of the start.
 */
#define ACP_RESUME_MS	  (30 * 1000)
#define ACP_RESUME_MAX_MS (ACP_START_MS - 10 * 1000)
/* Agents tell their commands just behind the session; one that has none says nothing. */
#define ACP_COMMANDS_MS 200

struct acp {
	struct provider base;
	struct provider_events events;
	void *userdata;
	const struct acp_agent *agent;
	struct cli_process *process;
	struct acp_wire *wire;
	struct acp_open *open;
	struct push_queue queue;
	struct loop_timer *timer; /* the end of whatever is waited for */
	int64_t resume_ms;
	int64_t started_ms; /* monotonic */
	int64_t last_id;    /* of our requests */
	int64_t prompt_id;  /* of the prompt that is being answered; 0: none is */
	bool is_listening;  /* to a repetition of the conversation */
	bool is_open;	    /* there is a session; commands are awaited until it is ready */
	bool is_ready;
	bool is_interrupting;
	bool is_init_told;
	uint64_t interrupted; /* every push up to this id is ended by the interrupt */
};

static struct acp *acp_of(struct provider *provider)
{
	return (struct acp *)provider;
}

/* Sending */

static void acp_send_cancel(struct acp *acp)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	acp_line_cancel(&line, acp_open_session(acp->open));
	(void)cli_process_write(acp->process, &line);
}

static void acp_send_prompt(struct acp *acp, struct push *push)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	const char *session = acp_open_session(acp->open);
	/* A command is one only at the very start. */
	const char *unsaid = push->is_command ? NULL : acp_open_unsaid(acp->open);

	if (acp_wire_begin(acp->wire, session) < 0) {
		cli_process_note(acp->process, "out of memory");
		cli_process_give_up(acp->process, PROVIDER_CRASHED);
		return;
	}
	acp_line_prompt(&line, ++acp->last_id, session, unsaid, push->text, push->len);
	if (cli_process_write(acp->process, &line) < 0)
		return;
	if (unsaid)
		acp_open_said(acp->open);
	acp->prompt_id = acp->last_id;
	push_queue_sent(push);
}

/* Sends what may be sent. */
static void acp_pump(struct acp *acp)
{
	struct push *push;

	if (!acp->is_ready || acp->prompt_id > 0 || !cli_process_is_wanted(acp->process))
		return;
	push = push_queue_next(&acp->queue);
	if (push)
		acp_send_prompt(acp, push);
}

/* The way to a session */

static void acp_become_ready(struct acp *acp)
{
	loop_timer_disarm(acp->timer);
	acp->is_ready = true;
	cli_process_is_ready(acp->process);
	acp_pump(acp);
	acp->events.ready(acp->userdata);
}

/* Its patience begins anew with each line, within what is left of the start. */
static void acp_arm_resume(struct acp *acp)
{
	int64_t left_ms = acp->started_ms + ACP_RESUME_MAX_MS - clock_monotonic_ms();

	loop_timer_arm(acp->timer, left_ms < acp->resume_ms ? left_ms : acp->resume_ms);
}

static void acp_go_on(struct acp *acp, enum acp_open_outcome outcome, const struct strbuf *line,
		      const struct acp_open_failure *failure)
{
	loop_timer_disarm(acp->timer);
	switch (outcome) {
	case ACP_OPEN_ASKS:
		acp->last_id++;
		if (cli_process_write(acp->process, line) == 0 && acp_open_is_resuming(acp->open))
			acp_arm_resume(acp);
		break;
	case ACP_OPEN_LISTENS:
		acp->is_listening = true;
		loop_timer_arm(acp->timer, acp->agent->replay_ms);
		break;
	case ACP_OPEN_DONE:
		acp->is_open = true;
		if (acp_wire_knows_commands(acp->wire))
			acp_become_ready(acp);
		else
			loop_timer_arm(acp->timer, ACP_COMMANDS_MS);
		break;
	case ACP_OPEN_FAILED:
		cli_process_note(acp->process, failure->words.text);
		cli_process_give_up(acp->process, failure->error);
		break;
	}
}

static void acp_on_open_answer(struct acp *acp, const json_t *result, const json_t *error)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	struct acp_open_failure failure;

	acp_go_on(acp, acp_open_answer(acp->open, result, error, acp->last_id + 1, &line, &failure),
		  &line, &failure);
}

static void acp_on_timer(void *userdata)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	/* Never: what has settled has not failed. */
	const struct acp_open_failure none = { .error = PROVIDER_OTHER };
	struct acp *acp = userdata;

	if (acp->is_listening) {
		acp->is_listening = false;
		acp_go_on(acp, acp_open_settled(acp->open, acp->last_id + 1, &line), &line, &none);
		return;
	}
	if (acp->is_open) {
		if (cli_process_is_wanted(acp->process))
			acp_become_ready(acp);
		return;
	}
	cli_process_note(acp->process, "it does not open the conversation");
	cli_process_give_up(acp->process, PROVIDER_INVALID_SESSION);
}

/* Results */

/* Raises the result and forgets what it answers. Nothing is touched after it. */
static void acp_raise(struct acp *acp, const struct provider_result *result)
{
	push_queue_answered(&acp->queue, result->answered);
	acp_pump(acp);
	acp->events.result(acp->userdata, result);
}

/* How a turn ended that nobody interrupted. One with a text is as good as complete. */
static const struct {
	const char *reason;
	enum provider_error error; /* if there is no text; of `cancelled`, in any case */
} acp_stop_reasons[] = {
	{ "end_turn", PROVIDER_OK },
	/* Some end one prompt for another, and we sent no other: it is worth another try. */
	{ "cancelled", PROVIDER_TRANSIENT },
	{ "max_tokens", PROVIDER_OTHER },
	{ "max_turn_requests", PROVIDER_OTHER },
	{ "refusal", PROVIDER_OTHER },
};

static enum provider_error acp_judge_reason(const char *reason, bool has_text)
{
	for (size_t i = 0; i < ARRAY_LEN(acp_stop_reasons); i++)
		if (strcmp(reason, acp_stop_reasons[i].reason) == 0)
			return has_text && strcmp(reason, "cancelled") != 0
				       ? PROVIDER_OK
				       : acp_stop_reasons[i].error;
	return has_text ? PROVIDER_OK : PROVIDER_OTHER;
}

/* Some agents say what failed in a text, and end the turn as any other. */
static bool acp_is_error_text(const struct acp *acp, const char *text)
{
	const char *prefix = acp->agent->error_prefix;

	return prefix && strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What an agent tells of its own tries is no part of the answer. */
static void acp_skip_notices(const struct acp *acp, struct provider_result *result)
{
	const char *notice = acp->agent->retry_notice;
	size_t len = notice ? strlen(notice) : 0;

	while (len > 0 && strncmp(result->text, notice, len) == 0) {
		result->text += len;
		result->text_len -= len;
	}
}

static void acp_fill_success(const struct acp *acp, const char *reason,
			     struct provider_result *result)
{
	acp_skip_notices(acp, result);
	if (acp_is_error_text(acp, result->text)) {
		result->error = acp_error_classify(0, result->text);
		return;
	}
	result->error = acp_judge_reason(reason, result->text_len > 0);
	if (result->error != PROVIDER_OK) {
		result->text = reason;
		result->text_len = strlen(reason);
	}
}

static void acp_fill_interrupted(struct provider_result *result)
{
	result->interrupted = true;
	result->error = PROVIDER_OK;
	result->text = "";
	result->text_len = 0;
}

static void acp_on_prompt_answer(struct acp *acp, const json_t *answer, const json_t *error)
{
	cleanup_strbuf struct strbuf words = STRBUF_EMPTY;
	const char *reason = json_member_name(answer, "stopReason");
	bool is_cancelled = reason && strcmp(reason, "cancelled") == 0;
	struct provider_result result = { .answered = push_queue_in_flight(&acp->queue) };
	bool is_ended = acp->is_interrupting && (error || is_cancelled);

	acp->prompt_id = 0;
	result.text =
		acp_wire_end(acp->wire, !error && !is_ended && !is_cancelled, &result.text_len);
	if (error) {
		(void)acp_error_text(error, &words);
		result.text = words.data ? words.data : "";
		result.text_len = words.len;
		result.error = acp_error_classify(json_member_int(error, "code", 0), result.text);
	} else {
		acp_fill_success(acp, reason ? reason : "it gave no reason", &result);
	}
	if (acp->is_interrupting) {
		if (is_ended)
			acp_fill_interrupted(&result);
		if (result.answered < acp->interrupted)
			result.answered = acp->interrupted;
		acp->is_interrupting = false;
	}
	acp_raise(acp, &result);
}

/* What the wire says */

static void acp_on_answer(void *userdata, int64_t id, const json_t *result, const json_t *error)
{
	struct acp *acp = userdata;

	if (acp->prompt_id > 0 && id == acp->prompt_id)
		acp_on_prompt_answer(acp, result, error);
	else if (!acp->is_open && !acp->is_listening && id == acp->last_id)
		acp_on_open_answer(acp, result, error);
}

/* By what an option does, since each agent names them as it likes. For ever is asked for less. */
static const char *acp_choose_option(const json_t *params)
{
	static const char *const kinds[] = { "allow_always", "allow_once" };
	const json_t *option;
	size_t i;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		json_array_foreach(json_member(params, "options"), i, option)
		{
			const char *kind = json_member_name(option, "kind");

			if (kind && strcmp(kind, kinds[k]) == 0)
				return json_member_name(option, "optionId");
		}
	return NULL;
}

/* It waits for an answer to whatever it asks: "no" is one. */
static void acp_on_request(void *userdata, const json_t *id, const char *method,
			   const json_t *params)
{
	struct acp *acp = userdata;
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	if (strcmp(method, "session/request_permission") == 0) {
		acp_line_permit(&line, id, acp->is_interrupting ? NULL : acp_choose_option(params));
	} else {
		log_debug("%s asks for %s: refused", acp->agent->title, method);
		acp_line_refuse(&line, id);
	}
	(void)cli_process_write(acp->process, &line);
}

static void acp_on_text(void *userdata, const char *text, size_t len)
{
	struct acp *acp = userdata;

	/* An error's words are no message of the agent. */
	if (!acp_is_error_text(acp, text))
		acp->events.text(acp->userdata, text, len);
}

static void acp_on_tool_start(void *userdata, const char *id, const char *name)
{
	struct acp *acp = userdata;

	acp->events.tool_start(acp->userdata, id, name, -1);
}

static void acp_on_tool_end(void *userdata, const char *id)
{
	struct acp *acp = userdata;

	acp->events.tool_end(acp->userdata, id);
}

static const struct acp_wire_events acp_wire_events = {
	.answer = acp_on_answer,
	.request = acp_on_request,
	.text = acp_on_text,
	.tool_start = acp_on_tool_start,
	.tool_end = acp_on_tool_end,
};

/* The process */

static void acp_on_line(void *userdata, const char *line, size_t len)
{
	struct acp *acp = userdata;

	acp->events.activity(acp->userdata);
	if (acp->is_listening)
		loop_timer_arm(acp->timer, acp->agent->replay_ms);
	else if (acp_open_is_resuming(acp->open) && cli_process_is_wanted(acp->process))
		acp_arm_resume(acp);
	/* A session of which nothing was said is not kept by all: it is worth storing from here on. */
	if (acp->prompt_id > 0 && !acp->is_init_told) {
		acp->is_init_told = true;
		acp->events.init(acp->userdata, acp_open_session(acp->open));
	}
	acp_wire_line(acp->wire, line, len);
	if (acp->is_open && !acp->is_ready && acp_wire_knows_commands(acp->wire) &&
	    cli_process_is_wanted(acp->process))
		acp_become_ready(acp);
}

static void acp_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct acp *acp = userdata;

	loop_timer_disarm(acp->timer);
	acp->events.exited(acp->userdata, error, detail);
}

/* The vtable */

void acp_free(struct provider *provider)
{
	struct acp *acp = acp_of(provider);

	if (!acp)
		return;
	cli_process_free(acp->process);
	acp_wire_free(acp->wire);
	acp_open_free(acp->open);
	push_queue_deinit(&acp->queue);
	loop_timer_free(acp->timer);
	free(acp);
}

static int acp_make_parts(struct acp *acp, const struct provider_query *query)
{
	int r = acp_open_new(acp->agent, query, &acp->open);

	if (r == 0)
		r = loop_timer_new(query->loop, acp_on_timer, acp, &acp->timer);
	acp->wire = acp_wire_new(&acp_wire_events, acp);
	return r == 0 && !acp->wire ? -ENOMEM : r;
}

int acp_start(const struct provider_query *query, const struct provider_events *events,
	      void *userdata, struct provider **ret_provider, struct err *err)
{
	static const struct cli_process_events process_events = {
		.line = acp_on_line,
		.exited = acp_on_exited,
	};
	const struct acp_agent *agent = (const struct acp_agent *)query->type;
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	struct acp *acp = calloc(1, sizeof(*acp));
	int r;

	if (!acp)
		return err_sys(err, -ENOMEM, "cannot start %s", agent->title);
	acp->base.type = query->type;
	acp->agent = agent;
	acp->events = *events;
	acp->userdata = userdata;
	acp->resume_ms = ACP_RESUME_MS;
	acp->started_ms = clock_monotonic_ms();
	r = acp_make_parts(acp, query);
	if (r < 0)
		err_sys(err, r, "cannot start %s", agent->title);
	else
		r = acp_launch_start(agent, query, &process_events, acp, &acp->process, err);
	if (r < 0) {
		acp_free(&acp->base);
		return r;
	}
	cli_process_expect_ready(acp->process, ACP_START_MS);
	acp_open_begin(acp->open, ++acp->last_id, &line);
	(void)cli_process_write(acp->process, &line);
	*ret_provider = &acp->base;
	return 0;
}

int acp_push(struct provider *provider, uint64_t id, const char *text, size_t len, bool is_command)
{
	struct acp *acp = acp_of(provider);
	int r = push_queue_add(&acp->queue, id, text, len, is_command);

	if (r == 0)
		acp_pump(acp);
	return r;
}

/* Ends the running turn, and with it everything that was pushed so far. */
void acp_interrupt(struct provider *provider)
{
	struct acp *acp = acp_of(provider);

	if (acp->prompt_id == 0)
		return;
	acp->is_interrupting = true;
	acp->interrupted = acp->queue.newest;
	push_queue_drop_unsent(&acp->queue);
	acp_send_cancel(acp);
}

void acp_stop(struct provider *provider, int64_t kill_after_ms)
{
	struct acp *acp = acp_of(provider);

	loop_timer_disarm(acp->timer);
	if (acp->prompt_id > 0 && cli_process_is_wanted(acp->process))
		acp_send_cancel(acp);
	cli_process_stop(acp->process, kill_after_ms);
}

bool acp_has_command(const struct provider *provider, const char *word)
{
	return acp_wire_has_command(((const struct acp *)provider)->wire, word);
}

/* What goes on between turns is not told. */
bool acp_is_busy(const struct provider *provider)
{
	(void)provider;
	return false;
}

int acp_probe(const struct provider_query *query, struct err *err)
{
	const struct acp_agent *agent = (const struct acp_agent *)query->type;
	cleanup_free char *path = NULL;
	int r = acp_launch_find(agent, query, &path, err);

	return r < 0 ? r : err_set(err, 0, "%s is %s", agent->title, path);
}

void acp_set_resume_ms(struct provider *provider, int64_t resume_ms)
{
	acp_of(provider)->resume_ms = resume_ms;
}
