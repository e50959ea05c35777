/* SPDX-License-Identifier: MIT */
#include "runner/conversation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/scratch.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/agent.h"
#include "runner/folders.h"
#include "runner/message/instructions.h"
#include "runner/message/route.h"
#include "runner/message/timezone.h"
#include "runner/shortage.h"

/* An agent that does not answer an interrupt is asked to end, and killed after this. */
#define CONVERSATION_KILL_MS 1000

enum conversation_timer {
	CONVERSATION_RETRY,	/* a failed turn is tried again */
	CONVERSATION_INTERRUPT, /* the agent ignores an interrupt */
	CONVERSATION_TIMERS,
};

struct conversation {
	struct conversation_options options;
	struct conversation_events events;
	void *userdata;
	struct loop_timer *timers[CONVERSATION_TIMERS];
	struct agent *agent;
	struct turn *turn;
	struct shortage *shortage;
	struct inbound_destinations destinations;
	char *instructions;  /* that name them */
	bool stop_requested; /* the user stopped the turn; its result is awaited */
	int64_t hangs_ms; /* the agent was silent for so long, and is interrupted; 0: it is not */
	bool ending;	  /* the process ends */
	bool resting;	  /* the agent ends for want of work */
	int64_t made_ms;  /* real time: no agent of ours is older */
};

static void conversation_pump(struct conversation *c, bool replace);

/* Writes the continuation, NULL: none, together with what the outbox holds. */
static void conversation_store(struct conversation *c, const char *continuation)
{
	char key[OUTBOUND_KEY_MAX];

	outbound_continuation_key(agent_name(c->agent), key);
	outbox_set_state(c->options.outbox, key, continuation);
}

static void conversation_forget(struct conversation *c)
{
	conversation_store(c, NULL);
	agent_reset(c->agent);
}

static void conversation_follow(struct conversation *c, enum turn_verdict verdict)
{
	switch (verdict) {
	case TURN_GOES_ON:
		conversation_pump(c, false);
		break;
	case TURN_DONE:
		break;
	case TURN_RETRY:
		log_info("trying again in %lld ms", (long long)turn_retry_ms(c->turn));
		loop_timer_arm(c->timers[CONVERSATION_RETRY], turn_retry_ms(c->turn));
		break;
	case TURN_RETRY_FRESH:
		log_info("trying again in a fresh conversation");
		conversation_forget(c);
		(void)outbox_commit(c->options.outbox);
		conversation_pump(c, false);
		break;
	}
	/* Commands wait for the end of a turn, a full one takes more after each answer. */
	c->events.look(c->userdata);
}

/* What the user stopped has ended. */
static void conversation_finish_stop(struct conversation *c)
{
	c->stop_requested = false;
	loop_timer_disarm(c->timers[CONVERSATION_INTERRUPT]);
	conversation_follow(c, turn_stopped(c->turn));
}

/* What hung has ended. */
static void conversation_finish_hang(struct conversation *c)
{
	struct err detail;

	(void)snprintf(detail.text, sizeof(detail.text), "it gave no sign of life for %lld s",
		       (long long)(c->hangs_ms / 1000));
	c->hangs_ms = 0;
	loop_timer_disarm(c->timers[CONVERSATION_INTERRUPT]);
	conversation_follow(c, turn_broken(c->turn, PROVIDER_CRASHED, detail.text));
}

static void conversation_on_retry(void *userdata)
{
	struct conversation *c = userdata;

	pulse_alive(c->options.pulse);
	conversation_pump(c, false);
}

/*
 * What there is too little of at present, nobody has to repair. A folder that cannot be entered was
 * closed by an agent perhaps, is opened again then, and is no attempt at anything.
 */
static enum provider_error conversation_start_error(int r)
{
	static const int passing[] = { -EAGAIN, -ENOMEM, -EMFILE, -ENFILE, -ENOSPC, -EDQUOT };

	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (r == passing[i])
			return PROVIDER_CRASHED;
	return r == -EACCES ? PROVIDER_TRANSIENT : PROVIDER_UNAVAILABLE;
}

