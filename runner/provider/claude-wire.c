/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-wire.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/provider/claude-error.h"

/* The end of the year 9999: a later time is none. */
#define CLAUDE_WIRE_TIME_MAX_S 253402300800
/* A tool that says that it takes longer is not waited for any longer. */
#define CLAUDE_WIRE_TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)

struct claude_wire {
	struct claude_wire_events events;
	void *userdata;
	json_t *commands;	/* set of names, without their slash */
	json_t *tasks;		/* set of the ids of background work that lives */
	bool lists_tasks;	/* the CLI says at each change which those are (the new one does) */
	bool had_tasks;		/* some lived since the CLI was idle */
	int64_t tasks_ended_ms; /* monotonic, when the last of them did; 0: none did */
	/*
	 * Texts of a message that is still being streamed. If the connection breaks, the CLI gives the
	 * message up and asks the model anew, or lets it go on where it broke off: a text that was
	 * raised too early would be said twice, or in two halves.
	 */
	json_t *held;
	bool in_message; /* the API is streaming a message to the main agent */
	bool is_torn;	 /* what is held broke off; the next text goes on from there */
	bool is_limited; /* a usage limit rejected the last request */
	int64_t resets_at_ms;
	bool has_noise;	  /* a line that is not JSON was warned of, once is enough */
	char *error_kind; /* of the last text that reported an API error; NULL: none */
	json_t *result;	  /* the words of the last one; NULL: something has followed it */
};

struct claude_wire *claude_wire_new(const struct claude_wire_events *events, void *userdata)
{
	struct claude_wire *wire = calloc(1, sizeof(*wire));

	if (!wire)
		return NULL;
	wire->events = *events;
	wire->userdata = userdata;
	wire->commands = json_object();
	wire->tasks = json_object();
	wire->held = json_array();
	if (!wire->commands || !wire->tasks || !wire->held) {
		claude_wire_free(wire);
		return NULL;
	}
	return wire;
}

void claude_wire_free(struct claude_wire *wire)
{
	if (!wire)
		return;
	json_decref(wire->commands);
	json_decref(wire->tasks);
	json_decref(wire->held);
	json_decref(wire->result);
	free(wire->error_kind);
	free(wire);
}

/* Something has begun since the last result: the next one may say the same. */
static void claude_wire_go_on(struct claude_wire *wire)
{
	json_decref(wire->result);
	wire->result = NULL;
}

static bool claude_wire_is(const json_t *line, const char *name, const char *value)
{
	const char *found = json_member_string(line, name);

	return found && strcmp(found, value) == 0;
}

/* Lines of a subagent name the tool call that it runs in. */
static bool claude_wire_is_subagent(const json_t *line)
{
	return json_member(line, "parent_tool_use_id") != NULL;
}

/* Texts */

static void claude_wire_drop_held(struct claude_wire *wire)
{
	json_array_clear(wire->held);
	wire->is_torn = false;
}

static void claude_wire_raise_held(struct claude_wire *wire)
{
	cleanup_json json_t *texts = json_copy(wire->held);
	const json_t *text;
	size_t i;

	claude_wire_drop_held(wire);
	json_array_foreach(texts, i, text) wire->events.text(
		wire->userdata, json_string_value(text), json_string_length(text));
}

/* Appends to the last held text. 0 or -1. */
static int claude_wire_mend(struct claude_wire *wire, const json_t *text)
{
	size_t last = json_array_size(wire->held) - 1;
	const json_t *torn = json_array_get(wire->held, last);
	cleanup_strbuf struct strbuf whole = STRBUF_EMPTY;

	strbuf_append(&whole, json_string_value(torn), json_string_length(torn));
	if (strbuf_append(&whole, json_string_value(text), json_string_length(text)) < 0)
		return -1;
	return json_array_set_new(wire->held, last, json_stringn(whole.data, whole.len));
}

