/* SPDX-License-Identifier: MIT */
#include "runner/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/agent.h"
#include "runner/config.h"
#include "runner/gate.h"
#include "runner/inbox.h"
#include "runner/lookout.h"
#include "runner/message/instructions.h"
#include "runner/message/timezone.h"
#include "runner/outbox.h"
#include "runner/pulse.h"
#include "runner/turn.h"

/* An agent that does not answer an interrupt is ended after this. */
#define SESSION_INTERRUPT_MS	  5000
#define SESSION_INTERRUPT_KILL_MS 1000
/* A clean stop is over within 200 ms: the agent gets this much of it. */
#define SESSION_STOP_MS 120

enum session_timer {
	SESSION_TIMER_RETRY,	 /* a failed turn is tried again */
	SESSION_TIMER_INTERRUPT, /* the agent ignores an interrupt */
	SESSION_TIMER_STOP,	 /* the agent ignores the end */
	SESSION_TIMERS,
};

enum session_path {
	SESSION_INBOUND,
	SESSION_OUTBOUND,
	SESSION_HEARTBEAT,
	SESSION_CONFIG,
	SESSION_AGENT_DIR,
	SESSION_PATHS,
};

/* Below the workspace. */
static const char *const session_paths[] = {
	[SESSION_INBOUND] = "inbound.db",   [SESSION_OUTBOUND] = "outbound.db",
	[SESSION_HEARTBEAT] = ".heartbeat", [SESSION_CONFIG] = "agent/container.json",
	[SESSION_AGENT_DIR] = "agent",
};
TABLE_COVERS(session_paths, SESSION_PATHS);

struct session {
	const struct runner_options *options;
	char *paths[SESSION_PATHS];
	struct config *config;
	struct loop *loop;
	struct loop_timer *timers[SESSION_TIMERS];
	struct children *children;
	struct lookout *lookout;
	struct outbound *outbound;
	struct outbox *outbox;
	struct pulse *pulse;
	struct agent *agent;
	struct turn *turn;
	struct gate *gate;
	char *instructions;  /* as of the last look */
	bool looked;	     /* at least once */
	bool stop_requested; /* the user stopped the turn; its result is awaited */
	bool stopping;	     /* the process ends */
};

static void session_pump(struct session *s, bool replace);

/* The turn and the agent */

static void session_forget_conversation(struct session *s)
{
	char key[OUTBOUND_KEY_MAX];

	outbound_continuation_key(agent_name(s->agent), key);
	outbox_set_state(s->outbox, key, NULL);
	agent_reset(s->agent);
}

static void session_follow(struct session *s, enum turn_verdict verdict)
{
	switch (verdict) {
	case TURN_GOES_ON:
		session_pump(s, false);
		break;
	case TURN_DONE:
		s->stop_requested = false;
		loop_timer_disarm(s->timers[SESSION_TIMER_INTERRUPT]);
		lookout_soon(s->lookout);
		break;
	case TURN_RETRY:
		log_info("trying again in %lld ms", (long long)turn_retry_ms(s->turn));
		loop_timer_arm(s->timers[SESSION_TIMER_RETRY], turn_retry_ms(s->turn));
		break;
	case TURN_RETRY_FRESH:
		log_info("trying again in a fresh conversation");
		session_forget_conversation(s);
		turn_rewind(s->turn);
		session_pump(s, false);
		break;
	}
}

static void session_on_retry(void *userdata)
{
	struct session *s = userdata;

	turn_rewind(s->turn);
	session_pump(s, false);
}

/*
 * Gives the agent what it has not been given yet, starting it if need be. replace: no turn was
 * running, so an agent that was started with other instructions may be replaced.
 */
static void session_pump(struct session *s, bool replace)
{
	struct turn_push push;
	struct err err;

	if (s->stopping || loop_timer_is_armed(s->timers[SESSION_TIMER_RETRY]))
		return;
	if (agent_ensure(s->agent, s->instructions, replace, &err) < 0) {
		log_error("%s", err.text);
		session_follow(s, turn_broken(s->turn, PROVIDER_UNAVAILABLE, err.text));
		return;
	}
	/* While it is being replaced everything waits for its successor. */
	while (agent_is_running(s->agent) && turn_next_push(s->turn, &push)) {
		int64_t id = agent_push(s->agent, push.text, push.len, push.is_command);

		if (id < 0) {
			/* Its end is about to be noticed; the turn is tried again then. */
			log_warning("cannot write to the agent: %s", strerror((int)-id));
			return;
		}
		turn_pushed(s->turn, id);
	}
}

