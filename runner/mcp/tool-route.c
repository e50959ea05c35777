/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-route.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "runner/message/blank.h"
#include "runner/message/route.h"
#include "runner/store/inbound-lookup.h"
#include "runner/store/outbound-lookup.h"

/* An error lists no more names than this. */
#define TOOL_ROUTE_NAMES_MAX 50

/* One look at the host's file. */
struct tool_route_look {
	struct inbound *inbound;
	struct inbound_address session;
	bool has_session;
	struct inbound_destinations destinations; /* read when they are needed */
};

void tool_route_deinit(struct tool_route *route)
{
	free(route->name);
	inbound_address_deinit(&route->address);
	free(route->in_reply_to);
	*route = (struct tool_route){ .name = NULL };
}

const char *tool_route_place(const struct tool_route *route, char buffer[QUOTE_SIZE])
{
	return route->name ? quote(buffer, route->name, strlen(route->name))
			   : "the chat of this session";
}

void tool_route_apply(const struct tool_route *route, struct outbound_message *message)
{
	message->in_reply_to = route->in_reply_to;
	message->channel_type = route->address.channel_type;
	message->platform_id = route->address.platform_id;
	message->thread_id = route->address.thread_id;
}

static bool tool_route_is_somewhere(const struct inbound_address *address)
{
	return address->channel_type && address->channel_type[0] && address->platform_id &&
	       address->platform_id[0];
}

static void tool_route_close(struct tool_route_look *look)
{
	inbound_destinations_deinit(&look->destinations);
	inbound_address_deinit(&look->session);
	inbound_close(look->inbound);
}

#define cleanup_tool_route_look CLEANUP(tool_route_close)

/* A file cannot be read: the call is put off, or ends with that. */
static bool tool_route_unreadable(struct call *call, int error, const struct err *err)
{
	if (call_later(call, error))
		return false;
	call_fail(call,
		  "Nothing was done, since the session's files cannot be read at the moment: "
		  "%s. Try again.",
		  err->text);
	return false;
}

static bool tool_route_open(struct call *call, struct tool_route_look *look)
{
	struct err err = { "" };
	int r = inbound_try(call_context(call)->inbound_path, &look->inbound, &err);

	if (r == 0)
		r = inbound_session_address(look->inbound, &look->session, &err);
	if (r < 0)
		return tool_route_unreadable(call, r, &err);
	look->has_session = r > 0 && tool_route_is_somewhere(&look->session);
	return true;
}

/* Makes a route, all copied. False: the call has ended. */
static bool tool_route_make(struct call *call, const char *name,
			    const struct inbound_address *address, struct tool_route *ret_route)
{
	const struct {
		const char *from;
		char **to;
	} parts[] = {
		{ name, &ret_route->name },
		{ address->channel_type, &ret_route->address.channel_type },
		{ address->platform_id, &ret_route->address.platform_id },
		{ address->thread_id, &ret_route->address.thread_id },
		{ outbound_in_reply_to(call_context(call)->outbound), &ret_route->in_reply_to },
	};

	*ret_route = (struct tool_route){ .name = NULL };
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		*parts[i].to = parts[i].from ? strdup(parts[i].from) : NULL;
		if (parts[i].from && !*parts[i].to) {
			tool_route_deinit(ret_route);
			call_answer_text(call, NULL);
			return false;
		}
	}
	return true;
}

/* The destinations as the session knows them. */
static const struct inbound_destinations *tool_route_known(const struct call *call)
{
	const struct call_context *context = call_context(call);

	return context->services->destinations(context->userdata);
}

/* The name of the destination with this address; NULL: there is none. */
static const char *tool_route_name(const struct call *call, const struct inbound_address *address)
{
	const struct inbound_destination *row = route_by_address(
		tool_route_known(call), address->channel_type, address->platform_id);

	return row ? row->name : NULL;
}

/* The destinations as the host's file has them now. */
static bool tool_route_read_destinations(struct call *call, struct tool_route_look *look)
{
	struct err err = { "" };
	int r = inbound_destinations(look->inbound, &look->destinations, &err);

	if (r < 0)
		return tool_route_unreadable(call, r, &err);
	return true;
}

/* Ends the call with this and the names that there are. */
static bool tool_route_blame(struct call *call, const struct inbound_destinations *d,
			     const char *text)
{
	cleanup_strbuf struct strbuf names = STRBUF_EMPTY;
	char name[QUOTE_SIZE];

	for (size_t i = 0; i < d->count && i < TOOL_ROUTE_NAMES_MAX; i++) {
		if (i > 0)
			strbuf_puts(&names, ", ");
		strbuf_puts(&names, quote(name, d->rows[i].name, strlen(d->rows[i].name)));
	}
	if (d->count > TOOL_ROUTE_NAMES_MAX)
		strbuf_printf(&names, " and %zu more", d->count - TOOL_ROUTE_NAMES_MAX);
	if (d->count == 0)
		call_fail(call, "%s No destination is set up at present.", text);
	else
		call_fail(call, "%s The %s %s.", text, d->count == 1 ? "only name is" : "names are",
			  names.error ? "not to be had" : names.data);
	return false;
}

static bool tool_route_to(struct call *call, const struct tool_route_look *look,
			  const struct inbound_destination *to, struct tool_route *ret_route)
{
	struct inbound_address address = { to->channel_type, to->platform_id, NULL };
	char name[QUOTE_SIZE];

	if (!tool_route_is_somewhere(&address)) {
		call_fail(call, "The destination %s has no address at present.",
			  quote(name, to->name, strlen(to->name)));
		return false;
	}
	if (look->has_session && strcmp(address.channel_type, look->session.channel_type) == 0 &&
	    strcmp(address.platform_id, look->session.platform_id) == 0)
		address.thread_id = look->session.thread_id;
	return tool_route_make(call, to->name, &address, ret_route);
}

