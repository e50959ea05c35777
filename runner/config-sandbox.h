#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * "sandbox" of container.json, or the variable AGENT_SANDBOX: what the host changes about the
 * agent's rights, checked and written as words for "agent-runner confine". Knows the form of these
 * words and nothing of what they do. What is wrong is a warning and left out; a list that is given
 * stays given, so that a mistake in it never gives the agent more.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONFIG_SANDBOX_PATHS_MAX 64
#define CONFIG_SANDBOX_PORTS_MAX 64
/* Two lists of paths, two of ports, and room for what has one word each. */
#define CONFIG_SANDBOX_WORDS_MAX (2 * CONFIG_SANDBOX_PATHS_MAX + 2 * CONFIG_SANDBOX_PORTS_MAX + 16)

struct config;

/* Begins all zero. */
struct config_sandbox {
	char *words[CONFIG_SANDBOX_WORDS_MAX + 1]; /* NULL-terminated */
	size_t count;
};

/*
 * Opens container.json for reading; the caller closes it. *ret_is_hosts: it cannot be the agent's,
 * for it lies on a mount that is read-only here, and no link leads there. The fd, or -errno.
 */
int config_sandbox_open(const char *path, bool *ret_is_hosts);

/* Appends the words for this value. name: where it comes from, for warnings. 0 or -ENOMEM. */
int config_sandbox_read(struct config *config, const char *name, const json_t *value);

/* Appends the last words: the workspace, and that these are all. 0 or -ENOMEM. */
int config_sandbox_set_workspace(struct config_sandbox *sandbox, const char *workspace);

void config_sandbox_deinit(struct config_sandbox *sandbox);
