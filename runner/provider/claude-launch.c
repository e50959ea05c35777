/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/provider/claude-error.h"
#include "runner/provider/claude-mcp.h"
#include "runner/provider/cli-find.h"

#define CLAUDE_LAUNCH_TITLE	 "Claude Code"
#define CLAUDE_LAUNCH_IMAGE_PATH "/pnpm/claude"

/*
 * Tools by name, joined by commas. Where permissions are bypassed, allowing removes nothing: only
 * what is disallowed is gone. An unknown name is harmless in either list.
 */
static const char claude_launch_allowed[] =
	"--allowedTools="
	"Bash,Read,Write,Edit,Glob,Grep,NotebookEdit,WebSearch,WebFetch,"
	"Task,TaskOutput,TaskStop,TaskCreate,TaskGet,TaskList,TaskUpdate,"
	"TeamCreate,TeamDelete,SendMessage,TodoWrite,ToolSearch,Skill";

static const char claude_launch_disallowed[] =
	"--disallowedTools="
	/* The host schedules. */
	"CronCreate,CronDelete,CronList,ScheduleWakeup,RemoteTrigger,"
	/* They wait for somebody at a terminal. */
	"AskUserQuestion,EnterPlanMode,ExitPlanMode,EnterWorktree,ExitWorktree,"
	"ReportFindings,PushNotification,"
	/* They keep work going of which no message knows. */
	"Monitor,Workflow,ListAgents";

static const char *const claude_launch_arguments[] = {
	"--output-format=stream-json",
	"--verbose",
	"--input-format=stream-json",
	"--permission-mode=bypassPermissions",
	"--allow-dangerously-skip-permissions",
	"--setting-sources=project,user",
	claude_launch_disallowed,
	"--replay-user-messages",
	/* Without it nothing is written while a long text is generated: it would look dead. */
	"--include-partial-messages",
};

enum claude_launch_when { CLAUDE_LAUNCH_ALWAYS, CLAUDE_LAUNCH_UNLESS_SET, CLAUDE_LAUNCH_AS_ROOT };

static const struct {
	const char *name;
	const char *value; /* NULL: the variable is removed */
	enum claude_launch_when when;
} claude_launch_variables[] = {
	{ "CLAUDE_CODE_ENTRYPOINT", "sdk-ts", CLAUDE_LAUNCH_ALWAYS },
	{ "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1", CLAUDE_LAUNCH_ALWAYS },
	{ "CLAUDE_CODE_AUTO_COMPACT_WINDOW", "165000", CLAUDE_LAUNCH_UNLESS_SET },
	/* A lasting failure ends after about 4 s instead of minutes; we try again ourselves. */
	{ "CLAUDE_CODE_MAX_RETRIES", "3", CLAUDE_LAUNCH_UNLESS_SET },
	/* A server that hangs holds up the first turn for so long, instead of 30 s. */
	{ "CLAUDE_CODE_MCP_STARTUP_WAIT_MS", "2000", CLAUDE_LAUNCH_UNLESS_SET },
	/* As root it refuses to run without permissions, unless it is told what we are. */
	{ "IS_SANDBOX", "1", CLAUDE_LAUNCH_AS_ROOT },
	/* Left by an agent that started us, or meant for another program. */
	{ "CLAUDECODE", NULL, CLAUDE_LAUNCH_ALWAYS },
	{ "NODE_OPTIONS", NULL, CLAUDE_LAUNCH_ALWAYS },
	{ "DEBUG", NULL, CLAUDE_LAUNCH_ALWAYS },
};

static const char *const claude_launch_on_amazon[] = {
	"CLAUDE_CODE_USE_BEDROCK",
	"CLAUDE_CODE_USE_MANTLE",
	"CLAUDE_CODE_USE_ANTHROPIC_AWS",
	NULL,
};
static const char *const claude_launch_on_microsoft[] = { "CLAUDE_CODE_USE_FOUNDRY", NULL };

