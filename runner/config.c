/* SPDX-License-Identifier: MIT */
#include "runner/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/number.h"
#include "common/table.h"
#include "runner/config-sandbox.h"
#include "runner/config-server.h"
#include "runner/config-words.h"
#include "runner/io/json.h"
#include "runner/mcp/tools.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_WORD, /* a string that can be part of a tool's name */
	CONFIG_INTEGER,
};

#define CONFIG_SERVER_NAME_MAX 64

/* MCP limits the names of tools to 128 characters; server and prefix are parts of them. */
#define CONFIG_WORD_MAX	  40
#define CONFIG_WORD_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* The keys of container.json. */
static const struct {
	const char *key;
	enum config_type type;
	size_t offset;
	const char *text; /* default of a string */
	int64_t number, min, max;
} config_keys[] = {
	{ "provider", CONFIG_STRING, offsetof(struct config, provider), "claude" },
	{ "assistantName", CONFIG_STRING, offsetof(struct config, assistant_name), "" },
	{ "groupName", CONFIG_STRING, offsetof(struct config, group_name), "" },
	{ "agentGroupId", CONFIG_STRING, offsetof(struct config, agent_group_id), "" },
	{ "model", CONFIG_STRING, offsetof(struct config, model), "" },
	{ "effort", CONFIG_STRING, offsetof(struct config, effort), "" },
	{ "mcpServerName", CONFIG_WORD, offsetof(struct config, mcp_server_name), "nanoclaw" },
	{ "mcpToolPrefix", CONFIG_WORD, offsetof(struct config, mcp_tool_prefix), "" },
	{ "maxMessagesPerPrompt", CONFIG_INTEGER, offsetof(struct config, max_messages), NULL, 10,
	  1, 1000 },
	{ "agentSilenceSeconds", CONFIG_INTEGER, offsetof(struct config, silence_s), NULL, 600, 0,
	  86400 },
	{ "agentInterruptSeconds", CONFIG_INTEGER, offsetof(struct config, interrupt_s), NULL, 5, 1,
	  600 },
	{ "agentIdleSeconds", CONFIG_INTEGER, offsetof(struct config, agent_idle_s), NULL, 0, 0,
	  86400 },
	{ "idleExitSeconds", CONFIG_INTEGER, offsetof(struct config, exit_idle_s), NULL, 0, 0,
	  86400 },
};

/* What the environment sets, in milliseconds. */
static const struct {
	const char *name;
	size_t offset;
	int64_t number, min, max;
} config_variables[] = {
	{ "AGENT_POLL_IDLE_MS", offsetof(struct config, poll_idle_ms), 1000, 1, 3600000 },
	{ "AGENT_POLL_ACTIVE_MS", offsetof(struct config, poll_active_ms), 500, 1, 3600000 },
	{ "AGENT_RETRY_MS", offsetof(struct config, retry_ms), 2000, 1, 3600000 },
};

/* Each wait as a multiple of the first: 2, 8 and 30 seconds by default. */
static const int64_t config_retry_factors[] = { 1, 4, 15 };
TABLE_COVERS(config_retry_factors, CONFIG_RETRIES);

static void *config_at(struct config *config, size_t offset)
{
	return (char *)config + offset;
}

void config_warn(struct config *config, const char *format, ...)
{
	struct err text;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text.text, sizeof(text.text), format, args);
	va_end(args);
	(void)strbuf_append(&config->warnings, text.text, strlen(text.text) + 1);
}