static void session_on_ready(void *userdata)
{
	struct session *s = userdata;

	/* Words that may be commands were left until now. */
	lookout_soon(s->lookout);
}

static void session_on_init(void *userdata, const char *continuation)
{
	struct session *s = userdata;
	char key[OUTBOUND_KEY_MAX];

	/* Now, not with the result: a crash in this turn must still find the conversation. */
	outbound_continuation_key(agent_name(s->agent), key);
	outbox_set_state(s->outbox, key, continuation);
	(void)outbox_commit(s->outbox);
}

static void session_on_text(void *userdata, const char *text, size_t len)
{
	struct session *s = userdata;

	turn_text(s->turn, text, len);
}

static void session_on_tool_start(void *userdata, const char *id, const char *name,
				  int64_t timeout_ms)
{
	struct session *s = userdata;

	turn_send_held(s->turn);
	pulse_tool_start(s->pulse, id, name, timeout_ms);
}

static void session_on_tool_end(void *userdata, const char *id)
{
	struct session *s = userdata;

	pulse_tool_end(s->pulse, id);
}

static void session_on_result(void *userdata, const struct provider_result *result)
{
	struct session *s = userdata;

	if (s->stopping)
		return;
	pulse_no_tools(s->pulse);
	if (!s->stop_requested) {
		session_follow(s, turn_result(s->turn, result));
		return;
	}
	turn_stopped(s->turn);
	session_follow(s, TURN_DONE);
}

static void session_on_compacted(void *userdata)
{
	(void)userdata;
	log_info("the agent summarised its conversation");
}

static void session_on_activity(void *userdata)
{
	struct session *s = userdata;

	pulse_alive(s->pulse);
}

static void session_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct session *s = userdata;

	if (s->stopping) {
		loop_stop(s->loop, 0);
		return;
	}
	pulse_no_tools(s->pulse);
	if (error != PROVIDER_OK)
		log_warning("the agent ended: %s", detail);
	if (error == PROVIDER_INVALID_SESSION) {
		session_forget_conversation(s);
		(void)outbox_commit(s->outbox);
	}
	if (s->stop_requested) {
		turn_stopped(s->turn);
		session_follow(s, TURN_DONE);
	} else if (error != PROVIDER_OK && turn_is_active(s->turn)) {
		session_follow(s, turn_broken(s->turn, error, detail));
	} else if (error == PROVIDER_OK || error == PROVIDER_INVALID_SESSION) {
		/* Replaced, or its conversation was unknown before there was a message. */
		turn_rewind(s->turn);
		session_pump(s, false);
	}
}

static const struct provider_events session_agent_events = {
	.ready = session_on_ready,
	.init = session_on_init,
	.text = session_on_text,
	.tool_start = session_on_tool_start,
	.tool_end = session_on_tool_end,
	.result = session_on_result,
	.compacted = session_on_compacted,
	.activity = session_on_activity,
	.exited = session_on_exited,
};

/* /stop */

static void session_on_interrupt_timer(void *userdata)
{
	struct session *s = userdata;

	log_warning("the agent does not react to an interrupt: ending it");
	agent_stop(s->agent, SESSION_INTERRUPT_KILL_MS);
}

static void session_stop_turn(struct session *s, const struct inbound_row *row)
{
	struct route route;

	route_origin(row, &route);
	outbox_add_text(s->outbox, &route, "Stopped.");
	outbox_add_completed(s->outbox, row->id);
	if (s->stop_requested || !turn_is_active(s->turn))
		return;
	if (loop_timer_is_armed(s->timers[SESSION_TIMER_RETRY]) || !agent_is_ready(s->agent)) {
		/* Nothing runs that could be interrupted, and what is queued must not be. */
		loop_timer_disarm(s->timers[SESSION_TIMER_RETRY]);
		turn_stopped(s->turn);
		agent_stop(s->agent, SESSION_INTERRUPT_KILL_MS);
		return;
	}
	s->stop_requested = true;
	agent_interrupt(s->agent);
	loop_timer_arm(s->timers[SESSION_TIMER_INTERRUPT], SESSION_INTERRUPT_MS);
}

/* Tasks with a script */

