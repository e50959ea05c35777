/* SPDX-License-Identifier: MIT */
#include "runner/session.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/log.h"
#include "common/pages.h"
#include "common/table.h"
#include "runner/config.h"
#include "runner/conversation.h"
#include "runner/folders.h"
#include "runner/idle.h"
#include "runner/inbox.h"
#include "runner/intake.h"
#include "runner/lookout.h"
#include "runner/outbox.h"
#include "runner/provider/registry.h"
#include "runner/pulse.h"
#include "runner/secrets.h"
#include "runner/tenure.h"
#include "runner/toolbox.h"

/* A clean stop is over within 200 ms: the agent gets this much of it. */
#define SESSION_STOP_MS 120
/* So long after a look that left nothing to do, what the work took is given back. */
#define SESSION_REST_MS 1000

struct session {
	const struct runner_options *options;
	struct secrets *secrets;
	struct config *config;
	struct tenure *tenure;
	struct loop *loop;
	struct loop_timer *stop; /* the agent ignores the end */
	struct loop_timer *rest; /* nothing has happened for a while */
	struct children *children;
	struct lookout *lookout;
	struct idle *idle;
	struct outbound *outbound; /* of the tenure */
	struct inbound *inbound;   /* of the last look; NULL: of none */
	struct settled *settled;
	struct outbox *outbox;
	struct pulse *pulse;
	struct toolbox *toolbox;
	struct conversation *conversation;
	struct intake *intake;
	bool caught_up; /* all that was due when the container started has been taken */
	bool stopping;	/* the process ends */
	bool leaving;	/* it ends, unless a message comes */
	bool taken;	/* another loop has taken the folder over */
	int refused;	/* the exit code for rights that could not be narrowed; 0: they were */
};

/* Memory ran out where a claim stands already: the next loop takes its message up again. */
static void session_on_broken(void *userdata)
{
	struct session *s = userdata;

	log_error("out of memory: starting anew");
	loop_stop(s->loop, EXIT_CODE_INTERNAL);
}

/* Whoever comes last has the folder: nothing in it is ours any more, the claims neither. */
static void session_on_taken(void *userdata)
{
	struct session *s = userdata;

	log_error("another agent-runner has taken over %s: ending", s->options->workspace);
	s->stopping = true;
	s->taken = true;
	loop_stop(s->loop, EXIT_CODE_TEMPORARY);
}

/* What only a new start can mend; whatever was not committed is taken up by the next loop. */
static bool session_is_lost(struct session *s)
{
	const char *why = tenure_lost(s->tenure);

	if (!why)
		return false;
	log_error("%s: %s: starting anew", tenure_path(s->tenure, TENURE_OUTBOUND), why);
	loop_stop(s->loop, EXIT_CODE_INTERNAL);
	return true;
}

static void session_on_refused(void *userdata)
{
	struct session *s = userdata;

	if (!s->stopping)
		(void)session_is_lost(s);
}

/* The agent's tools */

static void session_on_writing(void *userdata)
{
	struct session *s = userdata;

	loop_timer_arm(s->rest, SESSION_REST_MS);
	conversation_send_held(s->conversation);
}

static void session_on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	struct session *s = userdata;

	conversation_note_sent(s->conversation, to, thread, text);
}

static const struct inbound_destinations *session_destinations(void *userdata)
{
	const struct session *s = userdata;

	return conversation_destinations(s->conversation);
}

static void session_on_note(void *userdata, const char *text)
{
	struct session *s = userdata;

	conversation_note(s->conversation, text, NULL);
}

static void session_on_server(void *userdata, const char *name, const char *status)
{
	struct session *s = userdata;

	toolbox_on_server(s->toolbox, name, status);
}

/* The inbox */

static bool session_is_busy(const struct session *s)
{
	return conversation_is_active(s->conversation) || intake_is_busy(s->intake);
}

static const char *const *session_confine_words(const struct session *s)
{
	return (const char *const *)s->config->sandbox.words;
}

/* From now on a row that is for the start of a container is left to the next one. */
static void session_catch_up(struct session *s)
{
	if (s->caught_up)
		return;
	s->caught_up = true;
	log_debug("all that was due at the start is taken");
	/* Not earlier: a message that waits does not wait for these. */
	toolbox_sweep(s->toolbox);
	if (s->options->review)
		s->options->review(s->options->userdata, session_confine_words(s));
}

/* The messages are due again at once, and none of them is to blame for the end. */
static void session_release(struct session *s)
{
	struct err err;

	if (session_is_busy(s) && outbound_release(s->outbound, &err) < 0)
		log_warning("%s; the next start gives the claims back", err.text);
}

