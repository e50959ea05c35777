/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-message.h"

#include "runner/io/json.h"
#include "runner/mcp/tool-route.h"
#include "runner/mcp/tool-row.h"

/* The session learns of it before the row is queued, so that words said before stand before it. */
static void tool_message_tell(const struct call *call, const struct tool_route *route,
			      const char *text)
{
	const struct call_context *context = call_context(call);

	context->services->sent(context->userdata, route->name, route->address.thread_id, text);
}

void tool_message_send(struct call *call, const json_t *arguments)
{
	cleanup_tool_route struct tool_route route = { .name = NULL };
	struct outbound_message message = { .kind = "chat" };
	json_t *text = json_member(arguments, "text");
	char place[QUOTE_SIZE];

	if (!tool_route_find(call, json_member_string(arguments, "to"), &route))
		return;
	tool_route_apply(&route, &message);
	tool_message_tell(call, &route, json_string_value(text));
	tool_row_send(call, &message, json_pack("{s:O}", "text", text), "Sent to %s.",
		      tool_route_place(&route, place));
}

/* A change of a message that stands in a chat already. */
static void tool_message_change(struct call *call, const json_t *arguments, const char *operation,
				const char *member, const char *answer)
{
	cleanup_tool_route struct tool_route route = { .name = NULL };
	cleanup_free char *id = NULL;
	struct outbound_message message = { .kind = "chat" };
	json_int_t seq = schema_seq(arguments, "messageId");

	if (!tool_route_target(call, seq, &id, &route))
		return;
	tool_route_apply(&route, &message);
	tool_row_write(call, &message,
		       json_pack("{s:s, s:o, s:O}", "operation", operation, "messageId",
				 json_string_nocheck(id), member, json_member(arguments, member)),
		       "%s %" JSON_INTEGER_FORMAT " is on its way.", answer, seq);
}

void tool_message_edit(struct call *call, const json_t *arguments)
{
	tool_message_change(call, arguments, "edit", "text", "The new text of message");
}

void tool_message_react(struct call *call, const json_t *arguments)
{
	tool_message_change(call, arguments, "reaction", "emoji", "The reaction to message");
}

void tool_message_card(struct call *call, const json_t *arguments)
{
	cleanup_tool_route struct tool_route route = { .name = NULL };
	struct outbound_message message = { .kind = "chat-sdk" };
	const char *fallback = json_member_string(arguments, "fallbackText");
	char place[QUOTE_SIZE];

	if (!tool_route_own(call, &route))
		return;
	tool_route_apply(&route, &message);
	tool_message_tell(call, &route, NULL);
	tool_row_send(call, &message,
		      json_pack("{s:s, s:O, s:s}", "type", "card", "card",
				json_member(arguments, "card"), "fallbackText",
				fallback ? fallback : ""),
		      "The card is sent to %s.", tool_route_place(&route, place));
}
