#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The lines that Claude Code writes ("stream-json"), turned into events. Knows what a line means,
 * remembers what later lines need, and sends nothing itself.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/provider/provider.h"

struct claude_wire_result {
	enum provider_error error;
	const char *text;
	size_t text_len;
	int64_t retry_at_ms;
	bool is_background;    /* about background work: it answers no push */
	bool is_repetition;    /* the last one said the same, and nothing was between */
	bool is_broken_off;    /* ended by an interrupt, or by an error of the CLI itself */
	const json_t *answers; /* array of the UUIDs it answers; NULL: not said */
};

/* All are called from claude_wire_line(), none may free the wire. Strings live during the call. */
struct claude_wire_events {
	/* The answer to a control request; response is NULL if there is none, error if it failed. */
	void (*answer)(void *userdata, const char *id, const json_t *response, const char *error);
	/* The CLI asks for something itself, and waits for an answer. */
	void (*request)(void *userdata, const char *id, const char *subtype);
	/* What became of an MCP server, in the CLI's words. */
	void (*server)(void *userdata, const char *name, const char *status);
	/* A turn begins; the conversation's id. */
	void (*init)(void *userdata, const char *conversation);
	void (*text)(void *userdata, const char *text, size_t len);
	void (*tool_start)(void *userdata, const char *id, const char *name, int64_t timeout_ms);
	void (*tool_end)(void *userdata, const char *id);
	/* The user line of this UUID was consumed. */
	void (*replayed)(void *userdata, const char *uuid);
	void (*result)(void *userdata, const struct claude_wire_result *result);
	void (*compacted)(void *userdata);
	/* The CLI says that it waits for input, or that it does no more. */
	void (*idle)(void *userdata, bool is_idle);
};

struct claude_wire;

/* NULL: no memory. */
struct claude_wire *claude_wire_new(const struct claude_wire_events *events, void *userdata);
void claude_wire_free(struct claude_wire *wire);

/* One line, without its newline. What is no JSON object, or of an unknown type, is ignored. */
void claude_wire_line(struct claude_wire *wire, const char *line, size_t len);

/* Raises `server` for each of a list as system/init and the answer to mcp_status have it. */
void claude_wire_servers(const struct claude_wire *wire, const json_t *servers);

/* Is this word (with its slash) among the commands that the CLI listed? */
bool claude_wire_has_command(const struct claude_wire *wire, const char *word);

/* Does work of the agent live that goes on between turns? */
bool claude_wire_has_tasks(const struct claude_wire *wire);

/* When the last of it ended, in monotonic time; 0: none did. */
int64_t claude_wire_tasks_ended_ms(const struct claude_wire *wire);

/* Does some live, or did it since the CLI was last idle? What it brought may not be told yet. */
bool claude_wire_had_tasks(const struct claude_wire *wire);