/* Nothing to do for long: the agent's memory is given back. */
static int session_on_idle_agent(void *userdata)
{
	struct session *s = userdata;

	if (!conversation_has_agent(s->conversation))
		return 0;
	if (conversation_rest(s->conversation) < 0)
		return -EBUSY;
	log_info("nothing to do for %lld s: the agent ends until the next message",
		 (long long)s->config->agent_idle_s);
	return 0;
}

/* The container likewise: once its agent has ended there is one more look. */
static int session_on_idle_exit(void *userdata)
{
	struct session *s = userdata;

	/* A call may wait without a turn: a client of the tools that is no agent of ours. */
	if (toolbox_awaits_answer(s->toolbox) || conversation_rest(s->conversation) < 0)
		return -EBUSY;
	s->leaving = true;
	lookout_soon(s->lookout);
	return 0;
}

static void session_on_worked(void *userdata)
{
	struct session *s = userdata;

	idle_restart(s->idle);
}

/* After a look. has_work: it found something, or something is under way. */
static void session_follow_idle(struct session *s, bool has_work)
{
	if (has_work) {
		s->leaving = false;
		idle_end(s->idle);
	}
	if (session_is_busy(s))
		return;
	loop_timer_arm(s->rest, SESSION_REST_MS);
	idle_begin(s->idle);
	if (!s->leaving || conversation_has_agent(s->conversation))
		return;
	log_info("nothing to do for %lld s: ending", (long long)s->config->exit_idle_s);
	s->stopping = true;
	loop_stop(s->loop, 0);
}

static void session_look(void *userdata, bool changed)
{
	struct session *s = userdata;
	struct inbox_view view = {
		.inbound_path = tenure_path(s->tenure, TENURE_INBOUND),
		.inbound = &s->inbound,
		.outbound = s->outbound,
		.limit = (size_t)s->config->max_messages,
		.first_look = !s->caught_up,
		.settled = s->settled,
	};
	struct inbox_look look;
	struct err err = { "" };
	int r;

	/* What is not written yet is not acknowledged, and would be taken up twice. */
	if (s->stopping)
		return;
	tenure_mend(s->tenure, TENURE_MEND_MS);
	if (!outbox_commit(s->outbox))
		return;
	intake_view(s->intake, &view);
	/* Nothing can be taken, and there is no /stop that was not there before. */
	if (view.turn_is_full && !changed)
		return;
	lookout_begin(s->lookout);
	r = inbox_look(&view, &look, &err);
	if (r == 0) {
		bool took = look.batch.count > 0 || look.batch.aside_count > 0;

		/* Nothing is left of what came: it may be another who took it. */
		if (!took && changed)
			(void)outbound_is_taken(s->outbound);
		r = intake_take(s->intake, &look, &err);
		if (r == 0 && !took && !look.batch.more)
			session_catch_up(s);
		if (r == 0)
			lookout_done(s->lookout, look.batch.next_due_ms, session_is_busy(s));
		/* There may be more: the host's next commit is not waited for. */
		if (took)
			lookout_soon(s->lookout);
		if (r == 0)
			session_follow_idle(s, took || look.batch.more || session_is_busy(s));
		inbox_look_deinit(&look);
	}
	if (r == 0 || s->stopping || session_is_lost(s))
		return;
	r = lookout_failed(s->lookout, r, err.text);
	if (r > 0) {
		session_release(s);
		loop_stop(s->loop, r);
	}
}

/* Events of the parts */

static void session_look_soon(void *userdata)
{
	struct session *s = userdata;

	lookout_soon(s->lookout);
}

static void session_on_ended(void *userdata)
{
	struct session *s = userdata;

	loop_stop(s->loop, 0);
}

static enum pulse_need session_need(void *userdata)
{
	const struct session *s = userdata;

	/* Looked for here, too: a turn may write nothing for long, and must not beat for another. */
	if (!session_is_busy(s) || outbound_is_taken(s->outbound))
		return PULSE_IDLE;
	/* A script beside a turn excuses nothing. */
	return !conversation_is_active(s->conversation) ||
			       conversation_is_waiting(s->conversation) ||
			       toolbox_awaits_person(s->toolbox)
		       ? PULSE_WAITING
		       : PULSE_AGENT;
}

/* Maybe the last thing to do for hours: what the work took goes back. A message brings it in again. */
static void session_on_rest(void *userdata)
{
	const struct session *s = userdata;

	/* The end of a turn is followed by a look. */
	if (session_is_busy(s))
		return;
	(void)malloc_trim(0);
	pages_release();
}

static void session_on_silence(void *userdata, int64_t silent_ms)
{
	struct session *s = userdata;

	conversation_on_silence(s->conversation, silent_ms);
}

/* The end */

/*
 * SIGTERM: what was finished stays, every claim is given back, so that the next container takes
 * the messages up at once. The agent gets what is left of the host's patience.
 */
