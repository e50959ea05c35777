/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-launch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/provider/claude-mcp.h"

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

/* 0; -ENOENT; -EACCES: something is there that cannot be executed. */
static int claude_launch_check(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return -EACCES;
	return 0;
}

/* Looks for `claude` in the folders of PATH. 0 with *ret_path, -ENOENT or -ENOMEM. */
static int claude_launch_search(const char *folders, char **ret_path)
{
	while (folders && *folders) {
		size_t len = strcspn(folders, ":");
		char *path;

		if (asprintf(&path, "%.*s/claude", len > 0 ? (int)len : 1,
			     len > 0 ? folders : ".") < 0)
			return -ENOMEM;
		if (claude_launch_check(path) == 0) {
			*ret_path = path;
			return 0;
		}
		free(path);
		folders += len + (folders[len] == ':');
	}
	return -ENOENT;
}

int claude_launch_find(char **ret_path, struct err *err)
{
	const char *set = getenv("AGENT_CLAUDE_PATH"), *folders = getenv("PATH");
	const char *path = set && *set ? set : CLAUDE_LAUNCH_IMAGE_PATH;
	int r = claude_launch_check(path);

	if (r == 0) {
		*ret_path = strdup(path);
		return *ret_path ? 0 : err_sys(err, -ENOMEM, "cannot look for Claude Code");
	}
	if (set && *set)
		return err_set(err, r, "Claude Code is not at AGENT_CLAUDE_PATH=%s: %s", set,
			       r == -EACCES ? "it cannot be executed" : "there is no such file");
	r = claude_launch_search(folders, ret_path);
	if (r == -ENOMEM)
		return err_sys(err, r, "cannot look for Claude Code");
	return r == 0 ? 0
		      : err_set(err, r,
				"Claude Code is not installed: looked for %s, then for claude in "
				"PATH=%s; AGENT_CLAUDE_PATH can name it",
				CLAUDE_LAUNCH_IMAGE_PATH, folders ? folders : "");
}

/* A list of heap strings under construction. */
struct claude_list {
	char **items;
	size_t count;
	int error;
};

/* text: a heap string that becomes the list's; NULL: memory ran out. */
static void claude_list_take(struct claude_list *list, char *text)
{
	char **items = text && !list->error
			       ? realloc(list->items, (list->count + 2) * sizeof(*items))
			       : NULL;

	if (!items) {
		free(text);
		list->error = -ENOMEM;
		return;
	}
	items[list->count++] = text;
	items[list->count] = NULL;
	list->items = items;
}

static void claude_list_add(struct claude_list *list, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void claude_list_add(struct claude_list *list, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	claude_list_take(list, text);
}

/* The tools, and those of every MCP server. */
static void claude_launch_add_allowed(struct claude_list *argv, const char *mcp_file,
				      const struct provider_query *query)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	strbuf_puts(&text, claude_launch_allowed);
	if (mcp_file)
		claude_mcp_append_patterns(query->mcp_servers, &text);
	if (text.error)
		argv->error = text.error;
	else
		claude_list_add(argv, "%s", text.data);
}

static void claude_launch_add_arguments(struct claude_list *argv, const char *path,
					const char *mcp_file, const struct provider_query *query)
{
	claude_list_add(argv, "%s", path);
	claude_launch_add_allowed(argv, mcp_file, query);
	if (mcp_file)
		claude_list_add(argv, "--mcp-config=%s", mcp_file);
	for (size_t i = 0; i < ARRAY_LEN(claude_launch_arguments); i++)
		claude_list_add(argv, "%s", claude_launch_arguments[i]);
	if (query->model)
		claude_list_add(argv, "--model=%s", query->model);
	if (query->effort)
		claude_list_add(argv, "--effort=%s", query->effort);
	for (const char *const *d = query->directories; d && *d; d++)
		claude_list_add(argv, "--add-dir=%s", *d);
	if (query->continuation)
		claude_list_add(argv, "--resume=%s", query->continuation);
}

/* Did the operator, or the request, set this variable? */
static bool claude_launch_is_set(const char *name, const struct provider_query *query)
{
	size_t len = strlen(name);

	for (const char *const *e = query->env; e && *e; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
			return true;
	return getenv(name) != NULL;
}

static void claude_launch_add_variables(struct claude_list *env, const struct provider_query *query)
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
			if (claude_launch_is_set(name, query))
				continue;
			break;
		case CLAUDE_LAUNCH_ALWAYS:
			break;
		}
		if (value)
			claude_list_add(env, "%s=%s", name, value);
		else
			claude_list_add(env, "%s", name);
	}
	/* Not by printf, whose buffers would keep a copy of what is secret. */
	for (const char *const *e = query->env; e && *e; e++)
		claude_list_take(env, strdup(*e));
}

int claude_launch_init(struct claude_launch *launch, const char *path, const char *mcp_file,
		       const struct provider_query *query)
{
	struct claude_list argv = { .items = NULL }, env = { .items = NULL };

	claude_launch_add_arguments(&argv, path, mcp_file, query);
	claude_launch_add_variables(&env, query);
	launch->argv = argv.items;
	launch->env = env.items;
	return argv.error ? argv.error : env.error;
}

/* Overwrites them first: there are keys in the environment. */
static void claude_launch_free_list(char **list)
{
	for (char **item = list; item && *item; item++) {
		explicit_bzero(*item, strlen(*item));
		free(*item);
	}
	free(list);
}

void claude_launch_deinit(struct claude_launch *launch)
{
	claude_launch_free_list(launch->argv);
	claude_launch_free_list(launch->env);
	launch->argv = launch->env = NULL;
}