/* Takes the row over and hands it to the agent with what its script found. */
static void session_wake_task(struct session *s, struct inbound_row *row, const json_t *data)
{
	bool was_active = turn_is_active(s->turn);
	struct turn_input input = { .count = 1, .script_output = data, .claimed = true };
	struct err err;

	input.rows = malloc(sizeof(*row));
	if (!input.rows) {
		/* The claim stands; the next loop gives it back and takes the task up again. */
		loop_stop(s->loop, EXIT_CODE_INTERNAL);
		inbound_row_deinit(row);
		return;
	}
	input.rows[0] = *row;
	if (turn_add(s->turn, &input, &err) < 0) {
		log_error("%s", err.text);
		loop_stop(s->loop, EXIT_CODE_INTERNAL);
		return;
	}
	pulse_start(s->pulse);
	session_pump(s, !was_active);
}

static void session_on_gate(void *userdata, struct inbound_row *row, bool wake, const json_t *data)
{
	struct session *s = userdata;

	if (wake) {
		session_wake_task(s, row, data);
		return;
	}
	outbox_add_completed(s->outbox, row->id);
	(void)outbox_commit(s->outbox);
	inbound_row_deinit(row);
}

static int session_gate_task(struct session *s, struct inbound_row *row, struct err *err)
{
	const char *const ids[] = { row->id };
	int r;

	r = outbound_claim(s->outbound, &(struct outbound_ids){ ids, 1 }, NULL, err);
	if (r < 0)
		return r;
	pulse_start(s->pulse);
	r = gate_add(s->gate, row);
	return r < 0 ? err_sys(err, r, "cannot run a task's script") : 0;
}

/* The inbox */

static int session_set_aside(struct session *s, struct inbound_row *row, struct err *err)
{
	struct route route;

	switch (inbox_aside_reason(row)) {
	case INBOX_TASK:
		return session_gate_task(s, row, err);
	case INBOX_STOP:
		session_stop_turn(s, row);
		break;
	case INBOX_UNKNOWN_KIND:
		log_warning("message %s has the unknown kind \"%s\": acknowledged as failed",
			    row->id, row->kind);
		outbox_add_failed(s->outbox, row->id);
		break;
	case INBOX_OVERSIZE:
		log_warning("message %s has more than %d bytes: acknowledged as failed", row->id,
			    INBOUND_CONTENT_MAX);
		route_origin(row, &route);
		outbox_add_text(s->outbox, &route,
				"Your message is too large for me. Please send it as a file.");
		outbox_add_failed(s->outbox, row->id);
		break;
	}
	return 0;
}

static void session_clear(struct session *s, const struct inbound_row *row)
{
	struct route route;

	log_info("/clear: forgetting the conversation");
	route_origin(row, &route);
	outbox_add_text(s->outbox, &route, "Session cleared.");
	outbox_add_completed(s->outbox, row->id);
	session_forget_conversation(s);
	(void)outbox_commit(s->outbox);
	session_pump(s, false);
}

/* Hands the batch on. <0: it could not be claimed, and is still due. */
static int session_take(struct session *s, struct inbox_look *look, struct err *err)
{
	struct inbound_batch *batch = &look->batch;
	bool was_active = turn_is_active(s->turn);
	struct turn_input input = {
		.rows = batch->rows,
		.count = batch->count,
		.passed_over = batch->passed_over,
		.passed_over_count = batch->passed_over_count,
		.command = look->command_text,
	};
	int r;

	if (look->command == COMMAND_CLEAR) {
		session_clear(s, &batch->rows[0]);
		return 0;
	}
	batch->rows = NULL;
	batch->count = 0;
	r = turn_add(s->turn, &input, err);
	if (r < 0)
		return r;
	pulse_start(s->pulse);
	session_pump(s, !was_active);
	return 0;
}

/* Composes the instructions anew: they name the destinations, which the host may change. */
static int session_instruct(struct session *s, const struct inbound_destinations *destinations)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	char *instructions = NULL;

	if (instructions_compose(s->config->assistant_name, destinations, &text) == 0)
		instructions = strbuf_steal(&text);
	if (!instructions)
		return -ENOMEM;
	free(s->instructions);
	s->instructions = instructions;
	return 0;
}

/* What the look found. <0: something could not be claimed; look again. */
static int session_digest(struct session *s, struct inbox_look *look, struct err *err)
{
	int r = session_instruct(s, &look->destinations);

	if (r == 0 && !s->looked)
		/* Pre-warm: the agent starts while its first messages are claimed. */
		session_pump(s, false);
	s->looked = true;
	for (size_t i = 0; r == 0 && i < look->batch.aside_count; i++)
		r = session_set_aside(s, &look->batch.aside[i], err);
	if (r < 0 || look->batch.count == 0)
		return r;
	/* A stop or a failed row must be on disk before what follows it. */
	return outbox_commit(s->outbox) ? session_take(s, look, err) : -EAGAIN;
}