static void session_on_terminate(void *userdata, const struct signalfd_siginfo *info)
{
	struct session *s = userdata;

	if (s->stopping)
		return;
	log_info("ending on signal %u", info->ssi_signo);
	outbound_hurry(s->outbound);
	(void)outbox_flush(s->outbox);
	s->stopping = true;
	/* It is wanted now: what came meanwhile is for the next container. */
	s->leaving = false;
	toolbox_stop_listening(s->toolbox);
	/* A tool that could not be taken back yet would make the host wait. */
	if (!session_is_busy(s))
		pulse_no_tools(s->pulse);
	session_release(s);
	if (conversation_end(s->conversation, SESSION_STOP_MS))
		loop_timer_arm(s->stop, SESSION_STOP_MS);
	else
		loop_stop(s->loop, 0);
}

/* The start */

static int session_make_conversation(struct session *s, struct err *err)
{
	static const struct conversation_events events = {
		.look = session_look_soon,
		.worked = session_on_worked,
		.ended = session_on_ended,
		.server = session_on_server,
	};
	const struct conversation_options options = {
		.loop = s->loop,
		.children = s->children,
		.config = s->config,
		.workspace = s->options->workspace,
		.inbound_path = tenure_path(s->tenure, TENURE_INBOUND),
		.outbound = s->outbound,
		.outbox = s->outbox,
		.pulse = s->pulse,
		.toolbox = s->toolbox,
		.secrets = s->secrets,
	};

	return conversation_new(&options, &events, s, &s->conversation, err);
}

static int session_make_toolbox(struct session *s)
{
	static const struct toolbox_events events = {
		.writing = session_on_writing,
		.sent = session_on_sent,
		.destinations = session_destinations,
		.note = session_on_note,
	};
	const struct toolbox_options options = {
		.loop = s->loop,
		.config = s->config,
		.workspace = s->options->workspace,
		.self = s->options->self,
		.inbound_path = tenure_path(s->tenure, TENURE_INBOUND),
		.outbound = s->outbound,
		.outbox = s->outbox,
	};

	return toolbox_new(&options, &events, s, &s->toolbox);
}

static int session_make_idle(struct session *s)
{
	const struct idle_options options = {
		.loop = s->loop,
		.agent_ms = s->config->agent_idle_s * 1000,
		.exit_ms = s->config->exit_idle_s * 1000,
		.agent = session_on_idle_agent,
		.exit = session_on_idle_exit,
		.userdata = s,
	};

	return idle_new(&options, &s->idle);
}

static int session_make_intake(struct session *s, struct err *err)
{
	const struct intake_options options = {
		.loop = s->loop,
		.children = s->children,
		.workspace = s->options->workspace,
		.outbound = s->outbound,
		.outbox = s->outbox,
		.pulse = s->pulse,
		.toolbox = s->toolbox,
		.conversation = s->conversation,
		.look = session_look_soon,
		.broken = session_on_broken,
		.userdata = s,
	};

	return intake_new(&options, &s->intake, err);
}

static int session_make_parts(struct session *s, struct err *err)
{
	static const struct outbox_events outbox_events = {
		.drained = session_look_soon,
		.broken = session_on_broken,
		.refused = session_on_refused,
	};
	int r;

	r = loop_timer_new(s->loop, session_on_ended, s, &s->stop);
	if (r == 0)
		r = loop_timer_new(s->loop, session_on_rest, s, &s->rest);
	if (r == 0)
		r = outbox_new(s->loop, s->outbound, &outbox_events, s, &s->outbox);
	if (r == 0)
		r = pulse_new(s->loop, s->outbound, tenure_path(s->tenure, TENURE_HEARTBEAT),
			      session_need, s, &s->pulse);
	if (r == 0 && s->config->silence_s > 0)
		pulse_set_silence(s->pulse, s->config->silence_s * 1000, session_on_silence);
	if (r == 0)
		r = session_make_toolbox(s);
	if (r == 0)
		r = session_make_idle(s);
	if (r == 0)
		r = lookout_new(s->loop, tenure_path(s->tenure, TENURE_INBOUND), s->config,
				session_look, s, &s->lookout);
	if (r < 0)
		return err_sys(err, r, "cannot start the session");
	return settled_new(&s->settled, err);
}

/* What the children are confined with, and this process, too. 0 or -errno. */
static int session_confine(struct session *s, struct err *err)
{
	const struct runner_options *o = s->options;

	if (config_sandbox_set_workspace(&s->config->sandbox, o->workspace, true) < 0)
		return err_sys(err, -ENOMEM, "cannot start the session");
	if (o->confine)
		s->refused = o->confine(o->userdata, session_confine_words(s), err);
	return s->refused ? -EPERM : 0;
}

/* Without it the agent works elsewhere. */
static void session_make_folder(const struct session *s)
{
	struct err err;

	if (folders_make(s->options->workspace, FOLDERS_AGENT, &err) < 0)
		log_warning("%s", err.text);
}

