/* SPDX-License-Identifier: MIT */
#include "runner/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/config.h"
#include "runner/io/json.h"
#include "runner/mcp/client.h"
#include "runner/mcp/methods.h"
#include "runner/provider/registry.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound-lookup.h"
#include "runner/store/watch.h"

#define HEALTH_PATH_MAX 4096

/* The probe has 50 ms for everything. */
#define HEALTH_MCP_MS 30

/* Writes the path of a file below the workspace; a longer one is cut, and not found then. */
static const char *health_path(const struct runner_options *options, const char *name,
			       char path[HEALTH_PATH_MAX])
{
	(void)snprintf(path, HEALTH_PATH_MAX, "%s/%s", options->workspace, name);
	return path;
}

static enum runner_health health_inbound(const struct runner_options *options, struct err *text)
{
	char path[HEALTH_PATH_MAX];
	int r;

	r = inbound_probe(health_path(options, "inbound.db", path), text);
	if (r == 0) {
		err_set(text, 0, "%s is readable and in DELETE mode", path);
		return RUNNER_HEALTH_OK;
	}
	/* Locked or in the midst of a commit: the host is at work, and that is healthy. */
	return r == -EAGAIN && watch_header(path) == WATCH_DATABASE ? RUNNER_HEALTH_WARN
								    : RUNNER_HEALTH_FAIL;
}

/*
 * Reads the claims. The header comes first: of a file in WAL mode even a reader makes the index,
 * and a health check writes nothing.
 */
static enum runner_health health_read_claims(const char *path,
					     struct outbound_claim_age *ret_claims,
					     struct err *text)
{
	int r;

	switch (watch_header(path)) {
	case WATCH_DATABASE:
		r = outbound_oldest_claim(path, ret_claims, text);
		if (r == 0)
			return RUNNER_HEALTH_OK;
		return r == -EAGAIN ? RUNNER_HEALTH_WARN : RUNNER_HEALTH_FAIL;
	case WATCH_MISSING:
		err_set(text, 0, "%s is missing: the session loop makes it when it starts", path);
		break;
	case WATCH_EMPTY:
		err_set(text, 0, "%s is empty: the session loop makes its tables when it starts",
			path);
		break;
	case WATCH_WAL:
		err_set(text, 0, "%s is in WAL mode; it has to be in DELETE mode", path);
		break;
	case WATCH_CLOSED:
		err_set(text, 0, "%s cannot be read: %s", path, strerror(errno));
		break;
	case WATCH_ALIEN:
		err_set(text, 0, "%s is not a readable SQLite database", path);
		break;
	}
	return RUNNER_HEALTH_FAIL;
}

static enum runner_health health_outbound(const struct runner_options *options, struct err *text)
{
	char path[HEALTH_PATH_MAX];
	struct outbound_claim_age claims;
	enum runner_health health =
		health_read_claims(health_path(options, "outbound.db", path), &claims, text);

	if (health == RUNNER_HEALTH_OK)
		err_set(text, 0, "%s is readable and in DELETE mode", path);
	return health;
}

static int health_read_config(const struct runner_options *options, struct config **ret_config,
			      struct err *text)
{
	char path[HEALTH_PATH_MAX];

	return config_read(health_path(options, "agent/container.json", path), ret_config, text);
}

static enum runner_health health_config(const struct runner_options *options, struct err *text)
{
	cleanup_config struct config *config = NULL;
	const char *warning;

	if (health_read_config(options, &config, text) < 0)
		return RUNNER_HEALTH_FAIL;
	warning = config_warning(config, NULL);
	if (warning) {
		err_set(text, 0, "%s", warning);
		return RUNNER_HEALTH_WARN;
	}
	err_set(text, 0, "container.json loads; provider %s", config->provider);
	return RUNNER_HEALTH_OK;
}

static enum runner_health health_agent(const struct runner_options *options, struct err *text)
{
	cleanup_config struct config *config = NULL;
	struct provider_query query = { .loop = NULL };
	char names[256];

