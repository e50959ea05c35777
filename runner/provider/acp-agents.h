#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The agents that speak ACP (https://agentclientprotocol.com), and how they differ: data only. What is
 * said of a row was seen with the CLI itself, but for kiro, whose row is from its documentation.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/provider/provider.h"

struct acp_variable {
	const char *name;  /* NULL: the end of a list */
	const char *value; /* unless the operator, or the request, set it */
};

/* A provider of ours: query->type and provider->type point to its first member. */
struct acp_agent {
	struct provider_type type;
	const char *title;	 /* as its maker calls it */
	const char *const *argv; /* NULL: the configuration has to name it */
	const char *install;	 /* how one gets it */
	const struct acp_variable *variables;
	const char *model_option;   /* before the model's name on the command line; NULL: none */
	const char *model_variable; /* holds the model's name; NULL: none */
	/* Names that differ between versions; each list ends with NULL, and NULL is none. */
	const char *const *modes;	 /* that ask for no permission: the first one offered */
	const char *const *auth_methods; /* take a key from the environment: tried in this order */
	const char *mcp_option; /* before the path of a list of MCP servers, for one that takes none
				   with a session; NULL: it takes them */
	const char *retry_notice; /* what stands in front of a text for each try; NULL: nothing */
	const char *error_prefix; /* of a text that reports an error; NULL: errors are said */
	int64_t replay_ms; /* a loaded conversation is repeated until it is silent for so long; 0: before */
	bool has_meta_prompt; /* takes a system prompt as _meta.systemPrompt.append */
};

/* The row at this place, from 0 on; NULL behind the last. */
const struct acp_agent *acp_agents_at(size_t i);
