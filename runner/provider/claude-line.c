/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-line.h"

#include <string.h>

#include "runner/io/json.h"

/* Begins a control request; the caller appends more members and closes it. */
static void claude_line_request(struct strbuf *out, const char *id, const char *subtype)
{
	strbuf_puts(out, "{\"type\":\"control_request\",\"request_id\":");
	json_append_string(out, id, strlen(id));
	strbuf_printf(out, ",\"request\":{\"subtype\":\"%s\"", subtype);
}

void claude_line_initialize(struct strbuf *out, const char *id, const char *instructions)
{
	claude_line_request(out, id, "initialize");
	strbuf_puts(out, ",\"hooks\":{}");
	if (instructions) {
		strbuf_puts(out, ",\"appendSystemPrompt\":");
		json_append_string(out, instructions, strlen(instructions));
	}
	strbuf_puts(out, "}}\n");
}

void claude_line_interrupt(struct strbuf *out, const char *id)
{
	claude_line_request(out, id, "interrupt");
	strbuf_puts(out, "}}\n");
}

void claude_line_mcp_status(struct strbuf *out, const char *id)
{
	claude_line_request(out, id, "mcp_status");
	strbuf_puts(out, "}}\n");
}

void claude_line_cancel(struct strbuf *out, const char *id, const char *uuid)
{
	claude_line_request(out, id, "cancel_async_message");
	strbuf_puts(out, ",\"message_uuid\":");
	json_append_string(out, uuid, strlen(uuid));
	strbuf_puts(out, "}}\n");
}

void claude_line_user(struct strbuf *out, const char *uuid, const char *text, size_t len)
{
	strbuf_puts(out, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":");
	json_append_string(out, text, len);
	strbuf_puts(out, "},\"parent_tool_use_id\":null,\"session_id\":\"\",\"uuid\":");
	json_append_string(out, uuid, strlen(uuid));
	strbuf_puts(out, "}\n");
}

void claude_line_refuse(struct strbuf *out, const char *id)
{
	strbuf_puts(out, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
			 "\"request_id\":");
	json_append_string(out, id, strlen(id));
	strbuf_puts(out, ",\"error\":\"not supported\"}}\n");
}