/*
 * Keys, tokens and passwords that the CLI reads from its environment: https://code.claude.com/docs/
 * (environment variables; authentication with Amazon, Google and Microsoft), and the variables of
 * the SDKs of these clouds that it is linked with. What only names a file or an account is none, but
 * for AWS_ACCESS_KEY_ID: Amazon's programs fail where it is left without its secret, instead of
 * looking elsewhere. Google's keys are in files.
 */
const struct provider_secret claude_launch_secrets[] = {
	{ "ANTHROPIC_API_KEY", NULL },
	{ "ANTHROPIC_AUTH_TOKEN", NULL },
	{ "ANTHROPIC_AWS_API_KEY", NULL },
	{ "ANTHROPIC_BEDROCK_MANTLE_API_KEY", NULL },
	{ "ANTHROPIC_CUSTOM_HEADERS", NULL },
	{ "ANTHROPIC_FOUNDRY_API_KEY", NULL },
	{ "ANTHROPIC_FOUNDRY_AUTH_TOKEN", NULL },
	{ "ANTHROPIC_IDENTITY_TOKEN", NULL },
	{ "AWS_ACCESS_KEY_ID", claude_launch_on_amazon },
	{ "AWS_BEARER_TOKEN_BEDROCK", NULL },
	{ "AWS_CONTAINER_AUTHORIZATION_TOKEN", claude_launch_on_amazon },
	{ "AWS_SECRET_ACCESS_KEY", claude_launch_on_amazon },
	{ "AWS_SESSION_TOKEN", claude_launch_on_amazon },
	{ "AZURE_CLIENT_CERTIFICATE_PASSWORD", claude_launch_on_microsoft },
	{ "AZURE_CLIENT_SECRET", claude_launch_on_microsoft },
	{ "AZURE_PASSWORD", claude_launch_on_microsoft },
	{ "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE", NULL },
	{ "CLAUDE_CODE_OAUTH_REFRESH_TOKEN", NULL },
	{ "CLAUDE_CODE_OAUTH_TOKEN", NULL },
	{ "CLAUDE_CODE_SESSION_ACCESS_TOKEN", NULL },
	{ "MCP_CLIENT_SECRET", NULL },
	{ "MCP_XAA_IDP_CLIENT_SECRET", NULL },
	/* An authorization header for a collector. */
	{ "OTEL_EXPORTER_OTLP_HEADERS", NULL },
	{ "OTEL_EXPORTER_OTLP_LOGS_HEADERS", NULL },
	{ "OTEL_EXPORTER_OTLP_METRICS_HEADERS", NULL },
	{ "OTEL_EXPORTER_OTLP_TRACES_HEADERS", NULL },
	{ NULL, NULL },
};

int claude_launch_find(char **ret_path, struct err *err)
{
	const char *set = getenv("AGENT_CLAUDE_PATH"), *folders = getenv("PATH");
	const char *path = set && *set ? set : CLAUDE_LAUNCH_IMAGE_PATH;
	int r = cli_find_check(path);

	if (r == 0) {
		*ret_path = strdup(path);
		return *ret_path ? 0 : err_sys(err, -ENOMEM, "cannot look for Claude Code");
	}
	if (set && *set)
		return err_set(err, r, "Claude Code is not at AGENT_CLAUDE_PATH=%s: %s", set,
			       r == -EACCES ? "it cannot be executed" : "there is no such file");
	r = cli_find_in_path("claude", ret_path);
	if (r == -ENOMEM)
		return err_sys(err, r, "cannot look for Claude Code");
	return r == 0 ? 0
		      : err_set(err, r,
				"Claude Code is not installed: looked for %s, then for claude in "
				"PATH=%s; AGENT_CLAUDE_PATH can name it",
				CLAUDE_LAUNCH_IMAGE_PATH, folders ? folders : "");
}

/* The tools, and those of every MCP server. */
static void claude_launch_add_allowed(struct cli_words *argv, const char *mcp_file,
				      const struct provider_query *query)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	strbuf_puts(&text, claude_launch_allowed);
	if (mcp_file)
		claude_mcp_append_patterns(query->mcp_servers, &text);
	if (text.error)
		argv->error = text.error;
	else
		cli_words_add(argv, "%s", text.data);
}

