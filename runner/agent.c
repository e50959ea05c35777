/* SPDX-License-Identifier: MIT */
#include "runner/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mend.h"
#include "runner/folders.h"
#include "runner/provider/registry.h"

#define AGENT_REPLACE_KILL_MS 2000

enum agent_state {
	AGENT_OFF,
	AGENT_STARTING,
	AGENT_READY,
	AGENT_ENDING, /* asked to stop; nothing is pushed any more */
};

struct agent {
	struct agent_options options;
	const struct provider_type *type;
	struct provider *provider;
	enum agent_state state;
	char *continuation;
	char *instructions; /* what the running provider was started with */
	char *cwd;
	char *archive;
	const char *config_dir; /* borrowed; NULL: none */
	int64_t last_push;
	bool has_worked;     /* a process of it was ready once */
	bool fails_to_start; /* the last process ended before it was ready, or there was none */
};

static void agent_on_ready(void *userdata)
{
	struct agent *agent = userdata;

	if (agent->state != AGENT_STARTING)
		return;
	agent->state = AGENT_READY;
	agent->has_worked = true;
	agent->fails_to_start = false;
	agent->options.events->ready(agent->options.userdata);
}

static void agent_on_init(void *userdata, const char *continuation)
{
	struct agent *agent = userdata;
	char *copy;

	/* One that is being replaced speaks of a conversation that is given up. */
	if (agent->state == AGENT_ENDING ||
	    (agent->continuation && strcmp(agent->continuation, continuation) == 0))
		return;
	copy = strdup(continuation);
	if (!copy)
		return;
	free(agent->continuation);
	agent->continuation = copy;
	agent->options.events->init(agent->options.userdata, continuation);
}

static void agent_on_text(void *userdata, const char *text, size_t len)
{
	struct agent *agent = userdata;

	if (agent->state != AGENT_ENDING)
		agent->options.events->text(agent->options.userdata, text, len);
}

static void agent_on_tool_start(void *userdata, const char *id, const char *name,
				int64_t timeout_ms)
{
	struct agent *agent = userdata;

	if (agent->state != AGENT_ENDING)
		agent->options.events->tool_start(agent->options.userdata, id, name, timeout_ms);
}

static void agent_on_tool_end(void *userdata, const char *id)
{
	struct agent *agent = userdata;

	agent->options.events->tool_end(agent->options.userdata, id);
}

static void agent_on_result(void *userdata, const struct provider_result *result)
{
	struct agent *agent = userdata;

	if (agent->state != AGENT_ENDING)
		agent->options.events->result(agent->options.userdata, result);
}

static void agent_on_server(void *userdata, const char *name, const char *status)
{
	struct agent *agent = userdata;

	if (agent->state != AGENT_ENDING)
		agent->options.events->server(agent->options.userdata, name, status);
}

static void agent_on_compacted(void *userdata)
{
	struct agent *agent = userdata;

	agent->options.events->compacted(agent->options.userdata);
}

static void agent_on_activity(void *userdata)
{
	struct agent *agent = userdata;

	agent->options.events->activity(agent->options.userdata);
}

static void agent_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct agent *agent = userdata;
	struct provider *provider = steal_ptr(agent->provider);

	if (agent->state == AGENT_STARTING) {
		agent->fails_to_start = true;
		/* What has worked before is not missing: something is short at present. */
		if (error == PROVIDER_UNAVAILABLE && agent->has_worked)
			error = PROVIDER_CRASHED;
	}
	agent->state = AGENT_OFF;
	/* What its tools left running must not outlive it. */
	(void)children_kill_orphans(agent->options.children);
	children_report_denied(agent->options.children);
	agent->options.events->exited(agent->options.userdata, error, detail);
	/* Last: detail may live in it. */
	agent->type->free(provider);
}

static const struct provider_events agent_provider_events = {
	.ready = agent_on_ready,
	.init = agent_on_init,
	.text = agent_on_text,
	.tool_start = agent_on_tool_start,
	.tool_end = agent_on_tool_end,
	.result = agent_on_result,
	.server = agent_on_server,
	.compacted = agent_on_compacted,
	.activity = agent_on_activity,
	.exited = agent_on_exited,
};

int agent_new(const struct agent_options *options, struct agent **ret_agent, struct err *err)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	char names[256];

	if (!agent)
		return err_sys(err, -ENOMEM, "cannot prepare the agent");
	agent->options = *options;
	agent->type = registry_find(options->config->provider);
	if (!agent->type) {
		registry_names(names, sizeof(names));
		agent_free(agent);
		return err_set(err, -ENOENT,
			       "there is no provider \"%s\": set \"provider\" in container.json "
			       "or AGENT_PROVIDER to one of %s",
			       options->config->provider, names);
	}
	agent->cwd = folders_find_working(options->workspace, FOLDERS_AGENT);
	if (options->continuation)
		agent->continuation = strdup(options->continuation);
	if (!agent->cwd || (options->continuation && !agent->continuation) ||
	    asprintf(&agent->archive, "%s/conversations", agent->cwd) < 0) {
		agent->archive = NULL;
		agent_free(agent);
		return err_sys(err, -ENOMEM, "cannot prepare the agent");
	}
	*ret_agent = agent;
	return 0;
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	if (agent->provider)
		agent->type->free(agent->provider);
	free(agent->continuation);
	free(agent->instructions);
	free(agent->cwd);
	free(agent->archive);
	free(agent);
}

