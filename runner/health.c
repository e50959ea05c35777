/* SPDX-License-Identifier: MIT */
#include "runner/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/table.h"
#include "runner/config.h"
#include "runner/provider/registry.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound.h"
#include "runner/store/watch.h"

#define HEALTH_PATH_MAX 4096

/* Writes the path of a file below the workspace; a longer one is cut, and not found then. */
static const char *health_path(const struct runner_options *options, const char *name,
			       char path[HEALTH_PATH_MAX])
{
	(void)snprintf(path, HEALTH_PATH_MAX, "%s/%s", options->workspace, name);
	return path;
}

static enum runner_health health_inbound(const struct runner_options *options, struct err *text)
{
	cleanup_inbound struct inbound *inbound = NULL;
	char path[HEALTH_PATH_MAX];
	int r;

	r = inbound_open(health_path(options, "inbound.db", path), &inbound, text);
	if (r == 0) {
		err_set(text, 0, "%s is readable and in DELETE mode", path);
		return RUNNER_HEALTH_OK;
	}
	/* Locked or in the midst of a commit: the host is at work, and that is healthy. */
	return r == -EAGAIN && watch_header(path) == WATCH_DATABASE ? RUNNER_HEALTH_WARN
								    : RUNNER_HEALTH_FAIL;
}

static enum runner_health health_outbound(const struct runner_options *options, struct err *text)
{
	char path[HEALTH_PATH_MAX];
	int r;

	switch (watch_header(health_path(options, "outbound.db", path))) {
	case WATCH_DATABASE:
		break;
	case WATCH_MISSING:
		err_set(text, 0, "%s is missing: the session loop makes it when it starts", path);
		return RUNNER_HEALTH_FAIL;
	case WATCH_WAL:
		err_set(text, 0, "%s is in WAL mode; it has to be in DELETE mode", path);
		return RUNNER_HEALTH_FAIL;
	case WATCH_EMPTY:
	case WATCH_ALIEN:
		err_set(text, 0, "%s is not a readable SQLite database", path);
		return RUNNER_HEALTH_FAIL;
	}
	r = outbound_oldest_claim(path, NULL, text);
	if (r < 0)
		return r == -EAGAIN ? RUNNER_HEALTH_WARN : RUNNER_HEALTH_FAIL;
	err_set(text, 0, "%s is readable and in DELETE mode", path);
	return RUNNER_HEALTH_OK;
}

static int health_load_config(const struct runner_options *options, struct config **ret_config,
			      struct err *text)
{
	char path[HEALTH_PATH_MAX];

	return config_load(health_path(options, "agent/container.json", path), ret_config, text);
}

static enum runner_health health_config(const struct runner_options *options, struct err *text)
{
	cleanup_config struct config *config = NULL;

	if (health_load_config(options, &config, text) < 0)
		return RUNNER_HEALTH_FAIL;
	err_set(text, 0, "container.json loads; provider %s", config->provider);
	return RUNNER_HEALTH_OK;
}

static enum runner_health health_agent(const struct runner_options *options, struct err *text)
{
	cleanup_config struct config *config = NULL;
	const struct provider_type *type;

	if (health_load_config(options, &config, text) < 0)
		return RUNNER_HEALTH_FAIL;
	type = registry_find(config->provider);
	if (!type) {
		err_set(text, 0, "there is no provider \"%s\"", config->provider);
		return RUNNER_HEALTH_FAIL;
	}
	return type->probe(text) < 0 ? RUNNER_HEALTH_FAIL : RUNNER_HEALTH_OK;
}

/* Claims must not grow older than the heartbeat allows, nor than the tool in flight declared. */
static enum runner_health health_claims(const struct runner_options *options, struct err *text)
{
	struct outbound_claim_age claim = { .count = 0 };
	char path[HEALTH_PATH_MAX];
	int64_t now_s = clock_realtime_ms() / 1000, patience_s = HEALTH_CLAIM_MAX_S;
	int64_t since_s;
	struct stat st;
	int r;

	r = outbound_oldest_claim(health_path(options, "outbound.db", path), &claim, text);
	if (r < 0)
		return r == -EAGAIN ? RUNNER_HEALTH_WARN : RUNNER_HEALTH_FAIL;
	if (claim.count == 0) {
		err_set(text, 0, "nothing is claimed");
		return RUNNER_HEALTH_OK;
	}
	if (claim.tool_timeout_ms / 1000 > patience_s)
		patience_s = claim.tool_timeout_ms / 1000;
	since_s = claim.oldest_s;
	if (stat(health_path(options, ".heartbeat", path), &st) == 0 && st.st_mtime > since_s)
		since_s = st.st_mtime;
	if (now_s - since_s > patience_s) {
		err_set(text, 0,
			"a claim is %lld s old and the last heartbeat %lld s: the session loop or "
			"the agent hangs",
			(long long)(now_s - claim.oldest_s), (long long)(now_s - since_s));
		return RUNNER_HEALTH_FAIL;
	}
	err_set(text, 0, "%zu claimed, the last sign of life is %lld s old", claim.count,
		(long long)(now_s - since_s));
	return RUNNER_HEALTH_OK;
}

static const struct runner_check health_table[] = {
	{ "inbound", "inbound.db can be read and is in DELETE mode", health_inbound },
	{ "outbound", "outbound.db can be read and is in DELETE mode", health_outbound },
	{ "config", "container.json loads", health_config },
	{ "agent", "the agent CLI is there and executable", health_agent },
	{ "claims", "no claim is older than the heartbeat allows", health_claims },
};

const struct runner_check *health_checks(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(health_table);
	return health_table;
}
