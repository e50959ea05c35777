/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/table.h"
#include "runner/provider/cli-find.h"
#include "runner/provider/cli-mcp.h"

/* Where session images of hosts have programs of npm. */
#define ACP_LAUNCH_IMAGE_FOLDER "/pnpm"

/* Left by an agent that started us, or meant for another program. */
static const char *const acp_launch_removed[] = { "CLAUDECODE", "NODE_OPTIONS", "DEBUG" };

static const char *const *acp_launch_words(const struct acp_agent *agent,
					   const struct provider_query *query)
{
	return query->command && query->command[0] ? query->command : agent->argv;
}

/* A name without a slash. 0 with *ret_path; -ENOENT; -ENOMEM. */
static int acp_launch_search(const char *name, char **ret_path)
{
	int r = cli_find_in_path(name, ret_path);
	char *path;

	if (r != -ENOENT)
		return r;
	if (asprintf(&path, ACP_LAUNCH_IMAGE_FOLDER "/%s", name) < 0)
		return -ENOMEM;
	r = cli_find_check(path);
	if (r == 0)
		*ret_path = path;
	else
		free(path);
	return r == 0 ? 0 : -ENOENT;
}

static int acp_launch_missing(const struct acp_agent *agent, const char *name, struct err *err)
{
	const char *folders = getenv("PATH");

	return err_set(
		err, -ENOENT,
		"%s is not installed: looked for %s in PATH=%s and in " ACP_LAUNCH_IMAGE_FOLDER
		"%s%s",
		agent->title, name, folders ? folders : "", agent->install ? "; " : "",
		agent->install ? agent->install : "");
}

int acp_launch_find(const struct acp_agent *agent, const struct provider_query *query,
		    char **ret_path, struct err *err)
{
	const char *const *words = acp_launch_words(agent, query);
	int r;

	if (!words)
		return err_set(err, -ENOENT,
			       "no ACP agent is named: set \"agentCommand\" in container.json or "
			       "AGENT_ACP_COMMAND to its command line");
	if (!strchr(words[0], '/')) {
		r = acp_launch_search(words[0], ret_path);
		return r == -ENOENT ? acp_launch_missing(agent, words[0], err)
		       : r < 0	    ? err_sys(err, r, "cannot look for %s", agent->title)
				    : 0;
	}
	r = cli_find_check(words[0]);
	if (r < 0)
		return err_set(err, r, "%s is not at %s: %s", agent->title, words[0],
			       r == -EACCES ? "it cannot be executed" : "there is no such file");
	*ret_path = strdup(words[0]);
	return *ret_path ? 0 : err_sys(err, -ENOMEM, "cannot look for %s", agent->title);
}

static void acp_launch_add_variables(struct cli_words *env, const struct acp_agent *agent,
				     const struct provider_query *query)
{
	for (const struct acp_variable *v = agent->variables; v && v->name; v++)
		if (!cli_words_name(query->env, v->name) && !getenv(v->name))
			cli_words_add(env, "%s=%s", v->name, v->value);
	for (size_t i = 0; i < ARRAY_LEN(acp_launch_removed); i++)
		cli_words_add(env, "%s", acp_launch_removed[i]);
	if (query->model && agent->model_variable)
		cli_words_add(env, "%s=%s", agent->model_variable, query->model);
	cli_words_copy(env, query->env);
}

int acp_launch_init(struct acp_launch *launch, const char *path, const char *mcp_file,
		    const struct acp_agent *agent, const struct provider_query *query)
{
	const char *const *words = acp_launch_words(agent, query);

	*launch = (struct acp_launch){ .argv = CLI_WORDS_EMPTY };
	cli_words_add(&launch->argv, "%s", path);
	cli_words_copy(&launch->argv, words + 1);
	if (query->model && agent->model_option)
		cli_words_add(&launch->argv, "%s%s", agent->model_option, query->model);
	if (mcp_file)
		cli_words_add(&launch->argv, "%s%s", agent->mcp_option, mcp_file);
	acp_launch_add_variables(&launch->env, agent, query);
	return launch->argv.error ? launch->argv.error : launch->env.error;
}

void acp_launch_deinit(struct acp_launch *launch)
{
	cli_words_deinit(&launch->argv);
	cli_words_deinit(&launch->env);
}

/* Copilot's settings name the tools of a server that are offered. */
static int acp_launch_extend_server(json_t *server, bool is_own)
{
	(void)is_own;
	if (json_object_get(server, "tools"))
		return 0;
	return json_object_set_new(server, "tools", json_pack("[s]", "*")) < 0 ? -ENOMEM : 0;
}

int acp_launch_start(const struct acp_agent *agent, const struct provider_query *query,
		     const struct cli_process_events *events, void *userdata,
		     struct cli_process **ret_process, struct err *err)
{
	cleanup_free char *path = NULL, *mcp_file = NULL;
	struct acp_launch launch;
	struct err missing, warning;
	struct cli_spec spec = { .title = agent->title };
	int r = acp_launch_find(agent, query, &path, &missing);

	if (r == -ENOENT || r == -EACCES) {
		spec.missing = missing.text;
		return cli_process_start(query, &spec, events, userdata, ret_process, err);
	}
	if (r < 0)
		return err_set(err, r, "%s", missing.text);
	/* An agent without these tools is better than none. */
	if (agent->mcp_option &&
	    cli_mcp_write(query, acp_launch_extend_server, &mcp_file, &warning) < 0)
		log_error("%s: the agent is given no MCP servers", warning.text);
	r = acp_launch_init(&launch, path, mcp_file, agent, query);
	spec.argv = cli_words_list(&launch.argv);
	spec.env = cli_words_list(&launch.env);
	if (r == 0)
		r = cli_process_start(query, &spec, events, userdata, ret_process, err);
	else
		err_sys(err, r, "cannot start %s", agent->title);
	acp_launch_deinit(&launch);
	return r;
}