static void claude_wire_text(struct claude_wire *wire, json_t *text)
{
	bool is_torn = wire->is_torn && json_array_size(wire->held) > 0;
	int r;

	wire->is_torn = false;
	r = is_torn ? claude_wire_mend(wire, text) : json_array_append(wire->held, text);
	if (r < 0)
		log_warning("no memory for a text of the agent");
	if (!wire->in_message)
		claude_wire_raise_held(wire);
}

/*
 * Events of the API's stream, passed on by --include-partial-messages. They are a sign of life, and
 * they tell whether a message came to its end.
 */
static void claude_wire_stream_event(struct claude_wire *wire, const json_t *line)
{
	const json_t *event = json_member(line, "event");

	claude_wire_go_on(wire);
	if (claude_wire_is_subagent(line))
		return;
	if (claude_wire_is(event, "type", "message_start")) {
		/* No message_stop before it: the message was given up, and is asked for anew. */
		if (!wire->is_torn)
			claude_wire_drop_held(wire);
		wire->in_message = true;
	} else if (claude_wire_is(event, "type", "message_delta")) {
		wire->in_message = false;
		claude_wire_raise_held(wire);
	} else if (claude_wire_is(event, "type", "message_stop")) {
		/* Without message_delta: it broke off, and the model is told to go on from here. */
		wire->is_torn = json_array_size(wire->held) > 0;
		wire->in_message = false;
	}
}

/* The agent and its tools */

static void claude_wire_remember_error(struct claude_wire *wire, const char *kind)
{
	free(wire->error_kind);
	wire->error_kind = kind ? strdup(kind) : NULL;
}

static void claude_wire_tool_use(struct claude_wire *wire, const json_t *block)
{
	const char *id = json_member_string(block, "id"), *name = json_member_string(block, "name");

	int64_t timeout_ms = json_member_int(json_member(block, "input"), "timeout", -1);

	if (timeout_ms > CLAUDE_WIRE_TIMEOUT_MAX_MS)
		timeout_ms = CLAUDE_WIRE_TIMEOUT_MAX_MS;
	if (id && name)
		wire->events.tool_start(wire->userdata, id, name, timeout_ms);
}

static void claude_wire_assistant(struct claude_wire *wire, const json_t *line)
{
	const json_t *blocks = json_member(json_member(line, "message"), "content");
	const char *error = json_member_string(line, "error");
	bool is_subagent = claude_wire_is_subagent(line);
	const json_t *block;
	size_t i;

	claude_wire_go_on(wire);
	/* The CLI's words for an API error; the result repeats them as such. */
	if (error && !is_subagent)
		claude_wire_remember_error(wire, error);
	/* What an interrupt cut off was never finished. */
	if (error || json_member_bool(line, "aborted", false))
		return;
	json_array_foreach(blocks, i, block)
	{
		json_t *text = json_member(block, "text");

		if (claude_wire_is(block, "type", "tool_use")) {
			claude_wire_raise_held(wire);
			claude_wire_tool_use(wire, block);
		} else if (!is_subagent && claude_wire_is(block, "type", "text") &&
			   json_is_string(text)) {
			claude_wire_text(wire, text);
		}
	}
}

static void claude_wire_user(struct claude_wire *wire, const json_t *line)
{
	const json_t *blocks = json_member(json_member(line, "message"), "content");
	const char *uuid = json_member_string(line, "uuid");
	const json_t *block;
	size_t i;

	claude_wire_go_on(wire);
	if (json_member_bool(line, "isReplay", false)) {
		if (uuid)
			wire->events.replayed(wire->userdata, uuid);
		return;
	}
	json_array_foreach(blocks, i, block)
	{
		const char *id = json_member_string(block, "tool_use_id");

		if (id && claude_wire_is(block, "type", "tool_result"))
			wire->events.tool_end(wire->userdata, id);
	}
}

/* The result */

static const char *claude_wire_failure_text(const json_t *line, size_t *ret_len)
{
	const json_t *text = json_member(line, "result");

	if (!json_is_string(text))
		text = json_array_get(json_member(line, "errors"), 0);
	*ret_len = json_string_length(text);
	return json_is_string(text) ? json_string_value(text) : "";
}