/* Composes the instructions anew: they name the destinations, which the host may change. */
static int conversation_instruct(struct conversation *c)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	char *instructions = NULL;

	if (instructions_compose(c->options.config->assistant_name, &c->destinations,
				 toolbox_tool_name(c->options.toolbox, "send_message"), &text) == 0)
		instructions = strbuf_steal(&text);
	if (!instructions)
		return -ENOMEM;
	free(c->instructions);
	c->instructions = instructions;
	return 0;
}

int conversation_prepare(struct conversation *c)
{
	const struct conversation_options *o = &c->options;
	struct err err;

	/* The last agent may have taken away what the next one needs. */
	toolbox_prepare(o->toolbox);
	agent_set_config_dir(c->agent, toolbox_folder(o->toolbox));
	/* Without it the agent sees less. */
	if (folders_make(o->workspace, FOLDERS_INBOX, &err) < 0)
		log_warning("%s", err.text);
	/* They name a tool, which may turn out not to be there. */
	return conversation_instruct(c);
}

/*
 * Gives the agent what it has not been given yet, starting it if need be. replace: no turn was
 * running, so an agent that was started with other instructions may be replaced.
 */
static void conversation_pump(struct conversation *c, bool replace)
{
	struct turn_push push;
	struct err err;
	int r = 0;

	/* What came behind a /stop is not given to an agent that is about to be interrupted. */
	if (c->ending || c->stop_requested || c->hangs_ms > 0 || conversation_is_waiting(c))
		return;
	if (!agent_is_running(c->agent))
		r = conversation_prepare(c);
	r = r < 0 ? err_sys(&err, r, "cannot prepare the agent")
		  : agent_ensure(c->agent, c->instructions, replace, &err);
	if (r < 0) {
		log_error("%s", err.text);
		conversation_follow(c, turn_broken(c->turn, conversation_start_error(r), err.text));
		return;
	}
	/* While it is being replaced everything waits for its successor. */
	while (agent_is_running(c->agent) && turn_next_push(c->turn, &push)) {
		int64_t id = agent_push(c->agent, push.text, push.len, push.is_command);

		if (id < 0) {
			/* Its end is about to be noticed; the turn is tried again then. */
			log_warning("cannot write to the agent: %s", strerror((int)-id));
			return;
		}
		turn_pushed(c->turn, id);
	}
}

/* The agent's events */

static void conversation_on_ready(void *userdata)
{
	struct conversation *c = userdata;

	/* Words that may be commands were left until now. */
	c->events.look(c->userdata);
}

static void conversation_on_init(void *userdata, const char *continuation)
{
	struct conversation *c = userdata;

	/* Now, not with the result: a crash in this turn must still find the conversation. */
	conversation_store(c, continuation);
	(void)outbox_commit(c->options.outbox);
}

static void conversation_on_text(void *userdata, const char *text, size_t len)
{
	struct conversation *c = userdata;

	turn_text(c->turn, text, len);
}

static void conversation_on_tool_start(void *userdata, const char *id, const char *name,
				       int64_t timeout_ms)
{
	struct conversation *c = userdata;

	turn_send_held(c->turn);
	pulse_tool_start(c->options.pulse, id, name, timeout_ms);
}

static void conversation_on_tool_end(void *userdata, const char *id)
{
	struct conversation *c = userdata;

	pulse_tool_end(c->options.pulse, id);
}

/* A result, in spite of an interrupt perhaps. */
static void conversation_heard(struct conversation *c, const struct provider_result *result)
{
	if (c->hangs_ms > 0)
		loop_timer_disarm(c->timers[CONVERSATION_INTERRUPT]);
	c->hangs_ms = 0;
	conversation_follow(c, turn_result(c->turn, result));
}

/* Something that the agent had started was killed for want of memory, and it went on. */
static void conversation_tell_shortage(struct conversation *c)
{
	char text[SHORTAGE_TEXT];

	if (shortage_struck(c->shortage, text))
		turn_aside(c->turn, text);
}