	if (health_read_config(options, &config, text) < 0)
		return RUNNER_HEALTH_FAIL;
	query.type = registry_find(config->provider);
	query.command = (const char *const *)config->agent_command;
	if (!query.type) {
		registry_names(names, sizeof(names));
		err_set(text, 0, "there is no provider \"%s\": there are %s", config->provider,
			names);
		return RUNNER_HEALTH_FAIL;
	}
	return query.type->probe(&query, text) < 0 ? RUNNER_HEALTH_FAIL : RUNNER_HEALTH_OK;
}

/* Seconds since then; a clock that differs from ours does not make it negative. */
static long long health_age_s(int64_t then_s)
{
	int64_t now_s = clock_realtime_ms() / 1000;

	return now_s > then_s ? (long long)(now_s - then_s) : 0;
}

/* Claims must not grow older than the heartbeat allows, nor than the tool in flight declared. */
static enum runner_health health_claims(const struct runner_options *options, struct err *text)
{
	struct outbound_claim_age claims;
	char path[HEALTH_PATH_MAX];
	long long patience_s = HEALTH_CLAIM_MAX_S, silent_s;
	enum runner_health health;
	struct stat st;

	health = health_read_claims(health_path(options, "outbound.db", path), &claims, text);
	if (health != RUNNER_HEALTH_OK)
		return health;
	if (claims.count == 0) {
		err_set(text, 0, "nothing is claimed");
		return RUNNER_HEALTH_OK;
	}
	if (claims.tool_timeout_ms / 1000 > patience_s)
		patience_s = claims.tool_timeout_ms / 1000;
	/* Before the first beat the claim itself is the sign of life. */
	silent_s = health_age_s(claims.oldest_s);
	if (stat(health_path(options, ".heartbeat", path), &st) == 0 &&
	    health_age_s(st.st_mtime) < silent_s)
		silent_s = health_age_s(st.st_mtime);
	if (silent_s > patience_s) {
		err_set(text, 0,
			"a message was claimed %lld s ago and the last sign of life is %lld s old: "
			"the session loop or the agent hangs",
			health_age_s(claims.oldest_s), silent_s);
		return RUNNER_HEALTH_FAIL;
	}
	err_set(text, 0, "%zu claimed, the last sign of life is %lld s old", claims.count,
		silent_s);
	return RUNNER_HEALTH_OK;
}

/* Appends what an MCP server is in, if it does not serve. True: it does. */
static bool health_mcp_server(const json_t *server, struct strbuf *out)
{
	const char *name = json_member_string(server, "name");
	const char *status = json_member_string(server, "status");

	if (!name || !status || strcmp(status, "connected") == 0)
		return true;
	strbuf_printf(out, "%s%s: %s", out->len > 0 ? ", " : "", name, status);
	return false;
}

/* The agent's MCP servers, as it last told the session loop. */
static enum runner_health health_mcp(const struct runner_options *options, struct err *text)
{
	const struct client_request request = {
		.method = METHODS_STATUS,
		.timeout_ms = HEALTH_MCP_MS,
	};
	cleanup_strbuf struct strbuf faults = STRBUF_EMPTY;
	cleanup_json json_t *result = NULL;
	const json_t *server, *servers;
	int64_t code;
	size_t i, good = 0;

	/* Whether the loop runs is another check's affair. */
	if (client_ask(options->workspace, &request, &result, &code, text) != 0)
		return RUNNER_HEALTH_WARN;
	servers = json_member(result, "servers");
	json_array_foreach(servers, i, server) good += health_mcp_server(server, &faults);
	if (faults.len > 0) {
		err_set(text, 0, "%s", faults.data);
		return RUNNER_HEALTH_WARN;
	}
	if (good > 0)
		err_set(text, 0, "connected to the agent: %zu", good);
	else
		err_set(text, 0, "served; the agent has not told of any yet");
	return RUNNER_HEALTH_OK;
}

static const struct runner_check health_table[] = {
	{ "inbound", "inbound.db can be read and is in DELETE mode", health_inbound },
	{ "outbound", "outbound.db can be read and is in DELETE mode", health_outbound },
	{ "config", "container.json loads", health_config },
	{ "agent", "the agent CLI is there and executable", health_agent },
	{ "mcp", "the agent's MCP servers are connected", health_mcp },
	{ "claims", "no claim is older than the heartbeat allows", health_claims },
};

const struct runner_check *health_checks(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(health_table);
	return health_table;
}
