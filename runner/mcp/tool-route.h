#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Where the rows of tools go: to a destination that the model names, to the place that the session
 * belongs to, or to where a message stands already. Each function reads the host's file anew. What
 * returns false has ended the call with an error that tells the model what to do, or has put it off
 * while the file is locked: the handler returns.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/quote.h"
#include "runner/mcp/call.h"

struct tool_route {
	char *name; /* of the destination, as the host spells it; NULL: the place has none */
	struct inbound_address address;
	char *in_reply_to; /* what the turn in progress answers; NULL: unknown */
};

void tool_route_deinit(struct tool_route *route);

/*
 * The destination of this name, blanks around it left out, in the session's thread if it is the
 * session's own place. to NULL or blank: the session's place, without one the only destination
 * there is.
 */
bool tool_route_find(struct call *call, const char *to, struct tool_route *ret_route);

/* The session's place, without one the only destination: for what cannot be sent elsewhere. */
bool tool_route_own(struct call *call, struct tool_route *ret_route);

/* The session's place as it is, all NULL if there is none: for what may do without. */
bool tool_route_session(struct call *call, struct tool_route *ret_route);

/*
 * Where the message of this number stands. The name by which its platform knows it is the caller's,
 * without what the host appends where several agents share a chat.
 */
bool tool_route_target(struct call *call, int64_t seq, char **ret_platform_id,
		       struct tool_route *ret_route);

/* What an answer calls the place. */
const char *tool_route_place(const struct tool_route *route, char buffer[QUOTE_SIZE]);

/* Puts the route's columns into a row; they stay the route's. */
void tool_route_apply(const struct tool_route *route, struct outbound_message *message);

#define cleanup_tool_route CLEANUP(tool_route_deinit)
