/* SPDX-License-Identifier: MIT */
/*
 * A small agent that speaks as Claude Code does (stream-json on its stdio) and answers each message
 * with a block that repeats its token, "tok-" and three digits. Words in a message steer it:
 *
 *   slow       waits for a follow-up, or 50 ms (FAULT_SLOW_MS), before the result
 *   say-first  sends a block, then uses a tool, then answers
 *   use-tool   calls send_message of the MCP server that it was given, then answers
 *   send-file  calls send_file of it
 *
 * It behaves as a good agent does: what a line of <system> says was already sent is not said again,
 * and what a tool refused to send is put into a block.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/lines.h"

#define AGENT_SLOW_MS	50
#define AGENT_RELAY_MS	5000
#define AGENT_TOKEN	"tok-"
#define AGENT_TOKEN_LEN 7
#define AGENT_ITEMS	32
#define AGENT_TEXT	4096
#define AGENT_SERVER	"nanoclaw"

struct agent_relay {
	pid_t pid; /* 0: none */
	int in;
	struct lines out;
	int calls;
};

struct agent {
	struct lines in;
	struct agent_relay relay;
	json_t *queue;	 /* user lines not begun yet */
	json_t *answers; /* UUIDs of what the running turn answers */
	char session[64];
	int tools;
	bool is_interrupted;
};

/* One message of a prompt. */
struct agent_item {
	char to[64];
	char token[AGENT_TOKEN_LEN + 1];
	bool is_slow, says_first, uses_tool, sends_file;
};

struct agent_prompt {
	struct agent_item items[AGENT_ITEMS];
	size_t count;
	char *text;
};