void agent_set_config_dir(struct agent *agent, const char *path)
{
	agent->config_dir = path;
}

const char *agent_name(const struct agent *agent)
{
	return agent->type->name;
}

static const char *agent_or_null(const char *text)
{
	return *text ? text : NULL;
}

static int agent_start(struct agent *agent, struct err *err)
{
	const struct config *config = agent->options.config;
	cleanup_free const char **env = secrets_join(agent->options.secrets, agent->options.env);
	char **extra = env ? folders_list_extra(agent->options.workspace) : NULL;
	struct provider_query query = {
		.type = agent->type,
		.loop = agent->options.loop,
		.children = agent->options.children,
		.cwd = agent->cwd,
		.continuation = agent->continuation,
		.instructions = agent_or_null(agent->instructions),
		.model = agent_or_null(config->model),
		.effort = agent_or_null(config->effort),
		.assistant_name = agent_or_null(config->assistant_name),
		.archive_dir = agent->archive,
		.env = env,
		.config_dir = agent->config_dir,
		.mcp_servers = agent->options.mcp_servers,
		.own_server = agent->options.own_server,
		.command = (const char *const *)config->agent_command,
	};
	int r;

	if (!extra)
		return err_sys(err, -ENOMEM, "cannot start the agent");
	/* The last one may have locked its successor out of the folder that it starts in. */
	(void)mend_workspace(agent->options.workspace, NULL);
	query.directories = (const char *const *)extra;
	r = agent->type->start(&query, &agent_provider_events, agent, &agent->provider, err);
	folders_free(extra);
	if (r < 0) {
		/* Whoever waits to learn its commands must not ask for it again and again. */
		agent->fails_to_start = true;
		return r;
	}
	agent->state = AGENT_STARTING;
	log_info("agent %s started%s%s", agent->type->name,
		 agent->continuation ? ", resuming " : ", new conversation",
		 agent->continuation ? agent->continuation : "");
	return 0;
}

int agent_ensure(struct agent *agent, const char *instructions, bool replace, struct err *err)
{
	bool same = agent->instructions && strcmp(agent->instructions, instructions) == 0;
	char *copy;

	if (agent->state == AGENT_ENDING)
		return 0;
	if (agent->state != AGENT_OFF) {
		/* Work in the background outweighs new instructions: they wait for its end. */
		if (!same && replace && !agent_is_busy(agent))
			agent_stop(agent, AGENT_REPLACE_KILL_MS);
		return 0;
	}
	if (!same) {
		copy = strdup(instructions);
		if (!copy)
			return err_sys(err, -ENOMEM, "cannot start the agent");
		free(agent->instructions);
		agent->instructions = copy;
	}
	return agent_start(agent, err);
}

void agent_reset(struct agent *agent)
{
	free(steal_ptr(agent->continuation));
	agent_stop(agent, AGENT_REPLACE_KILL_MS);
}

bool agent_exists(const struct agent *agent)
{
	return agent->state != AGENT_OFF;
}

bool agent_is_running(const struct agent *agent)
{
	return agent->state == AGENT_STARTING || agent->state == AGENT_READY;
}

bool agent_is_busy(const struct agent *agent)
{
	return agent_is_running(agent) && agent->type->is_busy(agent->provider);
}

bool agent_is_ready(const struct agent *agent)
{
	return agent->state == AGENT_READY;
}

bool agent_knows_commands(const struct agent *agent)
{
	return agent_is_ready(agent) || (agent->state == AGENT_OFF && agent->fails_to_start);
}

int64_t agent_push(struct agent *agent, const char *text, size_t len, bool is_command)
{
	int r;

	if (!agent_is_running(agent))
		return -EPIPE;
	r = agent->type->push(agent->provider, (uint64_t)agent->last_push + 1, text, len,
			      is_command);
	return r < 0 ? r : ++agent->last_push;
}

void agent_interrupt(struct agent *agent)
{
	if (agent_is_running(agent))
		agent->type->interrupt(agent->provider);
}

bool agent_has_command(const struct agent *agent, const char *word)
{
	return agent->provider && agent->type->has_command(agent->provider, word);
}

void agent_stop(struct agent *agent, int64_t kill_after_ms)
{
	if (agent->state == AGENT_OFF || agent->state == AGENT_ENDING)
		return;
	agent->state = AGENT_ENDING;
	agent->type->stop(agent->provider, kill_after_ms);
}

const char *agent_continuation(const struct agent *agent)
{
	return agent->continuation;
}