static int session_setup(struct session *s, struct err *err)
{
	int r = secrets_take(&s->secrets);

	if (r < 0)
		return err_sys(err, r, "cannot start the session");
	r = config_load(tenure_path(s->tenure, TENURE_CONFIG), &s->config, err);
	if (r == 0 && secrets_take_shared(s->secrets, registry_find(s->config->provider)) < 0)
		r = err_sys(err, -ENOMEM, "cannot start the session");
	/* Before anything is opened: what is open stays open to whoever takes this process over. */
	if (r == 0)
		r = session_confine(s, err);
	/* Before signals are handled: these may have to wait, and SIGTERM ends that. */
	if (r == 0)
		r = tenure_begin(s->tenure, session_on_taken, s, err);
	if (r == 0) {
		s->outbound = tenure_outbound(s->tenure);
		session_make_folder(s);
		r = loop_new(&s->loop, err);
	}
	if (r == 0)
		r = loop_add_signal(s->loop, SIGTERM, session_on_terminate, s, err);
	if (r == 0)
		r = loop_add_signal(s->loop, SIGINT, session_on_terminate, s, err);
	if (r == 0)
		r = children_new(s->loop, s->options->self, session_confine_words(s), &s->children,
				 err);
	if (r == 0)
		children_tell_denied(s->children, s->options->call_name);
	if (r == 0)
		r = session_make_parts(s, err);
	if (r == 0)
		r = session_make_conversation(s, err);
	if (r == 0)
		r = session_make_intake(s, err);
	if (r == 0)
		outbound_started(s->outbound);
	return r;
}

/* The exit code for a start that failed with r. */
static int session_exit_code(const struct session *s, int r)
{
	static const struct {
		int error, code;
	} codes[] = {
		{ -EAGAIN, EXIT_CODE_TEMPORARY },     { -ENOSPC, EXIT_CODE_TEMPORARY },
		{ -EBUSY, EXIT_CODE_TEMPORARY },      { -ESTALE, EXIT_CODE_TEMPORARY },
		{ -EACCES, EXIT_CODE_NO_PERMISSION }, { -EROFS, EXIT_CODE_NO_PERMISSION },
		{ -ENOENT, EXIT_CODE_CANNOT_CREATE }, { -EBADMSG, EXIT_CODE_CANNOT_CREATE },
	};

	if (s->refused)
		return s->refused;
	/* Without a configuration, or with a provider that does not exist. */
	if (!s->config || (s->lookout && !s->conversation && r == -ENOENT))
		return EXIT_CODE_CONFIG;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].error == r)
			return codes[i].code;
	return EXIT_CODE_INTERNAL;
}

/* Ends all that works. What the host writes is still noticed. */
static void session_close(struct session *s)
{
	idle_free(s->idle);
	intake_free(s->intake);
	conversation_free(s->conversation);
	/* The runtime directory last: what the agent was given in it is gone by now. */
	toolbox_free(s->toolbox);
	pulse_free(s->pulse);
	if (s->children)
		children_end(s->children);
	children_free(s->children);
	outbox_free(s->outbox);
	tenure_end(s->tenure);
}

/* The host may have taken us for alive, and need not start another container for what it wrote. */
static bool session_has_missed(const struct session *s)
{
	if (!s->leaving || !lookout_has_changed(s->lookout))
		return false;
	log_info("%s has changed at the last moment: starting anew",
		 tenure_path(s->tenure, TENURE_INBOUND));
	return true;
}

static void session_free(struct session *s)
{
	inbound_close(s->inbound);
	lookout_free(s->lookout);
	settled_free(s->settled);
	loop_timer_free(s->stop);
	loop_timer_free(s->rest);
	loop_free(s->loop);
	config_free(s->config);
	secrets_free(s->secrets);
	tenure_free(s->tenure);
}

int session_run(const struct runner_options *options)
{
	struct session s = { .options = options };
	struct err err = { "" };
	int r = tenure_new(options->workspace, &s.tenure);

	if (r < 0)
		(void)err_sys(&err, r, "cannot start the session");
	else
		r = session_setup(&s, &err);
	if (r == 0) {
		session_look(&s, true);
		/* Whatever came of the look: others may wait for the tools' socket (`docker exec`). */
		(void)conversation_prepare(s.conversation);
		r = loop_run(s.loop, &err);
	}
	if (r == -EINTR) {
		log_info("%s", err.text);
		r = 0;
	} else if (r < 0) {
		/* Of that session_on_taken() has told. */
		if (!s.taken)
			log_error("%s", err.text);
		r = session_exit_code(&s, r);
	}
	session_close(&s);
	if (r == 0 && session_has_missed(&s))
		r = EXIT_CODE_INTERNAL;
	session_free(&s);
	return r;
}