static bool tool_route_by_name(struct call *call, struct tool_route_look *look, const char *name,
			       struct tool_route *ret_route)
{
	const struct inbound_destination *to = route_by_name(tool_route_known(call), name);
	char quoted[QUOTE_SIZE], text[QUOTE_SIZE + 64];

	/* The host may have added it a moment ago. */
	if (!to && !tool_route_read_destinations(call, look))
		return false;
	if (!to)
		to = route_by_name(&look->destinations, name);
	if (to)
		return tool_route_to(call, look, to, ret_route);
	(void)snprintf(text, sizeof(text), "There is no destination named %s.",
		       quote(quoted, name, strlen(name)));
	return tool_route_blame(call, &look->destinations, text);
}

/* Without a name; advice: what the model can do if that leads nowhere. */
static bool tool_route_by_session(struct call *call, struct tool_route_look *look,
				  const char *advice, struct tool_route *ret_route)
{
	char text[256];

	if (look->has_session)
		return tool_route_make(call, tool_route_name(call, &look->session), &look->session,
				       ret_route);
	if (!tool_route_read_destinations(call, look))
		return false;
	if (look->destinations.count == 1)
		return tool_route_to(call, look, &look->destinations.rows[0], ret_route);
	(void)snprintf(text, sizeof(text), "This session has no chat of its own%s",
		       look->destinations.count ? advice : ".");
	return tool_route_blame(call, &look->destinations, text);
}

bool tool_route_find(struct call *call, const char *to, struct tool_route *ret_route)
{
	cleanup_tool_route_look struct tool_route_look look = { .inbound = NULL };
	cleanup_free char *name = NULL;
	size_t len = to ? strlen(to) : 0;

	/* As in <message to="…">, blanks around a name do not count. */
	blank_trim(&to, &len);
	name = strndup(len > 0 ? to : "", len);
	if (!name) {
		call_answer_text(call, NULL);
		return false;
	}
	if (!tool_route_open(call, &look))
		return false;
	if (name[0])
		return tool_route_by_name(call, &look, name, ret_route);
	return tool_route_by_session(call, &look, ": say in \"to\" where this goes.", ret_route);
}

bool tool_route_own(struct call *call, struct tool_route *ret_route)
{
	cleanup_tool_route_look struct tool_route_look look = { .inbound = NULL };

	if (!tool_route_open(call, &look))
		return false;
	return tool_route_by_session(call, &look,
				     ", where this could be shown: use send_message and its "
				     "\"to\" instead.",
				     ret_route);
}

bool tool_route_session(struct call *call, struct tool_route *ret_route)
{
	static const struct inbound_address nowhere = { .channel_type = NULL };
	cleanup_tool_route_look struct tool_route_look look = { .inbound = NULL };

	if (!tool_route_open(call, &look))
		return false;
	if (!look.has_session)
		return tool_route_make(call, NULL, &nowhere, ret_route);
	return tool_route_make(call, tool_route_name(call, &look.session), &look.session,
			       ret_route);
}

/* Cuts ":<agentGroupId>" off an id, if that is this session's own and not the whole id. */
static void tool_route_strip(char *id, const char *agent_group_id)
{
	size_t len = strlen(id), tail = strlen(agent_group_id);

	if (tail > 0 && len > tail + 1 && id[len - tail - 1] == ':' &&
	    strcmp(id + len - tail, agent_group_id) == 0)
		id[len - tail - 1] = '\0';
}

/* 1: the message is there; 0: it is not; <0. */
static int tool_route_look_up(struct call *call, const struct tool_route_look *look, int64_t seq,
			      char **ret_id, struct inbound_address *ret_address, struct err *err)
{
	const struct call_context *context = call_context(call);
	cleanup_free char *own = NULL;
	int r = inbound_find(look->inbound, seq, ret_id, ret_address, err);

	if (r > 0)
		tool_route_strip(*ret_id, context->agent_group_id);
	if (r != 0)
		return r;
	outbound_wait_for_nobody(context->outbound, true);
	r = outbound_find(context->outbound, seq, &own, ret_address, err);
	outbound_wait_for_nobody(context->outbound, false);
	if (r <= 0)
		return r;
	r = inbound_delivered_id(look->inbound, own, ret_id, err);
	/* Until it is delivered the host alone can tell which message is meant. */
	if (r == 0)
		*ret_id = steal_ptr(own);
	return r < 0 ? r : 1;
}

bool tool_route_target(struct call *call, int64_t seq, char **ret_platform_id,
		       struct tool_route *ret_route)
{
	cleanup_tool_route_look struct tool_route_look look = { .inbound = NULL };
	CLEANUP(inbound_address_deinit) struct inbound_address address = { .channel_type = NULL };
	cleanup_free char *id = NULL;
	struct err err = { "" };
	int r;

	if (!tool_route_open(call, &look))
		return false;
	r = tool_route_look_up(call, &look, seq, &id, &address, &err);
	if (r < 0)
		return tool_route_unreadable(call, r, &err);
	if (r == 0) {
		call_fail(call, "There is no message with the id %" PRId64 ".", seq);
		return false;
	}
	if (!tool_route_is_somewhere(&address)) {
		call_fail(call, "Message %" PRId64 " stands in no chat.", seq);
		return false;
	}
	if (!tool_route_make(call, tool_route_name(call, &address), &address, ret_route))
		return false;
	*ret_platform_id = steal_ptr(id);
	return true;
}