static bool session_knows_command(void *userdata, const char *word)
{
	const struct session *s = userdata;

	return agent_has_command(s->agent, word);
}

static bool session_is_busy(const struct session *s)
{
	return turn_is_active(s->turn) || gate_is_busy(s->gate);
}

static void session_look(void *userdata)
{
	struct session *s = userdata;
	const struct inbox_view view = {
		.inbound_path = s->paths[SESSION_INBOUND],
		.outbound = s->outbound,
		.limit = (size_t)s->config->max_messages,
		.first_look = !s->looked,
		.turn_is_active = turn_is_active(s->turn),
		.commands_known =
			s->looked && (agent_is_ready(s->agent) || !agent_is_running(s->agent)),
		.known = session_knows_command,
		.userdata = s,
	};
	struct inbox_look look;
	struct err err = { "" };
	int r;

	/* What is not written yet is not acknowledged, and would be taken up twice. */
	if (s->stopping || !outbox_commit(s->outbox))
		return;
	lookout_begin(s->lookout);
	r = inbox_look(&view, &look, &err);
	if (r == 0) {
		bool took = look.batch.count > 0 || look.batch.aside_count > 0;

		r = session_digest(s, &look, &err);
		lookout_done(s->lookout, look.batch.next_due_ms, session_is_busy(s));
		/* There may be more: the host's next commit is not waited for. */
		if (took)
			lookout_soon(s->lookout);
		inbox_look_deinit(&look);
	}
	if (r == 0 || s->stopping)
		return;
	r = lookout_failed(s->lookout, r, err.text);
	if (r > 0)
		loop_stop(s->loop, r);
}

static void session_on_drained(void *userdata)
{
	struct session *s = userdata;

	lookout_soon(s->lookout);
}

static void session_on_broken(void *userdata)
{
	struct session *s = userdata;

	log_error("out of memory: starting anew");
	loop_stop(s->loop, EXIT_CODE_INTERNAL);
}

static enum pulse_need session_need(void *userdata)
{
	const struct session *s = userdata;

	if (!session_is_busy(s))
		return PULSE_IDLE;
	return gate_is_busy(s->gate) || loop_timer_is_armed(s->timers[SESSION_TIMER_RETRY])
		       ? PULSE_WAITING
		       : PULSE_AGENT;
}

/* The end */

static void session_on_stop_timer(void *userdata)
{
	struct session *s = userdata;

	loop_stop(s->loop, 0);
}

/*
 * SIGTERM: what was finished stays, every claim is given back, so that the next container takes
 * the messages up at once. The agent gets what is left of the host's patience.
 */
static void session_on_terminate(void *userdata, const struct signalfd_siginfo *info)
{
	struct session *s = userdata;
	struct err err;

	if (s->stopping)
		return;
	log_info("ending on signal %u", info->ssi_signo);
	(void)outbox_commit(s->outbox);
	s->stopping = true;
	if (session_is_busy(s) && outbound_release(s->outbound, &err) < 0)
		log_warning("%s; the next start gives the claims back", err.text);
	if (!agent_is_running(s->agent)) {
		loop_stop(s->loop, 0);
		return;
	}
	agent_stop(s->agent, SESSION_STOP_MS);
	loop_timer_arm(s->timers[SESSION_TIMER_STOP], SESSION_STOP_MS);
}

/* The start */

static int session_open_databases(struct session *s, struct err *err)
{
	int r;

	/* First of all: a hot journal that a kill left behind blocks the host's reads. */
	r = outbound_open(s->paths[SESSION_OUTBOUND], s->paths[SESSION_INBOUND], &s->outbound, err);
	return r < 0 ? r : outbound_release(s->outbound, err);
}

static int session_make_agent(struct session *s, struct err *err)
{
	cleanup_free char *continuation = NULL;
	struct agent_options options = {
		.loop = s->loop,
		.children = s->children,
		.config = s->config,
		.workspace = s->options->workspace,
		.events = &session_agent_events,
		.userdata = s,
	};
	int r;

	r = outbound_continuation(s->outbound, s->config->provider, &continuation, err);
	if (r < 0)
		return r;
	options.continuation = continuation;
	return agent_new(&options, &s->agent, err);
}

