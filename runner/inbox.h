#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One look at inbound.db: what is due, and what each row is to the session: chat to be handed to
 * the agent, a slash command that stands alone, or something to be dealt with beside the batch.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "runner/message/command.h"
#include "runner/store/inbound-batch.h"
#include "runner/store/inbound-lookup.h"
#include "runner/store/outbound.h"
#include "runner/store/settled.h"

struct inbox_view {
	const char *inbound_path;
	struct inbound **inbound; /* kept from one look to the next; NULL before the first */
	struct outbound *outbound;
	size_t limit;	     /* rows in one prompt */
	bool first_look;     /* of this container */
	bool turn_is_active; /* commands wait, /stop does not */
	bool turn_is_full;   /* it takes nothing more yet; /stop is still seen */
	bool commands_known; /* the agent has announced its commands, or never will */
	command_known_fn *known;
	void *userdata; /* of known */
	/* Does a tool of the agent wait for this row of kind system? */
	bool (*is_awaited)(void *awaited_userdata, const struct inbound_row *row);
	void *awaited_userdata;
	/* Is the message of this id in our hands? Its claim may be gone: a host may clear claims. */
	bool (*is_held)(void *held_userdata, const char *id);
	void *held_userdata;
	int64_t failures_seen;	 /* for inbound_failures() */
	struct settled *settled; /* what earlier looks found done; NULL: all is read */
};

/* Why a row stands beside the batch. */
enum inbox_aside {
	INBOX_SYSTEM,	    /* answers a tool of the agent, or comes too late for it */
	INBOX_TASK,	    /* its script decides whether the agent is woken */
	INBOX_STOP,	    /* /stop while a turn runs */
	INBOX_UNKNOWN_KIND, /* to be acknowledged as failed */
	INBOX_OVERSIZE,	    /* the same, and its sender is told */
	INBOX_GIVEN_UP,	    /* the same: CONFIG_ATTEMPTS attempts at it broke off */
};

struct inbox_look {
	struct inbound_batch batch;
	struct inbound_destinations destinations;
	struct inbound_failures failures; /* looked for where the batch has rows */
	enum command command; /* the batch is one row, and this command; else COMMAND_NONE */
	char *command_text;   /* raw, for COMMAND_AGENT */
	/* The batch is one task, and this is what its script put out in an earlier attempt. */
	char *script_output;
};

/* 0, or <0 as the functions of inbound.h. */
int inbox_look(const struct inbox_view *view, struct inbox_look *ret_look, struct err *err);
void inbox_look_deinit(struct inbox_look *look);

/* Why this row of batch.aside is there. */
enum inbox_aside inbox_aside_reason(const struct inbound_row *row);