/* What a number was set to in the file, for a warning. */
static void config_show_number(const json_t *value, char *text, size_t size)
{
	if (json_is_integer(value))
		(void)snprintf(text, size, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		(void)snprintf(text, size, "%g", json_real_value(value));
	else
		(void)snprintf(text, size, "%s", json_type_name(value));
}

static void config_apply_integer(struct config *config, size_t i, const char *path,
				 const json_t *root)
{
	int64_t min = config_keys[i].min, max = config_keys[i].max, number = config_keys[i].number;
	const json_t *value = json_member(root, config_keys[i].key);
	/* A fallback that is out of range: an integer may be written 5.0. */
	int64_t found = json_member_int(root, config_keys[i].key, min - 1);
	char shown[64];

	if (found >= min && found <= max) {
		number = found;
	} else if (value) {
		config_show_number(value, shown, sizeof(shown));
		config_warn(config,
			    "%s: \"%s\" must be an integer from %lld to %lld, found %s: using %lld",
			    path, config_keys[i].key, (long long)min, (long long)max, shown,
			    (long long)number);
	}
	memcpy(config_at(config, config_keys[i].offset), &number, sizeof(number));
}

static int config_apply_string(struct config *config, size_t i, const char *path,
			       const json_t *root)
{
	const json_t *value = json_member(root, config_keys[i].key);
	const char *text = config_keys[i].text, *found = json_string_value(value);
	char *copy;

	if (found && strlen(found) < json_string_length(value))
		config_warn(config,
			    "%s: \"%s\" must be a text without NUL characters: using \"%s\"", path,
			    config_keys[i].key, text);
	else if (value && !found)
		config_warn(config, "%s: \"%s\" must be a string, found %s: using \"%s\"", path,
			    config_keys[i].key, json_type_name(value), text);
	else if (config_keys[i].type == CONFIG_WORD && found &&
		 (strspn(found, CONFIG_WORD_CHARS) != strlen(found) ||
		  strlen(found) > CONFIG_WORD_MAX))
		config_warn(
			config,
			"%s: \"%s\" must be of at most %d letters, digits, _ and -: using \"%s\"",
			path, config_keys[i].key, CONFIG_WORD_MAX, text);
	else if (found && *found != '\0')
		text = found;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	memcpy(config_at(config, config_keys[i].offset), &copy, sizeof(copy));
	return 0;
}

static int config_apply_keys(struct config *config, const char *path, const json_t *root)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(config_keys); i++)
		switch (config_keys[i].type) {
		case CONFIG_STRING:
		case CONFIG_WORD:
			r = config_apply_string(config, i, path, root);
			break;
		case CONFIG_INTEGER:
			config_apply_integer(config, i, path, root);
			break;
		}
	return r;
}

/* MCP servers */

/* One server; what is wrong with it is a warning, and leaves it out. 0 or -ENOMEM. */
static int config_apply_server(struct config *config, const char *path, const char *name,
			       const json_t *server)
{
	const char *fault = "has an empty name, or one that is too long";
	json_t *checked = NULL;
	int r = -EINVAL;

	if (*name && strlen(name) <= CONFIG_SERVER_NAME_MAX)
		r = config_server_read(server, &checked, &fault);
	if (r == 0)
		return json_object_set_new(config->mcp_servers, name, checked) < 0 ? -ENOMEM : 0;
	if (r == -ENOMEM)
		return r;
	config_warn(config, "%s: the MCP server \"%.64s\" %s: left out", path, name, fault);
	return 0;
}

static int config_apply_servers(struct config *config, const char *path, const json_t *root)
{
	json_t *servers = json_member(root, "mcpServers"), *server;
	const char *name;
	int r;

	config->mcp_servers = json_object();
	if (!config->mcp_servers)
		return -ENOMEM;
	if (servers && !json_is_object(servers))
		config_warn(config, "%s: \"mcpServers\" must be an object, found %s: left out",
			    path, json_type_name(servers));
	json_object_foreach(servers, name, server)
	{
		r = config_apply_server(config, path, name, server);
		if (r < 0)
			return r;
	}
	return 0;
}

static int config_apply_tools(struct config *config, const char *path, const json_t *root)
{
	const json_t *tools = json_member(root, "mcpTools"), *tool;
	size_t i;

	if (tools && !config_words_are(tools)) {
		config_warn(config, "%s: \"mcpTools\" must be an array of strings: using all tools",
			    path);
		return 0;
	}
	if (!tools)
		return 0;
	config->mcp_tools = config_words_copy(tools);
	if (!config->mcp_tools)
		return -ENOMEM;
	json_array_foreach(tools, i, tool)
	{
		if (!tools_find(config->mcp_tools[i]))
			config_warn(config, "%s: \"mcpTools\": there is no tool \"%.64s\"", path,
				    config->mcp_tools[i]);
	}
	return 0;
}

