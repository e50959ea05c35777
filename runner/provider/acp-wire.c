/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"

/* The longest text of one message: what comes behind it is left out. */
#define ACP_WIRE_TEXT_MAX JSON_SIZE_MAX

struct acp_wire {
	struct acp_wire_events events;
	void *userdata;
	char *session;	    /* of the turn that runs; NULL: none does */
	json_t *commands;   /* set of names, without their slash */
	json_t *tools;	    /* set of the ids of tool calls of this turn; true: it runs */
	struct strbuf text; /* of the message that is being written */
	char *message;	    /* its id; NULL: the agent gives none */
	bool knows_commands;
	bool has_noise; /* a line that is not JSON was warned of, once is enough */
	bool is_cut;	/* the same of this message's length */
};

struct acp_wire *acp_wire_new(const struct acp_wire_events *events, void *userdata)
{
	struct acp_wire *wire = calloc(1, sizeof(*wire));

	if (!wire)
		return NULL;
	wire->events = *events;
	wire->userdata = userdata;
	wire->commands = json_object();
	wire->tools = json_object();
	if (!wire->commands || !wire->tools) {
		acp_wire_free(wire);
		return NULL;
	}
	return wire;
}

void acp_wire_free(struct acp_wire *wire)
{
	if (!wire)
		return;
	json_decref(wire->commands);
	json_decref(wire->tools);
	strbuf_deinit(&wire->text);
	free(wire->session);
	free(wire->message);
	free(wire);
}

/* Texts */

static void acp_wire_raise_text(struct acp_wire *wire)
{
	if (wire->text.len > 0)
		wire->events.text(wire->userdata, wire->text.data, wire->text.len);
}

static void acp_wire_end_message(struct acp_wire *wire)
{
	acp_wire_raise_text(wire);
	strbuf_reset(&wire->text);
	free(wire->message);
	wire->message = NULL;
	wire->is_cut = false;
}

static void acp_wire_append(struct acp_wire *wire, const char *text, size_t len)
{
	if (wire->is_cut)
		return;
	wire->is_cut = len > ACP_WIRE_TEXT_MAX - wire->text.len ||
		       strbuf_append(&wire->text, text, len) < 0;
	if (wire->is_cut)
		log_warning("a text of the agent is too long: its end is left out");
}

/*
 * Stands for content that is no text (the schema's ContentBlock): a channel takes text only, and a
 * turn of nothing else would end in silence. A file's words are taken where it brings them along.
 */
static void acp_wire_append_block(struct acp_wire *wire, const json_t *content, const char *type)
{
	const json_t *resource = json_member(content, "resource");
	const json_t *words = json_member(resource, "text");
	const char *uri = json_member_string(resource ? resource : content, "uri");
	cleanup_strbuf struct strbuf stand_in = STRBUF_EMPTY;

	if (json_is_string(words)) {
		acp_wire_append(wire, json_string_value(words), json_string_length(words));
		return;
	}
	if (strbuf_printf(&stand_in, "[%s%s%s]", type, uri ? ": " : "", uri ? uri : "") == 0)
		acp_wire_append(wire, stand_in.data, stand_in.len);
}

static void acp_wire_chunk(struct acp_wire *wire, const json_t *update)
{
	const json_t *content = json_member(update, "content");
	const json_t *text = json_member(content, "text");
	const char *type = json_member_name(content, "type");
	const char *message = json_member_string(update, "messageId");

	if (!json_is_string(text) && (!type || strcmp(type, "text") == 0))
		return;
	if (message && wire->message && strcmp(message, wire->message) != 0)
		acp_wire_end_message(wire);
	if (message && !wire->message)
		wire->message = strdup(message);
	if (json_is_string(text))
		acp_wire_append(wire, json_string_value(text), json_string_length(text));
	else
		acp_wire_append_block(wire, content, type);
}

/* Tools */

static bool acp_wire_has_ended(const json_t *update)
{
	const char *status = json_member_string(update, "status");

	return status && (strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0);
}

/* What it is for; a title may hold what the agent works on, and is taken where that says nothing. */
static const char *acp_wire_tool_name(const json_t *update)
{
	const char *kind = json_member_name(update, "kind");
	const char *title = json_member_name(update, "title");

	if (kind && *kind && strcmp(kind, "other") != 0)
		return kind;
	return title && *title ? title : "tool";
}

