#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The agent's tools as the session sees them: owns the runtime directory and the MCP server in it,
 * gives the server what it needs of the session, and knows all MCP servers that the agent is given:
 * ours, and those of container.json.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/strbuf.h"
#include "runner/config.h"
#include "runner/outbox.h"
#include "runner/store/inbound.h"

struct toolbox;

struct toolbox_events {
	/* A tool is about to write a row: what the agent said before it goes first. */
	void (*writing)(void *userdata);
	/* A tool delivers something to people; see call_services.sent. */
	void (*sent)(void *userdata, const char *to, const char *thread, const char *text);
	/* The destinations as last seen. */
	const struct inbound_destinations *(*destinations)(void *userdata);
	/* The agent has to be told this. */
	void (*note)(void *userdata, const char *text);
};

struct toolbox_options {
	struct loop *loop;
	const struct config *config;
	const char *workspace;
	const char *self; /* our binary, which is the relay too */
	const char *inbound_path;
	struct outbound *outbound;
	struct outbox *outbox;
};

/* 0 or -ENOMEM. Makes nothing yet. */
int toolbox_new(const struct toolbox_options *options, const struct toolbox_events *events,
		void *userdata, struct toolbox **ret_toolbox);
void toolbox_free(struct toolbox *toolbox);

/* Removes what tools that were killed have left; once, as soon as nothing else is to be done. */
void toolbox_sweep(struct toolbox *toolbox);

/*
 * Before an agent starts: makes the runtime directory and its socket, and later makes them anew if
 * they are gone. Where that cannot be, or another session has them, it is logged, and the agent has
 * no tools of ours. Not in toolbox_new(): a message that waits is claimed before.
 */
void toolbox_prepare(struct toolbox *toolbox);

/* The process ends: the next one may take the socket's place at once. */
void toolbox_stop_listening(struct toolbox *toolbox);

/*
 * The MCP servers for the agent: an object of {command, args, env} by name. Borrowed; ours is added
 * to it by toolbox_prepare(), and so is what toolbox_env() returns.
 */
const json_t *toolbox_servers(const struct toolbox *toolbox);
/* The runtime directory; NULL if there is none, or none yet. */
const char *toolbox_folder(const struct toolbox *toolbox);
/* "AGENT_SOCKET=…" for the agent and what it starts, NULL-terminated. */
const char *const *toolbox_env(const struct toolbox *toolbox);
/*
 * The name under which a tool of ours is offered, or will be; NULL: it is not. Borrowed until the
 * next call.
 */
const char *toolbox_tool_name(struct toolbox *toolbox, const char *tool);

/* What became of the MCP servers, as the agent tells it; a failure is logged and noted once. */
void toolbox_on_server(struct toolbox *toolbox, const char *name, const char *status);

/* Does a call wait for this row of kind system? (struct inbox_view) */
bool toolbox_is_awaited(void *toolbox, const struct inbound_row *row);
/* Does a call wait for a person? */
bool toolbox_awaits_person(const struct toolbox *toolbox);
/* Does one wait for a person, or for the host? */
bool toolbox_awaits_answer(const struct toolbox *toolbox);

enum toolbox_verdict {
	TOOLBOX_ANSWERED, /* a call was answered with it */
	TOOLBOX_LATE,	  /* it answers a question for which nobody waits: *ret_text says so */
	TOOLBOX_STRAY,	  /* nobody ever asked, or the question had its answer before */
};

/*
 * Deals with a row of kind system: a verdict, with ret_text appended to; <0: what it answers cannot
 * be found out now, as outbound_read(), or -ENOMEM.
 *
 * *ret_question, a heap string of the caller's, is the id of the question that was answered, to be
 * acknowledged together with the row: what else answers it is stray from then on. NULL: none was.
 */
int toolbox_take(struct toolbox *toolbox, const struct inbound_row *row, char **ret_question,
		 struct strbuf *ret_text, struct err *err);
