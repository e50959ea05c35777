#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The agent as the session sees it: one provider process that is started, kept between turns,
 * replaced and ended. Owns the continuation. Knows nothing of messages.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/config.h"
#include "runner/provider/provider.h"
#include "runner/secrets.h"

struct agent;

struct agent_options {
	struct loop *loop;
	struct children *children;
	const struct config *config;
	const char *workspace;
	const char *continuation;  /* NULL: a fresh conversation; copied */
	const json_t *mcp_servers; /* for struct provider_query; as all that follows */
	const char *own_server;
	const char *const *env;
	const struct secrets *secrets;	      /* for its environment, too; may be NULL */
	const struct provider_events *events; /* init and exited mean the same to the caller */
	void *userdata;
};

/* 0; -ENOENT: no such provider, err lists those there are; -ENOMEM. Starts nothing. */
int agent_new(const struct agent_options *options, struct agent **ret_agent, struct err *err);
void agent_free(struct agent *agent);

/* For struct provider_query, from the next start on. Borrowed. */
void agent_set_config_dir(struct agent *agent, const char *path);

/* The provider's name, as in session_state. */
const char *agent_name(const struct agent *agent);

/*
 * Sees to it that the agent runs with these instructions: starts it if it does not run, replaces it
 * if it was started with others, replace is set and it has no work in the background. 0, or <0 if
 * the start failed.
 */
int agent_ensure(struct agent *agent, const char *instructions, bool replace, struct err *err);

/* Ends the agent and forgets the conversation: the next agent_ensure() starts a fresh one. */
void agent_reset(struct agent *agent);

/* True between a start and the end of the process, also while that is awaited. */
bool agent_exists(const struct agent *agent);
/* True between a start and the end of the process: agent_push() can be called. */
bool agent_is_running(const struct agent *agent);
/* Does it have work in the background, which a stop would kill? */
bool agent_is_busy(const struct agent *agent);
/* True once the agent said so. */
bool agent_is_ready(const struct agent *agent);
/* Has it announced its commands, or can it not even start? */
bool agent_knows_commands(const struct agent *agent);

/* >0: the id of this push, higher than any before; <0: -errno. */
int64_t agent_push(struct agent *agent, const char *text, size_t len, bool is_command);

void agent_interrupt(struct agent *agent);
bool agent_has_command(const struct agent *agent, const char *word);

/* Asks the agent to end; `exited` follows within about kill_after_ms. */
void agent_stop(struct agent *agent, int64_t kill_after_ms);

/* The conversation's id, NULL if there is none. */
const char *agent_continuation(const struct agent *agent);