static void conversation_on_result(void *userdata, const struct provider_result *result)
{
	struct conversation *c = userdata;

	if (c->ending)
		return;
	pulse_no_tools(c->options.pulse);
	if (!turn_is_active(c->turn))
		c->events.worked(c->userdata);
	/* What failed may be about to die of it: then its end tells. */
	if (result->error == PROVIDER_OK)
		conversation_tell_shortage(c);
	if (c->stop_requested)
		conversation_finish_stop(c);
	else if (c->hangs_ms > 0 && (result->interrupted || result->error != PROVIDER_OK))
		/* It heeds us; but what it may still say of this must not be heard. */
		agent_stop(c->agent, CONVERSATION_KILL_MS);
	else
		conversation_heard(c, result);
}

static void conversation_on_server(void *userdata, const char *name, const char *status)
{
	struct conversation *c = userdata;

	c->events.server(c->userdata, name, status);
}

static void conversation_on_compacted(void *userdata)
{
	(void)userdata;
	log_info("the agent summarised its conversation");
}

static void conversation_on_activity(void *userdata)
{
	struct conversation *c = userdata;

	pulse_alive(c->options.pulse);
}

/* All that the agent started was ended with it; its files may be what there is no room for. */
static void conversation_clear_scratch(const struct conversation *c)
{
	const struct scratch_spec spec = {
		.since_ms = c->made_ms,
		/* Clients hold on to the socket, and the agent's conversations lie in HOME. */
		.keep = { toolbox_folder(c->options.toolbox), getenv("HOME"),
			  c->options.workspace },
		.emptied = getenv("TMPDIR"),
	};

	(void)scratch_clear(&spec);
}

static void conversation_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct conversation *c = userdata;
	char shortage[SHORTAGE_TEXT];
	bool is_resting;

	if (c->ending) {
		c->events.ended(c->userdata);
		return;
	}
	is_resting = c->resting;
	c->resting = false;
	pulse_no_tools(c->options.pulse);
	/* Whoever comes next has all the time that there is. */
	pulse_alive(c->options.pulse);
	if (error != PROVIDER_OK && error != PROVIDER_INVALID_SESSION &&
	    shortage_ended_agent(c->shortage, detail, shortage)) {
		error = PROVIDER_OUT_OF_MEMORY;
		detail = shortage;
		conversation_clear_scratch(c);
	}
	if (error != PROVIDER_OK)
		log_warning("the agent ended: %s", detail);
	if (error == PROVIDER_INVALID_SESSION) {
		conversation_forget(c);
		(void)outbox_commit(c->options.outbox);
	}
	if (c->stop_requested) {
		conversation_finish_stop(c);
	} else if (c->hangs_ms > 0) {
		conversation_finish_hang(c);
	} else if (conversation_is_waiting(c)) {
		/* Its failure was told by a result already, and has its next try coming. */
		turn_rewind(c->turn);
	} else if (error != PROVIDER_OK && turn_is_active(c->turn)) {
		conversation_follow(c, turn_broken(c->turn, error, detail));
	} else if (is_resting && !turn_is_active(c->turn)) {
		c->events.look(c->userdata);
	} else if (error == PROVIDER_OK || error == PROVIDER_INVALID_SESSION) {
		/* Replaced, or its conversation was unknown before there was a message. */
		turn_rewind(c->turn);
		conversation_pump(c, false);
	} else {
		/* What may be a command waits to be told apart, and now is. */
		c->events.look(c->userdata);
	}
}

static const struct provider_events conversation_agent_events = {
	.ready = conversation_on_ready,
	.init = conversation_on_init,
	.text = conversation_on_text,
	.tool_start = conversation_on_tool_start,
	.tool_end = conversation_on_tool_end,
	.result = conversation_on_result,
	.server = conversation_on_server,
	.compacted = conversation_on_compacted,
	.activity = conversation_on_activity,
	.exited = conversation_on_exited,
};

/* Commands */

