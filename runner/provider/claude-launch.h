#pragma once
/* SPDX-License-Identifier: MIT */
/* How Claude Code is started: which file, with which arguments and environment. */
#include "common/err.h"
#include "runner/provider/cli-process.h"
#include "runner/provider/cli-words.h"
#include "runner/provider/provider.h"

/*
 * The CLI: AGENT_CLAUDE_PATH, else /pnpm/claude, else `claude` in PATH. 0, and *ret_path is a heap
 * string of the caller; -ENOENT or -EACCES, and err says what was looked for and where; -ENOMEM.
 */
int claude_launch_find(char **ret_path, struct err *err);

/* The variables that hold its keys. */
extern const struct provider_secret claude_launch_secrets[];

/* Both as struct cli_spec wants them. */
struct claude_launch {
	struct cli_words argv;
	struct cli_words env;
};

/*
 * mcp_file: what claude_mcp_write() wrote, NULL for none. 0 or -ENOMEM; deinit it in both cases.
 */
int claude_launch_init(struct claude_launch *launch, const char *path, const char *mcp_file,
		       const struct provider_query *query);
void claude_launch_deinit(struct claude_launch *launch);

/* Finds it, tells it of MCP servers, and starts it. As cli_process_start(). */
int claude_launch_start(const struct provider_query *query, const struct cli_process_events *events,
			void *userdata, struct cli_process **ret_process, struct err *err);