/* Is it the same result again, with nothing between? */
static bool claude_wire_is_repetition(struct claude_wire *wire, const json_t *line)
{
	json_t *text = json_member(line, "result");
	bool repeats = wire->result && !json_member_bool(line, "is_error", false) &&
		       json_equal(wire->result, text);

	claude_wire_go_on(wire);
	wire->result = json_incref(text);
	return repeats;
}

static void claude_wire_result(struct claude_wire *wire, const json_t *line)
{
	struct claude_wire_result result = {
		.is_background =
			claude_wire_is(json_member(line, "origin"), "kind", "task-notification"),
		.is_repetition = claude_wire_is_repetition(wire, line),
		.is_broken_off = claude_wire_is(line, "subtype", "error_during_execution"),
		.answers = json_member(line, "user_message_uuids"),
	};
	struct claude_failure failure = {
		.status = json_member_int(line, "api_error_status", 0),
		.kind = wire->error_kind,
		.terminal_reason = json_member_string(line, "terminal_reason"),
		.is_limited = wire->is_limited,
		.resets_at_ms = wire->resets_at_ms,
	};

	result.text = claude_wire_failure_text(line, &result.text_len);
	if (json_member_bool(line, "is_error", false)) {
		failure.text = result.text;
		result.error =
			claude_error_classify(&failure, clock_realtime_ms(), &result.retry_at_ms);
		claude_wire_drop_held(wire);
	}
	claude_wire_remember_error(wire, NULL);
	wire->is_limited = false;
	wire->in_message = false;
	claude_wire_raise_held(wire);
	wire->events.result(wire->userdata, &result);
}

static void claude_wire_rate_limit(struct claude_wire *wire, const json_t *line)
{
	const json_t *info = json_member(line, "rate_limit_info");
	int64_t resets_at_s;

	wire->is_limited = claude_wire_is(info, "status", "rejected");
	resets_at_s = json_member_int(info, "resetsAt", 0);
	wire->resets_at_ms =
		resets_at_s > 0 && resets_at_s < CLAUDE_WIRE_TIME_MAX_S ? resets_at_s * 1000 : 0;
}

/* The system's lines */

static void claude_wire_add_command(struct claude_wire *wire, const char *name)
{
	if (name)
		json_object_set_new(wire->commands, *name == '/' ? name + 1 : name, json_true());
}

void claude_wire_servers(const struct claude_wire *wire, const json_t *servers)
{
	const json_t *server;
	size_t i;

	json_array_foreach(servers, i, server)
	{
		const char *name = json_member_string(server, "name");
		const char *status = json_member_string(server, "status");

		if (name && status)
			wire->events.server(wire->userdata, name, status);
	}
}

static void claude_wire_init(struct claude_wire *wire, const json_t *line)
{
	const char *conversation = json_member_string(line, "session_id");
	const json_t *name;
	size_t i;

	claude_wire_go_on(wire);
	json_array_foreach(json_member(line, "slash_commands"), i, name)
		claude_wire_add_command(wire, json_string_value(name));
	claude_wire_servers(wire, json_member(line, "mcp_servers"));
	if (conversation)
		wire->events.init(wire->userdata, conversation);
}

static void claude_wire_compacted(struct claude_wire *wire, const json_t *line)
{
	(void)line;
	wire->events.compacted(wire->userdata);
}

static void claude_wire_task_started(struct claude_wire *wire, const json_t *line)
{
	const char *id = json_member_string(line, "task_id");

	if (!id)
		return;
	json_object_set_new(wire->tasks, id, json_true());
	wire->had_tasks = true;
}

static void claude_wire_note_end(struct claude_wire *wire)
{
	if (!claude_wire_has_tasks(wire))
		wire->tasks_ended_ms = clock_monotonic_ms();
}

static void claude_wire_task_ended(struct claude_wire *wire, const json_t *line)
{
	const char *id = json_member_string(line, "task_id");

	if (id && json_object_del(wire->tasks, id) == 0)
		claude_wire_note_end(wire);
}