void conversation_clear(struct conversation *c, const struct inbound_row *row)
{
	struct route route;

	log_info("/clear: forgetting the conversation");
	route_origin(row, &route);
	outbox_add_text(c->options.outbox, &route, "Session cleared.");
	outbox_add_completed(c->options.outbox, row->id);
	conversation_forget(c);
	(void)outbox_commit(c->options.outbox);
	conversation_pump(c, false);
}

static void conversation_on_interrupt_timer(void *userdata)
{
	struct conversation *c = userdata;

	log_warning("the agent does not react to an interrupt: ending it");
	agent_stop(c->agent, CONVERSATION_KILL_MS);
}

static void conversation_interrupt_agent(struct conversation *c)
{
	agent_interrupt(c->agent);
	loop_timer_arm(c->timers[CONVERSATION_INTERRUPT], c->options.config->interrupt_s * 1000);
}

void conversation_interrupt(struct conversation *c, const struct inbound_row *row)
{
	struct route route;

	route_origin(row, &route);
	outbox_add_text(c->options.outbox, &route, "Stopped.");
	outbox_add_completed(c->options.outbox, row->id);
	(void)outbox_commit(c->options.outbox);
	if (c->stop_requested || !turn_is_active(c->turn))
		return;
	turn_stop(c->turn);
	c->hangs_ms = 0;
	if (conversation_is_waiting(c) || !agent_is_ready(c->agent)) {
		/* Nothing runs that could be interrupted, and what is queued must not be run. */
		loop_timer_disarm(c->timers[CONVERSATION_RETRY]);
		agent_stop(c->agent, CONVERSATION_KILL_MS);
		conversation_finish_stop(c);
		return;
	}
	c->stop_requested = true;
	conversation_interrupt_agent(c);
}

void conversation_on_silence(struct conversation *c, int64_t silent_ms)
{
	if (c->ending || c->stop_requested || c->hangs_ms > 0 || !turn_is_active(c->turn) ||
	    conversation_is_waiting(c))
		return;
	log_warning("the agent hangs: stopping it, and trying again");
	turn_tell_silence(c->turn, silent_ms);
	c->hangs_ms = silent_ms;
	if (agent_is_ready(c->agent))
		conversation_interrupt_agent(c);
	else
		agent_stop(c->agent, CONVERSATION_KILL_MS);
}

/* Messages */

int conversation_set_destinations(struct conversation *c, struct inbound_destinations *destinations)
{
	inbound_destinations_deinit(&c->destinations);
	c->destinations = *destinations;
	*destinations = (struct inbound_destinations){ .rows = NULL };
	return conversation_instruct(c);
}

const struct inbound_destinations *conversation_destinations(const struct conversation *c)
{
	return &c->destinations;
}

void conversation_warm(struct conversation *c)
{
	conversation_pump(c, false);
}

int conversation_take(struct conversation *c, struct turn_input *input, struct err *err)
{
	bool was_active = turn_is_active(c->turn);
	int r = turn_add(c->turn, input, err);

	if (r < 0)
		return r;
	if (!was_active)
		shortage_begin(c->shortage);
	pulse_start(c->options.pulse);
	conversation_pump(c, !was_active);
	return 0;
}

void conversation_note(struct conversation *c, const char *text, const struct outbound_state *mark)
{
	turn_note(c->turn, text, mark);
}

void conversation_send_held(struct conversation *c)
{
	turn_send_held(c->turn);
}

void conversation_note_sent(struct conversation *c, const char *to, const char *thread,
			    const char *text)
{
	turn_note_sent(c->turn, to, thread, text);
}

void conversation_give_up(struct conversation *c, const struct inbound_row *row)
{
	turn_give_up(c->turn, row);
}

bool conversation_is_active(const struct conversation *c)
{
	return turn_is_active(c->turn);
}

bool conversation_holds(const struct conversation *c, const char *id)
{
	return turn_holds(c->turn, id);
}

bool conversation_is_full(const struct conversation *c)
{
	/* What follows a /stop is a turn of its own. */
	return c->stop_requested || turn_is_full(c->turn);
}

