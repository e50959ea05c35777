#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * container.json and the environment, read once and checked into one struct. A missing file means
 * defaults, an unknown key is ignored, null or "" is as good as nothing, a wrong type or range is a
 * warning and the default; a file, or AGENT_SANDBOX, that is not JSON is an error (the caller exits
 * with EXIT_CODE_CONFIG).
 *
 * The agent may write in the folder where the file lies. What the file says of its sandbox counts
 * only where the agent cannot have written it; AGENT_SANDBOX is the host's word in any case.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/strbuf.h"
#include "runner/config-sandbox.h"

#define CONFIG_FILE_MAX (1024 * 1024)
#define CONFIG_RETRIES	3
/* Holds the same JSON as the key "sandbox", and stands for it. */
#define CONFIG_SANDBOX_VARIABLE "AGENT_SANDBOX"
/* A message at which so many attempts broke off, the agent's or the container's, is given up. */
#define CONFIG_ATTEMPTS 3

struct config {
	/* From container.json; never NULL, "" if not set. */
	char *provider;
	char *assistant_name;
	char *group_name;
	char *agent_group_id;
	char *model;
	char *effort;
	int64_t max_messages;  /* rows in one prompt */
	int64_t silence_s;     /* an agent without a sign of life for so long hangs; 0: never */
	int64_t interrupt_s;   /* an agent that ignores an interrupt for so long is ended */
	int64_t agent_idle_s;  /* an agent without work for so long is ended; 0: never */
	int64_t exit_idle_s;   /* the container likewise */
	json_t *mcp_servers;   /* further servers for the agent: an object by name, checked */
	char *mcp_server_name; /* of ours */
	char *mcp_tool_prefix; /* before the names of its tools, "" for none */
	char **agent_command;  /* of an ACP agent, NULL-terminated; NULL: as usual */
	char **mcp_tools;      /* those that are offered, NULL-terminated; NULL: all */

	/* From either; what confines the children, without the workspace. */
	struct config_sandbox sandbox;

	/* From the environment. */
	bool use_inotify;	/* AGENT_WATCH: poll turns it off, inotify is the default */
	int64_t poll_idle_ms;	/* AGENT_POLL_IDLE_MS */
	int64_t poll_active_ms; /* AGENT_POLL_ACTIVE_MS */
	int64_t retry_ms[CONFIG_RETRIES]; /* AGENT_RETRY_MS is the first; the rest follow from it */

	struct strbuf warnings; /* see config_warning() */
};

/*
 * Reads it and logs what is odd. 0; -EINVAL: not JSON, err names file, line and column; or -errno of
 * reading it.
 */
int config_load(const char *path, struct config **ret_config, struct err *err);

/*
 * The sandbox alone, for a command that is no session of this workspace: its file may be anything
 * unless it is the host's. As config_load().
 */
int config_load_sandbox(const char *path, struct config **ret_config, struct err *err);

/* The same as config_load() without a word in the log. */
int config_read(const char *path, struct config **ret_config, struct err *err);

/* For the parts of this module: notes what was odd. */
void config_warn(struct config *config, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The first warning (previous NULL), or the one after previous; NULL: no more. */
const char *config_warning(const struct config *config, const char *previous);

void config_free(struct config *config);

CLEANUP_DEFINE(config, struct config *, config_free);
#define cleanup_config CLEANUP(cleanup_config_fn)