/* A variable's value; one that is set to nothing is not set. */
static const char *config_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void config_apply_variables(struct config *config)
{
	const char *watch = config_variable("AGENT_WATCH");

	for (size_t i = 0; i < ARRAY_LEN(config_variables); i++) {
		const char *text = config_variable(config_variables[i].name);
		int64_t number = config_variables[i].number;

		if (text && number_parse_int(text, config_variables[i].min, config_variables[i].max,
					     &number) < 0)
			config_warn(config,
				    "%s must be milliseconds from %lld to %lld, found \"%s\": "
				    "using %lld",
				    config_variables[i].name, (long long)config_variables[i].min,
				    (long long)config_variables[i].max, text, (long long)number);
		memcpy(config_at(config, config_variables[i].offset), &number, sizeof(number));
	}
	for (size_t i = CONFIG_RETRIES; i-- > 0;)
		config->retry_ms[i] = config->retry_ms[0] * config_retry_factors[i];
	config->use_inotify = !watch || strcmp(watch, "poll") != 0;
	if (watch && config->use_inotify && strcmp(watch, "inotify") != 0)
		config_warn(config,
			    "AGENT_WATCH must be inotify or poll, found \"%s\": using inotify",
			    watch);
}

/* AGENT_PROVIDER overrides the file. */
static int config_apply_provider(struct config *config)
{
	const char *name = config_variable("AGENT_PROVIDER");
	char *copy;

	if (!name)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(config->provider);
	config->provider = copy;
	return 0;
}

/* The command line of an ACP agent: AGENT_ACP_COMMAND overrides the file. 0 or -ENOMEM. */
static int config_apply_command(struct config *config, const char *path, const json_t *root)
{
	const char *text = config_variable("AGENT_ACP_COMMAND");
	const json_t *value = json_member(root, "agentCommand");

	if (!text && value && !config_words_are(value)) {
		config_warn(config, "%s: \"agentCommand\" must be an array of strings: left out",
			    path);
		return 0;
	}
	if (!text && json_array_size(value) == 0)
		return 0;
	config->agent_command = text ? config_words_split(text) : config_words_copy(value);
	return config->agent_command ? 0 : -ENOMEM;
}