static void __attribute__((noreturn)) agent_die(const char *what)
{
	(void)fprintf(stderr, "fault-agent: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void agent_say(json_t *value)
{
	if (!value || lines_write(STDOUT_FILENO, value) < 0)
		agent_die("stdout");
}

static const char *agent_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The MCP server */

static void __attribute__((noreturn))
agent_run_relay(json_t *server, const int in[2], const int out[2])
{
	const char *argv[8] = { agent_string(server, "command") };
	const json_t *args = json_object_get(server, "args"), *value;
	const char *name;
	size_t i;

	json_array_foreach(args, i, value) if (i < 6) argv[i + 1] = json_string_value(value);
	json_object_foreach(json_object_get(server, "env"), name, value)(void)
		setenv(name, json_string_value(value), 1);
	(void)dup2(in[0], STDIN_FILENO);
	(void)dup2(out[1], STDOUT_FILENO);
	(void)close(in[0]);
	(void)close(in[1]);
	(void)close(out[0]);
	(void)close(out[1]);
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void agent_lose_relay(struct agent *agent)
{
	struct agent_relay *relay = &agent->relay;

	if (relay->pid == 0)
		return;
	(void)close(relay->in);
	(void)close(relay->out.fd);
	relay->pid = 0;
}

/* The result of a call; NULL: the server is gone, or refused. */
static json_t *agent_call(struct agent *agent, const char *method, json_t *params)
{
	struct agent_relay *relay = &agent->relay;
	int id = ++relay->calls;
	json_t *line, *result = NULL;

	if (relay->pid == 0) {
		json_decref(params);
		return NULL;
	}
	if (lines_write(relay->in, json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", id,
					     "method", method, "params", params)) < 0) {
		agent_lose_relay(agent);
		return NULL;
	}
	while ((line = lines_next(&relay->out, AGENT_RELAY_MS))) {
		bool is_it = json_integer_value(json_object_get(line, "id")) == id;

		result = is_it ? json_incref(json_object_get(line, "result")) : NULL;
		json_decref(line);
		if (is_it)
			return result;
	}
	agent_lose_relay(agent);
	return NULL;
}

static void agent_start_relay(struct agent *agent, const char *config)
{
	json_t *root = json_load_file(config, 0, NULL);
	json_t *server = json_object_get(json_object_get(root, "mcpServers"), AGENT_SERVER);
	int in[2], out[2];

	if (!server || pipe(in) < 0 || pipe(out) < 0) {
		json_decref(root);
		return;
	}
	agent->relay.pid = fork();
	if (agent->relay.pid == 0)
		agent_run_relay(server, in, out);
	(void)close(in[0]);
	(void)close(out[1]);
	agent->relay.in = in[1];
	agent->relay.out.fd = out[0];
	json_decref(root);
	json_decref(agent_call(agent, "initialize",
			       json_pack("{s:s,s:{},s:{s:s,s:s}}", "protocolVersion", "2025-06-18",
					 "capabilities", "clientInfo", "name", "fault-agent",
					 "version", "1")));
	if (agent->relay.pid > 0)
		(void)lines_write(agent->relay.in,
				  json_pack("{s:s,s:s}", "jsonrpc", "2.0", "method",
					    "notifications/initialized"));
}

static bool agent_use_tool(struct agent *agent, const char *tool, json_t *arguments)
{
	json_t *result = agent_call(agent, "tools/call",
				    json_pack("{s:s,s:o}", "name", tool, "arguments", arguments));
	bool worked = result && !json_is_true(json_object_get(result, "isError"));

	json_decref(result);
	return worked;
}

/* The prompt */

/* Does a line of <system> say that this text was already sent? */
static bool agent_was_told(const struct agent_prompt *prompt, const char *text)
{
	const char *line = prompt->text;

	while (line && *line) {
		const char *next = strchr(line, '\n'), *end = strstr(line, "</system>");
		bool is_note = strncmp(line, "<system>", strlen("<system>")) == 0;
		char *note;

		if (is_note) {
			end = end ? end : next ? next : line + strlen(line);
			note = strndup(line, (size_t)(end - line));
			if (note && strstr(note, "already sent") && strstr(note, text)) {
				free(note);
				return true;
			}
			free(note);
		}
		line = next ? next + 1 : NULL;
	}
	return false;
}

static bool agent_has(const char *body, size_t len, const char *word)
{
	return memmem(body, len, word, strlen(word)) != NULL;
}

static void agent_add_item(struct agent_prompt *prompt, const char *tag, size_t tag_len,
			   const char *body, size_t len)
{
	struct agent_item *item = &prompt->items[prompt->count];
	const char *token = memmem(body, len, AGENT_TOKEN, strlen(AGENT_TOKEN));
	const char *from = memmem(tag, tag_len, " from=\"", strlen(" from=\""));

	if (!token || !from || prompt->count == AGENT_ITEMS)
		return;
	from += strlen(" from=\"");
	(void)snprintf(item->to, sizeof(item->to), "%.*s", (int)strcspn(from, "\""), from);
	(void)snprintf(item->token, sizeof(item->token), "%.*s", AGENT_TOKEN_LEN, token);
	item->is_slow = agent_has(body, len, "slow");
	item->says_first = agent_has(body, len, "say-first");
	item->uses_tool = agent_has(body, len, "use-tool");
	item->sends_file = agent_has(body, len, "send-file");
	prompt->count++;
}

static void agent_find(struct agent_prompt *prompt, const char *open, const char *close_tag)
{
	const char *at = strstr(prompt->text, "<context ");

	at = at ? at : prompt->text;
	while ((at = strstr(at, open))) {
		const char *body = strchr(at, '>'), *end = strstr(at, close_tag);

		if (!body || !end || end < body)
			return;
		agent_add_item(prompt, at, (size_t)(body - at), body + 1, (size_t)(end - body - 1));
		at = end;
	}
}

/* Appends what a user line holds. */
static void agent_read_prompt(struct agent_prompt *prompt, const json_t *line)
{
	const char *text = agent_string(json_object_get(line, "message"), "content");

	free(prompt->text);
	prompt->text = strdup(text);
	if (!prompt->text)
		agent_die("memory");
	agent_find(prompt, "<message ", "</message>");
	agent_find(prompt, "<task ", "</task>");
}

/* What it says */

static void agent_say_text(const struct agent *agent, const char *text)
{
	agent_say(json_pack("{s:s,s:{s:s,s:[{s:s,s:s}]},s:n,s:s}", "type", "assistant", "message",
			    "role", "assistant", "content", "type", "text", "text", text,
			    "parent_tool_use_id", "session_id", agent->session));
}

static void agent_say_tool(struct agent *agent, const char *name, char id[32])
{
	(void)snprintf(id, 32, "toolu_%d_%d", (int)getpid(), ++agent->tools);
	agent_say(json_pack("{s:s,s:{s:s,s:[{s:s,s:s,s:s,s:{}}]},s:n,s:s}", "type", "assistant",
			    "message", "role", "assistant", "content", "type", "tool_use", "id", id,
			    "name", name, "input", "parent_tool_use_id", "session_id",
			    agent->session));
}

static void agent_say_tool_result(const struct agent *agent, const char *id)
{
	agent_say(json_pack("{s:s,s:{s:s,s:[{s:s,s:s,s:s}]},s:n,s:s}", "type", "user", "message",
			    "role", "user", "content", "type", "tool_result", "tool_use_id", id,
			    "content", "done", "parent_tool_use_id", "session_id", agent->session));
}

static void agent_say_state(const struct agent *agent, const char *state)
{
	agent_say(json_pack("{s:s,s:s,s:s,s:s}", "type", "system", "subtype",
			    "session_state_changed", "state", state, "session_id", agent->session));
}

static void agent_say_init(const struct agent *agent)
{
	agent_say(json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}]}", "type", "system", "subtype", "init",
			    "session_id", agent->session, "mcp_servers", "name", AGENT_SERVER,
			    "status", agent->relay.pid > 0 ? "connected" : "failed"));
}

