#pragma once
/* SPDX-License-Identifier: MIT */
/* How an ACP agent is started: which file, with which arguments and environment. */
#include "common/err.h"
#include "runner/provider/acp-agents.h"
#include "runner/provider/cli-process.h"
#include "runner/provider/cli-words.h"
#include "runner/provider/provider.h"

/*
 * The program that query->command names, else the agent's row: a path, or a name that is looked for
 * in PATH and then in /pnpm. 0, and *ret_path is a heap string of the caller; -ENOENT or -EACCES, and
 * err says what was looked for and where; -ENOMEM.
 */
int acp_launch_find(const struct acp_agent *agent, const struct provider_query *query,
		    char **ret_path, struct err *err);

/* Both as struct cli_spec wants them. */
struct acp_launch {
	struct cli_words argv;
	struct cli_words env;
};

/* mcp_file: what agent->mcp_option names, NULL: nothing. 0 or -ENOMEM; deinit it in both cases. */
int acp_launch_init(struct acp_launch *launch, const char *path, const char *mcp_file,
		    const struct acp_agent *agent, const struct provider_query *query);
void acp_launch_deinit(struct acp_launch *launch);

/* Finds it and starts it. As cli_process_start(). */
int acp_launch_start(const struct acp_agent *agent, const struct provider_query *query,
		     const struct cli_process_events *events, void *userdata,
		     struct cli_process **ret_process, struct err *err);
