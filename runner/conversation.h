#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The agent and the turn as one thing: gives the agent what the turn has for it, leads the agent's
 * events back to the turn, tries again, starts anew, interrupts, and ends. Owns both of them, and
 * the destinations that they go by.
 */
#include <stdbool.h>

#include "common/err.h"
#include "runner/config.h"
#include "runner/outbox.h"
#include "runner/pulse.h"
#include "runner/secrets.h"
#include "runner/store/inbound.h"
#include "runner/toolbox.h"
#include "runner/turn.h"

struct conversation;

struct conversation_events {
	/* Something changed that lets messages be taken which had to wait: look at the inbox. */
	void (*look)(void *userdata);
	/* The agent has worked without a turn: what a task of its own had brought, for instance. */
	void (*worked)(void *userdata);
	/* The agent ended, as conversation_end() asked. */
	void (*ended)(void *userdata);
	/* What became of one of the agent's MCP servers. */
	void (*server)(void *userdata, const char *name, const char *status);
};

struct conversation_options {
	struct loop *loop;
	struct children *children;
	const struct config *config;
	const char *workspace;
	const char *inbound_path;
	struct outbound *outbound;
	struct outbox *outbox;
	struct pulse *pulse;
	struct toolbox *toolbox;       /* what the agent is given for its tools */
	const struct secrets *secrets; /* and for its environment; may be NULL */
};

/* 0; -ENOENT: no such provider; or another -errno. Starts nothing. */
int conversation_new(const struct conversation_options *options,
		     const struct conversation_events *events, void *userdata,
		     struct conversation **ret_conversation, struct err *err);
/* Kills an agent that still runs. */
void conversation_free(struct conversation *c);

/*
 * The destinations as last seen, taken over (left empty). The agent's instructions name them; they
 * reach it with its next start. 0 or -ENOMEM.
 */
int conversation_set_destinations(struct conversation *c,
				  struct inbound_destinations *destinations);

/* They, borrowed until the next call of conversation_set_destinations(). */
const struct inbound_destinations *conversation_destinations(const struct conversation *c);

/*
 * Makes what an agent is to find: the runtime directory with the tools' socket, and the folder of
 * attachments. Before each start of an agent it is done by itself. 0 or -ENOMEM.
 */
int conversation_prepare(struct conversation *c);

/* Starts the agent before there is a message for it. After conversation_set_destinations(). */
void conversation_warm(struct conversation *c);

/* Hands messages on; see turn_add(). */
int conversation_take(struct conversation *c, struct turn_input *input, struct err *err);

/* /clear: forgets the conversation, answers and acknowledges the row. */
void conversation_clear(struct conversation *c, const struct inbound_row *row);
/* /stop: interrupts the turn, answers and acknowledges the row. */
void conversation_interrupt(struct conversation *c, const struct inbound_row *row);

/* The agent has been silent for too long: interrupts it, ends it if need be, and tries again. */
void conversation_on_silence(struct conversation *c, int64_t silent_ms);

/* See turn_note(). */
void conversation_note(struct conversation *c, const char *text, const struct outbound_state *mark);

/* One of its tools is about to write: what it said before is sent first. */
void conversation_send_held(struct conversation *c);
/* One of its tools delivers something: see turn_note_sent(). */
void conversation_note_sent(struct conversation *c, const char *to, const char *thread,
			    const char *text);

/* See turn_give_up(). */
void conversation_give_up(struct conversation *c, const struct inbound_row *row);

/* A turn runs. */
bool conversation_is_active(const struct conversation *c);
/* The message of this id is claimed and not yet answered. */
bool conversation_holds(const struct conversation *c, const char *id);
/* It takes no more messages at present. */
bool conversation_is_full(const struct conversation *c);
/* A failed turn waits for its next try. */
bool conversation_is_waiting(const struct conversation *c);
/* Have the agent's commands been announced, or will they never be? */
bool conversation_knows_commands(const struct conversation *c);
/* command_known_fn, with the conversation as its userdata. */
bool conversation_has_command(void *conversation, const char *word);

/*
 * Ends an agent that has nothing to do; the next message starts it again, in the same conversation,
 * and look() follows its end. 0, also if none runs; -EBUSY: it has something to do.
 */
int conversation_rest(struct conversation *c);
/* An agent runs, or is about to end. */
bool conversation_has_agent(const struct conversation *c);

/* Asks the agent to end within kill_after_ms, no event but ended() follows. False: none runs. */
bool conversation_end(struct conversation *c, int64_t kill_after_ms);
