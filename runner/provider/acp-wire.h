#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The lines that an ACP agent writes, turned into events. Knows what a line means and remembers what
 * later lines need: the text that is being written, the tools that run. Sends nothing itself.
 *
 * Both sides number their requests from wherever they like. An answer's id is one of ours; a
 * request's id is the agent's, and is only ever handed back.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All are called from acp_wire_line(), none may free the wire. Strings live during the call. */
struct acp_wire_events {
	/* The answer to the request of this id; error: the JSON-RPC error, NULL: it succeeded. */
	void (*answer)(void *userdata, int64_t id, const json_t *result, const json_t *error);
	/* The agent asks for something itself, and waits for an answer. */
	void (*request)(void *userdata, const json_t *id, const char *method, const json_t *params);
	/* A complete text, in a turn. */
	void (*text)(void *userdata, const char *text, size_t len);
	void (*tool_start)(void *userdata, const char *id, const char *name);
	void (*tool_end)(void *userdata, const char *id);
};

struct acp_wire;

/* NULL: no memory. */
struct acp_wire *acp_wire_new(const struct acp_wire_events *events, void *userdata);
void acp_wire_free(struct acp_wire *wire);

/*
 * One line, without its newline. What is no JSON object, of an unknown type or of another session is
 * ignored, and so are texts and tools outside of a turn: a conversation that is being repeated.
 */
void acp_wire_line(struct acp_wire *wire, const char *line, size_t len);

/* A turn begins, in this session. 0 or -ENOMEM. */
int acp_wire_begin(struct acp_wire *wire, const char *session);
/*
 * It has ended: tools that still run have, too. is_told: its last text is raised; in any case it is
 * handed out, borrowed until the next turn begins ("" if there is none).
 */
const char *acp_wire_end(struct acp_wire *wire, bool is_told, size_t *ret_len);

/* Did the agent list its commands? */
bool acp_wire_knows_commands(const struct acp_wire *wire);

/* Is this word (with its slash) among the commands that the agent listed? */
bool acp_wire_has_command(const struct acp_wire *wire, const char *word);