static void agent_say_result(const struct agent *agent, const char *subtype, const char *text)
{
	bool is_error = strcmp(subtype, "success") != 0;
	json_t *line = json_pack("{s:s,s:s,s:b,s:s,s:O}", "type", "result", "subtype", subtype,
				 "is_error", is_error, "session_id", agent->session,
				 "user_message_uuids", agent->answers);

	if (is_error)
		(void)json_object_set_new(line, "errors", json_array());
	else
		(void)json_object_set_new(line, "result", json_string(text));
	agent_say(line);
}

static void agent_respond(const char *id, json_t *response)
{
	agent_say(json_pack("{s:s,s:{s:s,s:s,s:o}}", "type", "control_response", "response",
			    "subtype", "success", "request_id", id, "response", response));
}

/* Adds a block to text, unless it was sent before. */
static void agent_add_block(const struct agent_prompt *prompt, char *text, const char *to,
			    const char *word, const char *token)
{
	char body[AGENT_TOKEN_LEN + 32];
	size_t len = strlen(text);

	(void)snprintf(body, sizeof(body), "%s %s", word, token);
	if (!agent_was_told(prompt, body))
		(void)snprintf(text + len, AGENT_TEXT - len, "<message to=\"%s\">%s</message>\n",
			       to, body);
}

/* Control */

static bool agent_cancel(struct agent *agent, const char *uuid)
{
	const json_t *line;
	size_t i;

	json_array_foreach(agent->queue, i, line) if (strcmp(agent_string(line, "uuid"), uuid) == 0)
	{
		(void)json_array_remove(agent->queue, i);
		return true;
	}
	return false;
}

static void agent_control(struct agent *agent, const json_t *line)
{
	const json_t *request = json_object_get(line, "request");
	const char *subtype = agent_string(request, "subtype");
	const char *id = agent_string(line, "request_id");

	if (strcmp(subtype, "initialize") == 0) {
		agent_respond(id, json_pack("{s:[{s:s}]}", "commands", "name", "compact"));
	} else if (strcmp(subtype, "mcp_status") == 0) {
		agent_respond(id,
			      json_pack("{s:[{s:s,s:s}]}", "mcpServers", "name", AGENT_SERVER,
					"status", agent->relay.pid > 0 ? "connected" : "failed"));
	} else if (strcmp(subtype, "cancel_async_message") == 0) {
		bool found = agent_cancel(agent, agent_string(request, "message_uuid"));

		agent_respond(id, json_pack("{s:b}", "cancelled", found));
	} else {
		agent->is_interrupted = strcmp(subtype, "interrupt") == 0;
		agent_respond(id, json_object());
	}
}

/* Takes one line; false: there is none within this time. */
static bool agent_take(struct agent *agent, int64_t ms)
{
	json_t *line = lines_next(&agent->in, ms);
	const char *type = agent_string(line, "type");

	if (!line)
		return false;
	if (strcmp(type, "control_request") == 0)
		agent_control(agent, line);
	else if (strcmp(type, "user") == 0)
		(void)json_array_append(agent->queue, line);
	json_decref(line);
	return true;
}

/* A turn */

/* Makes the oldest line that waits part of the turn. */
static void agent_begin(struct agent *agent, struct agent_prompt *prompt)
{
	json_t *line = json_incref(json_array_get(agent->queue, 0));
	json_t *replay = json_copy(line);

	(void)json_array_remove(agent->queue, 0);
	agent_read_prompt(prompt, line);
	(void)json_array_append_new(agent->answers, json_string(agent_string(line, "uuid")));
	(void)json_object_set_new(replay, "isReplay", json_true());
	(void)json_object_set_new(replay, "session_id", json_string(agent->session));
	agent_say(replay);
	json_decref(line);
}