/* The first sight of its id is its start, wherever that is. */
static void acp_wire_see_tool(struct acp_wire *wire, const json_t *update)
{
	const char *id = json_member_name(update, "toolCallId");

	if (!id)
		return;
	if (!json_object_get(wire->tools, id)) {
		acp_wire_end_message(wire);
		if (json_object_set_new(wire->tools, id, json_true()) < 0)
			return;
		wire->events.tool_start(wire->userdata, id, acp_wire_tool_name(update));
	}
	if (acp_wire_has_ended(update) && json_is_true(json_object_get(wire->tools, id))) {
		(void)json_object_set_new(wire->tools, id, json_false());
		wire->events.tool_end(wire->userdata, id);
	}
}

/* Updates */

static void acp_wire_commands(struct acp_wire *wire, const json_t *update)
{
	const json_t *command;
	size_t i;

	wire->knows_commands = true;
	json_object_clear(wire->commands);
	json_array_foreach(json_member(update, "availableCommands"), i, command)
	{
		const char *name = json_member_name(command, "name");

		if (name)
			json_object_set_new(wire->commands, *name == '/' ? name + 1 : name,
					    json_true());
	}
}

static void acp_wire_update(struct acp_wire *wire, const json_t *params)
{
	static const struct {
		const char *name;
		void (*take)(struct acp_wire *wire, const json_t *update);
		bool is_turns; /* it belongs to a turn, and to that one's session */
	} rows[] = {
		{ "agent_message_chunk", acp_wire_chunk, true },
		{ "tool_call", acp_wire_see_tool, true },
		{ "tool_call_update", acp_wire_see_tool, true },
		{ "available_commands_update", acp_wire_commands, false },
	};
	const json_t *update = json_member(params, "update");
	const char *name = json_member_name(update, "sessionUpdate");
	const char *session = json_member_name(params, "sessionId");
	bool is_ours = wire->session && session && strcmp(session, wire->session) == 0;

	for (size_t i = 0; name && i < ARRAY_LEN(rows); i++)
		if (strcmp(name, rows[i].name) == 0 && (is_ours || !rows[i].is_turns)) {
			rows[i].take(wire, update);
			return;
		}
}

/* A tool may be named first where the agent asks for its permission. */
static void acp_wire_request(struct acp_wire *wire, const json_t *id, const char *method,
			     const json_t *params)
{
	const json_t *tool = json_member(params, "toolCall");

	if (tool && wire->session)
		acp_wire_see_tool(wire, tool);
	wire->events.request(wire->userdata, id, method, params);
}

/* Lines */

void acp_wire_line(struct acp_wire *wire, const char *line, size_t len)
{
	cleanup_json json_t *value = NULL;
	const json_t *id, *params;
	const char *method;
	struct err err;

	if (len == 0 || line[0] != '{') {
		log_debug("the agent's noise: %.200s", line);
		return;
	}
	if (json_parse(line, len, &value, &err) < 0) {
		log_write(wire->has_noise ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
			  "a line of the agent is not JSON: %s", err.text);
		wire->has_noise = true;
		return;
	}
	id = json_member(value, "id");
	method = json_member_name(value, "method");
	params = json_member(value, "params");
	if (method && (json_is_integer(id) || json_is_string(id)))
		acp_wire_request(wire, id, method, params);
	else if (method && strcmp(method, "session/update") == 0)
		acp_wire_update(wire, params);
	else if (!method && json_is_integer(id))
		wire->events.answer(wire->userdata, json_integer_value(id),
				    json_member(value, "result"), json_member(value, "error"));
}

/* Turns */

int acp_wire_begin(struct acp_wire *wire, const char *session)
{
	free(wire->session);
	free(wire->message);
	wire->session = strdup(session);
	wire->message = NULL;
	strbuf_reset(&wire->text);
	json_object_clear(wire->tools);
	return wire->session ? 0 : -ENOMEM;
}

const char *acp_wire_end(struct acp_wire *wire, bool is_told, size_t *ret_len)
{
	const char *id;
	json_t *tool;

	json_object_foreach(wire->tools, id, tool) if (json_is_true(tool))
		wire->events.tool_end(wire->userdata, id);
	json_object_clear(wire->tools);
	free(wire->session);
	wire->session = NULL;
	if (is_told)
		acp_wire_raise_text(wire);
	*ret_len = wire->text.len;
	return wire->text.len > 0 ? wire->text.data : "";
}

bool acp_wire_knows_commands(const struct acp_wire *wire)
{
	return wire->knows_commands;
}

bool acp_wire_has_command(const struct acp_wire *wire, const char *word)
{
	return word[0] == '/' && json_object_get(wire->commands, word + 1);
}
