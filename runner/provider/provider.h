#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What every agent CLI looks like from turn.c: a vtable to drive it, events raised to the caller.
 * A provider speaks one wire protocol; it never sees the store, a row or a destination.
 *
 * Life: start → ready → (push … result)* → stop → exited. Events are raised from the event loop
 * only, never from within a call of the vtable. After `exited` the provider is dead; the caller
 * frees it (it may do so in the callback) and starts another if it wants one.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/io/child.h"
#include "runner/io/loop.h"

enum provider_error {
	PROVIDER_OK,
	PROVIDER_TRANSIENT,	  /* overloaded, network, rate limit: worth another try */
	PROVIDER_AUTH,		  /* key missing, wrong or expired */
	PROVIDER_QUOTA,		  /* usage limit reached, no credit left */
	PROVIDER_TOO_LONG,	  /* the conversation no longer fits the model's context */
	PROVIDER_INVALID_SESSION, /* the continuation is unknown to the agent */
	PROVIDER_CRASHED,	  /* the CLI died or broke its protocol */
	PROVIDER_OUT_OF_MEMORY, /* likewise, by the kernel's OOM killer; no provider says so itself */
	PROVIDER_UNAVAILABLE,	/* the CLI is missing or cannot be executed */
	PROVIDER_OTHER,
	PROVIDER_ERROR_COUNT,
};

/* "transient", "auth", … as AGENT_MOCK_ERROR and the log write it. */
const char *provider_error_name(enum provider_error error);
int provider_error_from_name(const char *name, enum provider_error *ret_error);

struct provider_result {
	enum provider_error error;
	const char *text; /* final text ("" if none); with an error the agent's own words for it */
	size_t text_len;
	/*
	 * Every push with an id up to and including this one is answered by this result. 0: none (the
	 * agent spoke of its own accord, about background work for instance).
	 */
	uint64_t answered;
	bool interrupted;    /* ended by interrupt(), not by the agent */
	bool missing;	     /* it never came: the agent is idle, and nothing else will be said */
	int64_t retry_at_ms; /* real time at which the limit resets; 0: unknown */
};

struct provider_events {
	/* Initialised: a push is taken at once, commands are known. Raised once. */
	void (*ready)(void *userdata);
	/* The conversation's id, to be stored for a later start. May repeat. */
	void (*init)(void *userdata, const char *continuation);
	/* A complete text of the agent itself (not of a subagent), in the turn that is running. */
	void (*text)(void *userdata, const char *text, size_t len);
	/* timeout_ms: declared by the tool call (Bash); -1: none. */
	void (*tool_start)(void *userdata, const char *id, const char *name, int64_t timeout_ms);
	void (*tool_end)(void *userdata, const char *id);
	void (*result)(void *userdata, const struct provider_result *result);
	/*
	 * What became of an MCP server that the query named, in the agent's words ("connected",
	 * "failed", …). May repeat.
	 */
	void (*server)(void *userdata, const char *name, const char *status);
	/* The context was summarised: progress, not a result. */
	void (*compacted)(void *userdata);
	/* Any sign of life: a byte from the agent. Raised before the event that it belongs to. */
	void (*activity)(void *userdata);
	/*
	 * The process is gone. error: why, if it was not asked to stop (PROVIDER_OK if it was);
	 * detail: one line for the log and, for PROVIDER_UNAVAILABLE, for the user.
	 */
	void (*exited)(void *userdata, enum provider_error error, const char *detail);
};

struct provider_type;

/* Everything a start needs; borrowed for the duration of start(). NULL strings mean "not set". */
struct provider_query {
	const struct provider_type *type; /* whose start() it is: one may serve several */
	struct loop *loop;
	struct children *children;
	const char *cwd;
	const char *continuation;
	const char *instructions; /* appended to the agent's system prompt */
	const char *model;
	const char *effort;
	const char *assistant_name;
	const char *const *directories; /* additional folders, NULL-terminated; may be NULL */
	/* More "NAME=value" for the agent, secrets among them, each name once; may be NULL. */
	const char *const *env;
	const char *archive_dir; /* where transcripts go on compaction; NULL: nowhere */
	const char *config_dir;	 /* private folder (0700) for files that hold secrets; NULL */
	/* MCP servers: an object of {command, args, env} by name; NULL: none. */
	const json_t *mcp_servers;
	const char *own_server; /* the one that the agent must never be without; NULL: none */
	/* How the configuration wants an ACP agent to be started, NULL-terminated; NULL: as usual. */
	const char *const *command;
};

struct provider; /* each implementation embeds it as its first member */

/* A variable that holds a secret. */
struct provider_secret {
	const char *name; /* NULL: the end of a list */
	/*
	 * The switches, NULL-terminated, of which one has to be on: other programs use the variable,
	 * too, and without them it is no business of the agent's. NULL: it is the agent's alone.
	 */
	const char *const *switches;
};

struct provider_type {
	const char *name; /* as in container.json and session_state, lower case */
	const struct provider_secret *secrets; /* no other child inherits them. NULL: none */
	/* They are taken from other programs only where this provider is the configured one. */
	bool shares_secrets;
	/*
	 * Starts the agent at once, before there is a message (pre-warm). 0, or -errno where not even
	 * the attempt was possible.
	 */
	int (*start)(const struct provider_query *query, const struct provider_events *events,
		     void *userdata, struct provider **ret_provider, struct err *err);
	/*
	 * Hands the agent a text; id rises with each push, 0 is never used. is_command: a slash
	 * command in the CLI's own form, alone in its turn. Before `ready` it is queued. 0 or -errno.
	 */
	int (*push)(struct provider *provider, uint64_t id, const char *text, size_t len,
		    bool is_command);
	/* Asks for an end of the running turn; a result with .interrupted follows. */
	void (*interrupt)(struct provider *provider);
	/*
	 * Asks the agent to end: stdin closed, then SIGTERM, then SIGKILL after kill_after_ms; then
	 * `exited` with PROVIDER_OK.
	 */
	void (*stop)(struct provider *provider, int64_t kill_after_ms);
	/* Is this word (with its slash, lower case) a command of the CLI? Complete after `ready`. */
	bool (*has_command)(const struct provider *provider, const char *word);
	/* Does work of the agent go on between turns, which a stop would kill? */
	bool (*is_busy)(const struct provider *provider);
	/* Kills what still runs and frees. Accepts NULL. No event is raised any more. */
	void (*free)(struct provider *provider);
	/*
	 * Can the agent be started at all? For the health check: waits for nothing, starts nothing, and
	 * needs no more of the query than type and command. 0, or -errno with what is missing; on
	 * success err->text names the CLI found.
	 */
	int (*probe)(const struct provider_query *query, struct err *err);
};

struct provider {
	const struct provider_type *type;
};