static int session_make_timers(struct session *s)
{
	static loop_timer_fn *const handlers[] = {
		[SESSION_TIMER_RETRY] = session_on_retry,
		[SESSION_TIMER_INTERRUPT] = session_on_interrupt_timer,
		[SESSION_TIMER_STOP] = session_on_stop_timer,
	};
	TABLE_COVERS(handlers, SESSION_TIMERS);
	int r = 0;

	for (size_t i = 0; r == 0 && i < SESSION_TIMERS; i++)
		r = loop_timer_new(s->loop, handlers[i], s, &s->timers[i]);
	return r;
}

static int session_make_parts(struct session *s)
{
	static const struct outbox_events outbox_events = {
		.drained = session_on_drained,
		.broken = session_on_broken,
	};
	struct turn_options turn = {
		.loop = s->loop,
		.outbound = s->outbound,
		.config = s->config,
		.workspace = s->options->workspace,
		.inbound_path = s->paths[SESSION_INBOUND],
		.timezone = timezone_init(),
	};
	int r;

	r = session_make_timers(s);
	if (r == 0)
		r = outbox_new(s->loop, s->outbound, &outbox_events, s, &s->outbox);
	turn.outbox = s->outbox;
	if (r == 0)
		r = turn_new(&turn, &s->turn);
	if (r == 0)
		r = pulse_new(s->loop, s->outbound, s->paths[SESSION_HEARTBEAT], session_need, s,
			      &s->pulse);
	if (r == 0)
		r = gate_new(s->loop, s->children, s->paths[SESSION_AGENT_DIR], session_on_gate, s,
			     &s->gate);
	if (r == 0)
		r = lookout_new(s->loop, s->paths[SESSION_INBOUND], s->config, session_look, s,
				&s->lookout);
	return r;
}

static int session_setup(struct session *s, struct err *err)
{
	int r;

	r = config_load(s->paths[SESSION_CONFIG], &s->config, err);
	if (r < 0)
		return r;
	r = loop_new(&s->loop, err);
	if (r == 0)
		r = loop_add_signal(s->loop, SIGTERM, session_on_terminate, s, err);
	if (r == 0)
		r = loop_add_signal(s->loop, SIGINT, session_on_terminate, s, err);
	if (r == 0)
		r = children_new(s->loop, s->options->self, &s->children, err);
	if (r == 0)
		r = session_open_databases(s, err);
	if (r == 0)
		r = session_make_agent(s, err);
	if (r < 0)
		return r;
	r = session_make_parts(s);
	return r < 0 ? err_sys(err, r, "cannot start the session") : 0;
}

/* The exit code for a start that failed with r. */
static int session_exit_code(const struct session *s, int r)
{
	static const struct {
		int error, code;
	} codes[] = {
		{ -EAGAIN, EXIT_CODE_TEMPORARY },     { -ENOSPC, EXIT_CODE_TEMPORARY },
		{ -EACCES, EXIT_CODE_NO_PERMISSION }, { -EROFS, EXIT_CODE_NO_PERMISSION },
		{ -ENOENT, EXIT_CODE_CANNOT_CREATE }, { -EBADMSG, EXIT_CODE_CANNOT_CREATE },
	};

	/* Without a configuration, or with a provider that does not exist. */
	if (!s->config || (s->outbound && !s->agent && r == -ENOENT))
		return EXIT_CODE_CONFIG;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].error == r)
			return codes[i].code;
	return EXIT_CODE_INTERNAL;
}

static void session_teardown(struct session *s)
{
	lookout_free(s->lookout);
	gate_free(s->gate);
	turn_free(s->turn);
	pulse_free(s->pulse);
	agent_free(s->agent);
	if (s->children)
		(void)children_kill_orphans(s->children);
	children_free(s->children);
	outbox_free(s->outbox);
	outbound_close(s->outbound);
	for (size_t i = 0; i < SESSION_TIMERS; i++)
		loop_timer_free(s->timers[i]);
	loop_free(s->loop);
	config_free(s->config);
	free(s->instructions);
	for (size_t i = 0; i < SESSION_PATHS; i++)
		free(s->paths[i]);
}

int session_run(const struct runner_options *options)
{
	struct session s = { .options = options };
	struct err err = { "" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < SESSION_PATHS; i++)
		if (asprintf(&s.paths[i], "%s/%s", options->workspace, session_paths[i]) < 0) {
			s.paths[i] = NULL;
			r = err_sys(&err, -ENOMEM, "cannot start the session");
		}
	if (r == 0)
		r = session_setup(&s, &err);
	if (r == 0) {
		session_look(&s);
		r = loop_run(s.loop, &err);
	}
	if (r < 0) {
		log_error("%s", err.text);
		r = session_exit_code(&s, r);
	}
	session_teardown(&s);
	return r;
}