static void agent_say_first(struct agent *agent, const struct agent_prompt *prompt,
			    const struct agent_item *item)
{
	char text[AGENT_TEXT] = "", id[32];

	agent_add_block(prompt, text, item->to, "first", item->token);
	if (text[0])
		agent_say_text(agent, text);
	agent_say_tool(agent, "Bash", id);
	agent_say_tool_result(agent, id);
}

/* Sends by a tool; what it refuses becomes a block of text. */
static void agent_send(struct agent *agent, const struct agent_prompt *prompt,
		       const struct agent_item *item, char *text)
{
	const char *word = item->sends_file ? "file" : "tool";
	const char *tool = item->sends_file ? "send_file" : "send_message";
	char body[AGENT_TOKEN_LEN + 32], id[32];
	json_t *arguments;

	(void)snprintf(body, sizeof(body), "%s %s", word, item->token);
	if (agent_was_told(prompt, body))
		return;
	arguments = json_pack("{s:s,s:s}", "text", body, "to", item->to);
	if (item->sends_file)
		(void)json_object_set_new(arguments, "path", json_string("note.txt"));
	agent_say_tool(
		agent,
		item->sends_file ? "mcp__nanoclaw__send_file" : "mcp__nanoclaw__send_message", id);
	if (!agent_use_tool(agent, tool, arguments))
		agent_add_block(prompt, text, item->to, item->sends_file ? "nofile" : "tool",
				item->token);
	agent_say_tool_result(agent, id);
}

static int64_t agent_slow_ms(void)
{
	const char *text = getenv("FAULT_SLOW_MS");

	return text ? strtoll(text, NULL, 10) : AGENT_SLOW_MS;
}

static bool agent_is_slow(const struct agent_prompt *prompt)
{
	for (size_t i = 0; i < prompt->count; i++)
		if (prompt->items[i].is_slow)
			return true;
	return false;
}

/* Does what the messages from number `from` on ask for, all but the answer. */
static void agent_work(struct agent *agent, const struct agent_prompt *prompt, size_t from,
		       char *text)
{
	for (size_t i = from; i < prompt->count; i++) {
		const struct agent_item *item = &prompt->items[i];

		if (item->says_first)
			agent_say_first(agent, prompt, item);
		if (item->uses_tool || item->sends_file)
			agent_send(agent, prompt, item, text);
		agent_add_block(prompt, text, item->to, "re", item->token);
	}
}

static void agent_turn(struct agent *agent)
{
	struct agent_prompt prompt = { .count = 0 };
	int64_t deadline = lines_now_ms() + agent_slow_ms();
	char text[AGENT_TEXT] = "";
	size_t done;

	agent->answers = json_array();
	agent->is_interrupted = false;
	agent_say_state(agent, "running");
	agent_say_init(agent);
	agent_begin(agent, &prompt);
	agent_work(agent, &prompt, 0, text);
	done = prompt.count;
	while (agent_is_slow(&prompt) && !agent->is_interrupted &&
	       json_array_size(agent->queue) == 0 && lines_now_ms() < deadline)
		if (!agent_take(agent, deadline - lines_now_ms()) && agent->in.ended)
			break;
	if (agent_is_slow(&prompt) && json_array_size(agent->queue) > 0) {
		agent_begin(agent, &prompt);
		agent_work(agent, &prompt, done, text);
	}
	if (!agent->is_interrupted && text[0])
		agent_say_text(agent, text);
	if (agent->is_interrupted)
		agent_say_result(agent, "error_during_execution", NULL);
	else
		agent_say_result(agent, "success", text);
	agent_say_state(agent, "idle");
	json_decref(agent->answers);
	free(prompt.text);
}

int main(int argc, char **argv)
{
	struct agent agent = { .in.fd = STDIN_FILENO, .queue = json_array() };
	const char *config = NULL;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(agent.session, sizeof(agent.session), "00000000-0000-4000-8000-%012lld",
		       (long long)lines_now_ms() % 1000000000000LL);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--resume=", 9) == 0)
			(void)snprintf(agent.session, sizeof(agent.session), "%s", argv[i] + 9);
		if (strncmp(argv[i], "--mcp-config=", 13) == 0)
			config = argv[i] + 13;
	}
	if (config)
		agent_start_relay(&agent, config);
	while (json_array_size(agent.queue) > 0 || agent_take(&agent, -1))
		if (json_array_size(agent.queue) > 0)
			agent_turn(&agent);
	agent_lose_relay(&agent);
	json_decref(agent.queue);
	free(agent.in.bytes);
	free(agent.relay.out.bytes);
	return 0;
}