bool conversation_is_waiting(const struct conversation *c)
{
	return loop_timer_is_armed(c->timers[CONVERSATION_RETRY]);
}

bool conversation_knows_commands(const struct conversation *c)
{
	return agent_knows_commands(c->agent);
}

bool conversation_has_command(void *conversation, const char *word)
{
	const struct conversation *c = conversation;

	return agent_has_command(c->agent, word);
}

int conversation_rest(struct conversation *c)
{
	if (turn_is_active(c->turn) || agent_is_busy(c->agent))
		return -EBUSY;
	/* Also one that is being replaced: nobody needs its successor before there is a message. */
	if (agent_exists(c->agent)) {
		c->resting = true;
		agent_stop(c->agent, CONVERSATION_KILL_MS);
	}
	return 0;
}

bool conversation_has_agent(const struct conversation *c)
{
	return agent_exists(c->agent);
}

bool conversation_end(struct conversation *c, int64_t kill_after_ms)
{
	c->ending = true;
	loop_timer_disarm(c->timers[CONVERSATION_RETRY]);
	turn_end(c->turn);
	if (!agent_is_running(c->agent))
		return false;
	agent_stop(c->agent, kill_after_ms);
	return true;
}

/* The start */

static int conversation_make_agent(struct conversation *c, struct err *err)
{
	const struct conversation_options *o = &c->options;
	cleanup_free char *continuation = NULL;
	struct agent_options agent = {
		.loop = o->loop,
		.children = o->children,
		.config = o->config,
		.workspace = o->workspace,
		.mcp_servers = toolbox_servers(o->toolbox),
		.own_server = o->config->mcp_server_name,
		.env = toolbox_env(o->toolbox),
		.secrets = o->secrets,
		.events = &conversation_agent_events,
		.userdata = c,
	};
	int r;

	r = outbound_continuation(o->outbound, o->config->provider, &continuation, err);
	if (r < 0)
		return r;
	agent.continuation = continuation;
	return agent_new(&agent, &c->agent, err);
}

static int conversation_make_parts(struct conversation *c, struct err *err)
{
	static loop_timer_fn *const handlers[] = {
		[CONVERSATION_RETRY] = conversation_on_retry,
		[CONVERSATION_INTERRUPT] = conversation_on_interrupt_timer,
	};
	TABLE_COVERS(handlers, CONVERSATION_TIMERS);
	const struct turn_options turn = {
		.loop = c->options.loop,
		.outbound = c->options.outbound,
		.outbox = c->options.outbox,
		.config = c->options.config,
		.workspace = c->options.workspace,
		.inbound_path = c->options.inbound_path,
		.destinations = &c->destinations,
		.timezone = timezone_init(),
	};
	int r = 0;

	c->shortage = shortage_new();
	if (!c->shortage)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < CONVERSATION_TIMERS; i++)
		r = loop_timer_new(c->options.loop, handlers[i], c, &c->timers[i]);
	if (r == 0)
		r = turn_new(&turn, &c->turn);
	return r < 0 ? err_sys(err, r, "cannot start the session") : 0;
}

int conversation_new(const struct conversation_options *options,
		     const struct conversation_events *events, void *userdata,
		     struct conversation **ret_conversation, struct err *err)
{
	struct conversation *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_sys(err, -ENOMEM, "cannot start the session");
	c->made_ms = clock_realtime_ms();
	c->options = *options;
	c->events = *events;
	c->userdata = userdata;
	r = conversation_make_agent(c, err);
	if (r == 0)
		r = conversation_make_parts(c, err);
	if (r < 0) {
		conversation_free(c);
		return r;
	}
	*ret_conversation = c;
	return 0;
}

void conversation_free(struct conversation *c)
{
	if (!c)
		return;
	turn_free(c->turn);
	shortage_free(c->shortage);
	agent_free(c->agent);
	for (size_t i = 0; i < CONVERSATION_TIMERS; i++)
		loop_timer_free(c->timers[i]);
	inbound_destinations_deinit(&c->destinations);
	free(c->instructions);
	free(c);
}