static void claude_launch_add_arguments(struct cli_words *argv, const char *path,
					const char *mcp_file, const struct provider_query *query)
{
	cli_words_add(argv, "%s", path);
	claude_launch_add_allowed(argv, mcp_file, query);
	if (mcp_file)
		cli_words_add(argv, "--mcp-config=%s", mcp_file);
	for (size_t i = 0; i < ARRAY_LEN(claude_launch_arguments); i++)
		cli_words_add(argv, "%s", claude_launch_arguments[i]);
	if (query->model)
		cli_words_add(argv, "--model=%s", query->model);
	if (query->effort)
		cli_words_add(argv, "--effort=%s", query->effort);
	for (const char *const *d = query->directories; d && *d; d++)
		cli_words_add(argv, "--add-dir=%s", *d);
	if (query->continuation)
		cli_words_add(argv, "--resume=%s", query->continuation);
}

static void claude_launch_add_variables(struct cli_words *env, const struct provider_query *query)
{
	for (size_t i = 0; i < ARRAY_LEN(claude_launch_variables); i++) {
		const char *name = claude_launch_variables[i].name;
		const char *value = claude_launch_variables[i].value;

		switch (claude_launch_variables[i].when) {
		case CLAUDE_LAUNCH_AS_ROOT:
			if (geteuid() != 0)
				continue;
			break;
		case CLAUDE_LAUNCH_UNLESS_SET:
			if (cli_words_name(query->env, name) || getenv(name))
				continue;
			break;
		case CLAUDE_LAUNCH_ALWAYS:
			break;
		}
		if (value)
			cli_words_add(env, "%s=%s", name, value);
		else
			cli_words_add(env, "%s", name);
	}
	cli_words_copy(env, query->env);
}

int claude_launch_init(struct claude_launch *launch, const char *path, const char *mcp_file,
		       const struct provider_query *query)
{
	*launch = (struct claude_launch){ .argv = CLI_WORDS_EMPTY };
	claude_launch_add_arguments(&launch->argv, path, mcp_file, query);
	claude_launch_add_variables(&launch->env, query);
	return launch->argv.error ? launch->argv.error : launch->env.error;
}

void claude_launch_deinit(struct claude_launch *launch)
{
	cli_words_deinit(&launch->argv);
	cli_words_deinit(&launch->env);
}

static int claude_launch_spawn(const char *path, const struct provider_query *query,
			       const struct cli_process_events *events, void *userdata,
			       struct cli_process **ret_process, struct err *err)
{
	cleanup_free char *mcp_file = NULL;
	struct claude_launch launch;
	struct err warning;
	struct cli_spec spec = {
		.title = CLAUDE_LAUNCH_TITLE,
		.is_unknown_session = claude_error_is_unknown_session,
	};
	int r;

	/* An agent without these tools is better than none. */
	if (claude_mcp_write(query, &mcp_file, &warning) < 0)
		log_error("%s: the agent is given no MCP servers", warning.text);
	r = claude_launch_init(&launch, path, mcp_file, query);
	spec.argv = cli_words_list(&launch.argv);
	spec.env = cli_words_list(&launch.env);
	if (r == 0)
		r = cli_process_start(query, &spec, events, userdata, ret_process, err);
	else
		err_sys(err, r, "cannot start " CLAUDE_LAUNCH_TITLE);
	claude_launch_deinit(&launch);
	return r;
}

int claude_launch_start(const struct provider_query *query, const struct cli_process_events *events,
			void *userdata, struct cli_process **ret_process, struct err *err)
{
	cleanup_free char *path = NULL;
	struct err missing;
	const struct cli_spec none = { .title = CLAUDE_LAUNCH_TITLE, .missing = missing.text };
	int r = claude_launch_find(&path, &missing);

	if (r == -ENOENT || r == -EACCES)
		return cli_process_start(query, &none, events, userdata, ret_process, err);
	if (r < 0)
		return err_set(err, r, "%s", missing.text);
	return claude_launch_spawn(path, query, events, userdata, ret_process, err);
}