/* The new CLI lists all that live. */
static void claude_wire_tasks_changed(struct claude_wire *wire, const json_t *line)
{
	bool had = claude_wire_has_tasks(wire);
	const json_t *task;
	size_t i;

	wire->lists_tasks = true;
	json_object_clear(wire->tasks);
	json_array_foreach(json_member(line, "tasks"), i, task)
		claude_wire_task_started(wire, task);
	if (had)
		claude_wire_note_end(wire);
}

static void claude_wire_state(struct claude_wire *wire, const json_t *line)
{
	bool is_idle = claude_wire_is(line, "state", "idle");

	/* The old CLI is not idle before its tasks are done; an interrupted one has no other end. */
	if (is_idle && !wire->lists_tasks)
		json_object_clear(wire->tasks);
	if (is_idle)
		wire->had_tasks = claude_wire_has_tasks(wire);
	wire->events.idle(wire->userdata, is_idle);
}

struct claude_wire_row {
	const char *name;
	void (*take)(struct claude_wire *wire, const json_t *line);
};

static void claude_wire_take(struct claude_wire *wire, const json_t *line, const char *member,
			     const struct claude_wire_row *rows, size_t count)
{
	const char *name = json_member_string(line, member);

	for (size_t i = 0; name && i < count; i++)
		if (strcmp(name, rows[i].name) == 0) {
			rows[i].take(wire, line);
			return;
		}
}

static void claude_wire_system(struct claude_wire *wire, const json_t *line)
{
	static const struct claude_wire_row rows[] = {
		{ "init", claude_wire_init },
		{ "compact_boundary", claude_wire_compacted },
		{ "session_state_changed", claude_wire_state },
		{ "task_started", claude_wire_task_started },
		{ "task_notification", claude_wire_task_ended },
		{ "background_tasks_changed", claude_wire_tasks_changed },
	};

	claude_wire_take(wire, line, "subtype", rows, ARRAY_LEN(rows));
}

/* Control */

static void claude_wire_control_response(struct claude_wire *wire, const json_t *line)
{
	const json_t *answer = json_member(line, "response"), *command;
	const json_t *response = json_member(answer, "response");
	const char *id = json_member_string(answer, "request_id"), *error = NULL;
	size_t i;

	if (!claude_wire_is(answer, "subtype", "success")) {
		error = json_member_string(answer, "error");
		error = error ? error : "refused without a reason";
	}
	json_array_foreach(json_member(response, "commands"), i, command)
		claude_wire_add_command(wire, json_member_string(command, "name"));
	if (id)
		wire->events.answer(wire->userdata, id, response, error);
}

static void claude_wire_control_request(struct claude_wire *wire, const json_t *line)
{
	const char *id = json_member_string(line, "request_id");
	const char *subtype = json_member_string(json_member(line, "request"), "subtype");

	if (id)
		wire->events.request(wire->userdata, id, subtype ? subtype : "unnamed");
}

void claude_wire_line(struct claude_wire *wire, const char *line, size_t len)
{
	static const struct claude_wire_row rows[] = {
		{ "stream_event", claude_wire_stream_event },
		{ "assistant", claude_wire_assistant },
		{ "user", claude_wire_user },
		{ "system", claude_wire_system },
		{ "result", claude_wire_result },
		{ "rate_limit_event", claude_wire_rate_limit },
		{ "control_response", claude_wire_control_response },
		{ "control_request", claude_wire_control_request },
	};
	cleanup_json json_t *value = NULL;
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
	claude_wire_take(wire, value, "type", rows, ARRAY_LEN(rows));
}

bool claude_wire_has_command(const struct claude_wire *wire, const char *word)
{
	return word[0] == '/' && json_object_get(wire->commands, word + 1);
}

bool claude_wire_has_tasks(const struct claude_wire *wire)
{
	return json_object_size(wire->tasks) > 0;
}

int64_t claude_wire_tasks_ended_ms(const struct claude_wire *wire)
{
	return wire->tasks_ended_ms;
}

bool claude_wire_had_tasks(const struct claude_wire *wire)
{
	return wire->had_tasks;
}