static int config_parse(int fd, const char *path, json_t **ret_root, struct err *err)
{
	cleanup_free char *text = NULL;
	cleanup_json json_t *root = NULL;
	size_t len;
	int r;

	r = fd_read_regular(fd, path, CONFIG_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = json_parse(text, len, &root, err);
	if (r < 0)
		return err_prefix(err, r, "%s", path);
	if (!json_is_object(root))
		return err_set(err, -EINVAL, "%s: must be a JSON object, found %s", path,
			       json_type_name(root));
	*ret_root = steal_ptr(root);
	return 0;
}

/* Why the file's "sandbox" does not count, and what to do. */
static const char *const config_sandbox_left_out[] = {
	[CONFIG_SANDBOX_AGENTS] = "lies where the agent can write it: its \"sandbox\" is left out; "
				  "mount it read-only",
	[CONFIG_SANDBOX_BEHIND_A_LINK] =
		"or its folder is a symbolic link: its \"sandbox\" is left out; mount the file "
		"itself read-only (Kubernetes: with subPath)",
};

/* AGENT_SANDBOX stands for the file's "sandbox" as a whole. 0, or -errno with a text. */
static int config_apply_sandbox(struct config *config, const char *path, const json_t *root,
				enum config_sandbox_owner owner, struct err *err)
{
	const char *text = config_variable(CONFIG_SANDBOX_VARIABLE);
	const json_t *value = json_member(root, "sandbox");
	cleanup_json json_t *variable = NULL;
	cleanup_free char *name = NULL;
	int r;

	if (text) {
		r = json_parse(text, strlen(text), &variable, err);
		if (r < 0)
			return err_prefix(err, r, CONFIG_SANDBOX_VARIABLE);
		if (!json_is_object(variable))
			return err_set(err, -EINVAL,
				       CONFIG_SANDBOX_VARIABLE ": must be a JSON object, found %s",
				       json_type_name(variable));
		r = config_sandbox_read(config, CONFIG_SANDBOX_VARIABLE, variable);
	} else if (value && owner != CONFIG_SANDBOX_HOSTS) {
		config_warn(config, "%s %s", path, config_sandbox_left_out[owner]);
		return 0;
	} else {
		if (asprintf(&name, "%s: \"sandbox\"", path) < 0)
			name = NULL;
		r = name ? config_sandbox_read(config, name, value) : -ENOMEM;
	}
	return r < 0 ? err_sys(err, r, "%s", path) : 0;
}

int config_read(const char *path, struct config **ret_config, struct err *err)
{
	cleanup_config struct config *config = calloc(1, sizeof(*config));
	cleanup_json json_t *root = NULL;
	enum config_sandbox_owner owner = CONFIG_SANDBOX_AGENTS;
	cleanup_close int fd = config_sandbox_open(path, &owner);
	int r = 0;

	if (fd < 0 && fd != -ENOENT)
		return err_sys(err, fd, "%s", path);
	if (fd >= 0)
		r = config_parse(fd, path, &root, err);
	if (r < 0)
		return r;
	r = config ? config_apply_keys(config, path, root) : -ENOMEM;
	if (r == 0)
		r = config_apply_servers(config, path, root);
	if (r == 0)
		r = config_apply_tools(config, path, root);
	if (r == 0)
		r = config_apply_provider(config);
	if (r == 0)
		r = config_apply_command(config, path, root);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	config_apply_variables(config);
	r = config_apply_sandbox(config, path, root, owner, err);
	if (r < 0)
		return r;
	*ret_config = steal_ptr(config);
	return 0;
}

static void config_log(const struct config *config)
{
	for (const char *text = config_warning(config, NULL); text;
	     text = config_warning(config, text))
		log_warning("%s", text);
}

int config_load(const char *path, struct config **ret_config, struct err *err)
{
	int r = config_read(path, ret_config, err);

	if (r == 0)
		config_log(*ret_config);
	return r;
}

int config_load_sandbox(const char *path, struct config **ret_config, struct err *err)
{
	cleanup_config struct config *config = calloc(1, sizeof(*config));
	cleanup_json json_t *root = NULL;
	enum config_sandbox_owner owner = CONFIG_SANDBOX_AGENTS;
	cleanup_close int fd = config_sandbox_open(path, &owner);
	int r = 0;

	if (!config)
		return err_sys(err, -ENOMEM, "%s", path);
	/* No session: where its folder would be, anything may lie. */
	if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
		return err_sys(err, fd, "%s", path);
	if (fd >= 0)
		r = config_parse(fd, path, &root, err);
	if (r < 0 && owner == CONFIG_SANDBOX_HOSTS)
		return r;
	r = config_apply_sandbox(config, path, root, owner, err);
	if (r < 0)
		return r;
	config_log(config);
	*ret_config = steal_ptr(config);
	return 0;
}

const char *config_warning(const struct config *config, const char *previous)
{
	const char *next = previous ? previous + strlen(previous) + 1 : config->warnings.data;

	return next && next < config->warnings.data + config->warnings.len ? next : NULL;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < ARRAY_LEN(config_keys); i++)
		if (config_keys[i].type != CONFIG_INTEGER)
			free(*(char **)config_at(config, config_keys[i].offset));
	json_decref(config->mcp_servers);
	config_words_free(config->mcp_tools);
	config_words_free(config->agent_command);
	config_sandbox_deinit(&config->sandbox);
	strbuf_deinit(&config->warnings);
	free(config);
}
