/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-line.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "runner/io/json.h"
#include "runner/provider/acp-error.h"

/* Around what is ours in a prompt, as in everything else that we tell an agent. */
#define ACP_LINE_OPEN  "<system>\n"
#define ACP_LINE_CLOSE "\n</system>\n\n"

static void acp_line_string(struct strbuf *out, const char *name, const char *value)
{
	strbuf_printf(out, "\"%s\":", name);
	json_append_string(out, value, strlen(value));
}

/* Begins a request; the caller appends members of params and closes both. */
static void acp_line_request(struct strbuf *out, int64_t id, const char *method)
{
	strbuf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"method\":\"%s\",\"params\":{",
		      id, method);
}

void acp_line_initialize(struct strbuf *out, int64_t id)
{
	acp_line_request(out, id, "initialize");
	strbuf_puts(out, "\"protocolVersion\":1,\"clientCapabilities\":{\"fs\":{\"readTextFile\":"
			 "false,\"writeTextFile\":false},\"terminal\":false}}}\n");
}

void acp_line_authenticate(struct strbuf *out, int64_t id, const char *method)
{
	acp_line_request(out, id, "authenticate");
	acp_line_string(out, "methodId", method);
	strbuf_puts(out, "}}\n");
}

/* MCP servers */

/* An object's members as ACP wants them: [{"name":…,"value":…}]. */
static void acp_line_pairs(struct strbuf *out, const char *name, json_t *object)
{
	const char *key, *separator = "";
	json_t *value;

	strbuf_printf(out, ",\"%s\":[", name);
	json_object_foreach(object, key, value)
	{
		if (!json_is_string(value))
			continue;
		strbuf_printf(out, "%s{", separator);
		acp_line_string(out, "name", key);
		strbuf_puts(out, ",\"value\":");
		json_append_string(out, json_string_value(value), json_string_length(value));
		strbuf_putc(out, '}');
		separator = ",";
	}
	strbuf_putc(out, ']');
}

static void acp_line_remote_server(struct strbuf *out, const char *name, const json_t *server,
				   const char *type)
{
	const char *url = json_member_string(server, "url");

	strbuf_putc(out, '{');
	acp_line_string(out, "type", type);
	strbuf_putc(out, ',');
	acp_line_string(out, "name", name);
	strbuf_putc(out, ',');
	acp_line_string(out, "url", url ? url : "");
	acp_line_pairs(out, "headers", json_member(server, "headers"));
	strbuf_putc(out, '}');
}

static void acp_line_local_server(struct strbuf *out, const char *name, const json_t *server,
				  const char *command)
{
	const json_t *args = json_member(server, "args");

	strbuf_putc(out, '{');
	acp_line_string(out, "name", name);
	strbuf_putc(out, ',');
	acp_line_string(out, "command", command);
	strbuf_puts(out, ",\"args\":");
	if (args)
		json_append_compact(out, args);
	else
		strbuf_puts(out, "[]");
	acp_line_pairs(out, "env", json_member(server, "env"));
	strbuf_putc(out, '}');
}

static void acp_line_servers(struct strbuf *out, const struct acp_line_session *spec)
{
	/* jansson iterates over what it does not change, but takes no const. */
	json_t *servers = (json_t *)(uintptr_t)spec->servers, *server;
	const char *name, *separator = "";

	strbuf_puts(out, ",\"mcpServers\":[");
	json_object_foreach(servers, name, server)
	{
		const char *command = json_member_string(server, "command");
		const char *type = json_member_string(server, "type");
		bool is_sse = type && strcmp(type, "sse") == 0;

		if (!command && !(is_sse ? spec->has_sse : spec->has_http)) {
			log_warning("the agent cannot reach the MCP server \"%s\": left out", name);
			continue;
		}
		strbuf_puts(out, separator);
		if (command)
			acp_line_local_server(out, name, server, command);
		else
			acp_line_remote_server(out, name, server, is_sse ? "sse" : "http");
		separator = ",";
	}
	strbuf_putc(out, ']');
}

/* Sessions */

static void acp_line_instructions(struct strbuf *out, const struct acp_line_session *spec)
{
	switch (spec->prompt) {
	case ACP_LINE_NO_PROMPT:
		break;
	case ACP_LINE_META_PROMPT:
		strbuf_puts(out, ",\"_meta\":{\"systemPrompt\":{");
		acp_line_string(out, "append", spec->instructions);
		strbuf_puts(out, "}}");
		break;
	case ACP_LINE_SYSTEM_PROMPT:
		strbuf_puts(out, ",\"systemPrompt\":{\"mode\":\"append\",\"content\":[{"
				 "\"type\":\"text\",");
		acp_line_string(out, "text", spec->instructions);
		strbuf_puts(out, "}]}");
		break;
	}
}

void acp_line_session(struct strbuf *out, int64_t id, const struct acp_line_session *spec)
{
	acp_line_request(out, id, spec->method);
	if (spec->session) {
		acp_line_string(out, "sessionId", spec->session);
		strbuf_putc(out, ',');
	}
	acp_line_string(out, "cwd", spec->cwd);
	acp_line_servers(out, spec);
	acp_line_instructions(out, spec);
	strbuf_puts(out, "}}\n");
}

void acp_line_set_mode(struct strbuf *out, int64_t id, const char *session, const char *mode)
{
	acp_line_request(out, id, "session/set_mode");
	acp_line_string(out, "sessionId", session);
	strbuf_putc(out, ',');
	acp_line_string(out, "modeId", mode);
	strbuf_puts(out, "}}\n");
}

void acp_line_prompt(struct strbuf *out, int64_t id, const char *session, const char *instructions,
		     const char *text, size_t len)
{
	cleanup_strbuf struct strbuf whole = STRBUF_EMPTY;

	if (instructions) {
		strbuf_printf(&whole, ACP_LINE_OPEN "%s" ACP_LINE_CLOSE, instructions);
		if (strbuf_append(&whole, text, len) < 0) {
			out->error = whole.error;
			return;
		}
		text = whole.data;
		len = whole.len;
	}
	acp_line_request(out, id, "session/prompt");
	acp_line_string(out, "sessionId", session);
	strbuf_puts(out, ",\"prompt\":[{\"type\":\"text\",\"text\":");
	json_append_string(out, text, len);
	strbuf_puts(out, "}]}}\n");
}

void acp_line_cancel(struct strbuf *out, const char *session)
{
	strbuf_puts(out, "{\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\",\"params\":{");
	acp_line_string(out, "sessionId", session);
	strbuf_puts(out, "}}\n");
}

/* Answers */

static void acp_line_answer(struct strbuf *out, const json_t *id)
{
	strbuf_puts(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_append_compact(out, id);
}

void acp_line_permit(struct strbuf *out, const json_t *id, const char *option)
{
	acp_line_answer(out, id);
	strbuf_puts(out, ",\"result\":{\"outcome\":{");
	if (option) {
		strbuf_puts(out, "\"outcome\":\"selected\",");
		acp_line_string(out, "optionId", option);
	} else {
		strbuf_puts(out, "\"outcome\":\"cancelled\"");
	}
	strbuf_puts(out, "}}}\n");
}

void acp_line_refuse(struct strbuf *out, const json_t *id)
{
	acp_line_answer(out, id);
	strbuf_printf(out, ",\"error\":{\"code\":%d,\"message\":\"Method not found\"}}\n",
		      ACP_ERROR_METHOD_NOT_FOUND);
}
