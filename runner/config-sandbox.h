#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * "sandbox" of container.json, or the variable AGENT_SANDBOX: what the host changes about the
 * agent's rights, checked and written as words for "agent-runner confine". Knows the form of these
 * words and nothing of what they do. What is wrong is a warning, and never gives the agent more: a list
 * that is given stays given, and a protection whose mode makes no sense is required.
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

/* Whose word container.json is. */
enum config_sandbox_owner {
	CONFIG_SANDBOX_HOSTS,	      /* it lies on a mount that is read-only here */
	CONFIG_SANDBOX_AGENTS,	      /* the agent may be able to write it */
	CONFIG_SANDBOX_BEHIND_A_LINK, /* it, or its folder, is a symbolic link: whose, nobody knows */
};

/*
 * Opens container.json for reading; the caller closes it. What is no regular file is opened only to be
 * looked at (O_PATH). The fd, or -errno; *ret_owner is set unless that is -ENOMEM.
 */
int config_sandbox_open(const char *path, enum config_sandbox_owner *ret_owner);

/* Appends the words for this value. name: where it comes from, for warnings. 0 or -ENOMEM. */
int config_sandbox_read(struct config *config, const char *name, const json_t *value);

/*
 * Appends the last words: the workspace, which the children get as it is, and that these are all. is_shared: only the agent's
 * own folders in it are its to write. 0 or -ENOMEM.
 */
int config_sandbox_set_workspace(struct config_sandbox *sandbox, const char *workspace,
				 bool is_shared);

void config_sandbox_deinit(struct config_sandbox *sandbox);
