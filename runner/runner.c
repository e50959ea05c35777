/* SPDX-License-Identifier: MIT */
#include "runner/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/config.h"
#include "runner/health.h"
#include "runner/io/json.h"
#include "runner/mcp/client.h"
#include "runner/mcp/methods.h"
#include "runner/mcp/ncl.h"
#include "runner/mcp/relay.h"
#include "runner/message/compaction.h"
#include "runner/once.h"
#include "runner/provider/registry.h"
#include "runner/secrets.h"
#include "runner/session.h"

/* The agent waits meanwhile, and the names are only the smaller part of the text. */
#define RUNNER_COMPACT_TIMEOUT_MS 2000

/* Which agent, where there is no session. */
#define RUNNER_PROVIDER "AGENT_PROVIDER"

int runner_session(const struct runner_options *options)
{
	return session_run(options);
}

int runner_once(const struct runner_options *options, int fd)
{
	return once_run(options, fd);
}

int runner_confine(const struct runner_options *options, struct err *err)
{
	cleanup_config struct config *config = NULL;
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/agent/container.json", options->workspace) < 0) {
		path = NULL;
		return err_set(err, EXIT_CODE_INTERNAL, "out of memory");
	}
	r = config_load_sandbox(path, &config, err);
	if (r < 0)
		return r == -ENOMEM ? EXIT_CODE_INTERNAL : EXIT_CODE_CONFIG;
	return options->confine(options->userdata, (const char *const *)config->sandbox.words, err);
}

int runner_forget_keys(void)
{
	struct secrets *secrets = NULL;
	const char *provider = getenv(RUNNER_PROVIDER);
	int r = secrets_take(&secrets);

	/* No file of the workspace says it: whoever may write there could keep the keys in sight. */
	if (r == 0 && provider)
		r = secrets_take_shared(secrets, registry_find(provider));
	secrets_free(secrets);
	return r;
}

int runner_mcp(const struct runner_options *options)
{
	struct err err;
	int r = relay_run(options->workspace, STDIN_FILENO, STDOUT_FILENO, &err);

	if (r == 0)
		return EXIT_CODE_OK;
	log_error("mcp: %s", err.text);
	if (r == -ENOENT || r == -ETIMEDOUT)
		return EXIT_CODE_TEMPORARY;
	return r == -EACCES ? EXIT_CODE_NO_PERMISSION : EXIT_CODE_FAILED;
}

int runner_ncl(const struct runner_options *options, char *const *words)
{
	return ncl_run(options->workspace, words);
}

/* What the loop says, which knows the names. 0, or -errno with a text. */
static int runner_ask_compact(const char *workspace, struct strbuf *text, struct err *err)
{
	const struct client_request request = {
		.method = METHODS_COMPACT_INSTRUCTIONS,
		.timeout_ms = RUNNER_COMPACT_TIMEOUT_MS,
	};
	cleanup_json json_t *result = NULL;
	const char *answer;
	int64_t code;
	int r = client_ask(workspace, &request, &result, &code, err);

	if (r != 0)
		return r < 0 ? r : -EPROTO;
	answer = json_member_string(result, "text");
	return answer ? strbuf_puts(text, answer) : err_set(err, -EPROTO, "no text came");
}

int runner_compact_instructions(const struct runner_options *options)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct err err;
	int r = runner_ask_compact(options->workspace, &text, &err);

	/* Outside of a session nobody expects names; in one the text is better than none. */
	if (r < 0 && r != -ENOENT)
		log_warning("compact-instructions: without the destinations' names: %s", err.text);
	if (r < 0)
		r = compaction_compose(NULL, &text);
	if (r == 0)
		r = fd_write_all(STDOUT_FILENO, text.data, text.len);
	if (r == 0)
		return EXIT_CODE_OK;
	(void)err_sys(&err, r, "cannot print them");
	log_error("compact-instructions: %s", err.text);
	return EXIT_CODE_FAILED;
}

const struct runner_check *runner_checks(size_t *ret_count)
{
	return health_checks(ret_count);
}
