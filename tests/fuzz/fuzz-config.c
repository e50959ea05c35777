/* SPDX-License-Identifier: MIT */
/* container.json: runner/config, runner/config-sandbox, runner/config-server. */
#include "runner/config.h"

#include <errno.h>

#include "runner/config-server.h"
#include "runner/io/json.h"
#include "tests/fuzz/fuzz.h"

/* What was handed on is read the same once more: nothing of it depends on what was left out. */
static void check_servers(const json_t *servers)
{
	json_t *iterable = (json_t *)(uintptr_t)servers, *server;
	const char *name, *fault;

	fuzz_must(json_is_object(servers));
	json_object_foreach(iterable, name, server)
	{
		cleanup_json json_t *again = NULL;

		fuzz_must(*name);
		fuzz_must(config_server_read(server, &again, &fault) == 0);
		fuzz_must(json_equal(again, server));
	}
}

/* Each word is one option with a value. */
static void check_sandbox(const struct config_sandbox *sandbox)
{
	fuzz_must(sandbox->count <= CONFIG_SANDBOX_WORDS_MAX && !sandbox->words[sandbox->count]);
	for (size_t i = 0; i < sandbox->count; i++) {
		const char *value = strchr(sandbox->words[i], '=');

		fuzz_must(strncmp(sandbox->words[i], "--", 2) == 0);
		fuzz_must(value ? value[1] : strcmp(sandbox->words[i], "--userns") == 0);
	}
}

/* The file of a test is none of the host's: what it says of the sandbox is read apart. */
static void read_sandbox(struct config *config, const uint8_t *data, size_t size)
{
	cleanup_json json_t *root = NULL;

	fuzz_must(config->sandbox.count == 0);
	if (json_parse((const char *)data, size, &root, NULL) == 0)
		fuzz_must(config_sandbox_read(config, "sandbox", json_member(root, "sandbox")) ==
			  0);
	check_sandbox(&config->sandbox);
}

static void check_config(const struct config *config)
{
	size_t seen = 0;

	fuzz_must(config->provider && config->provider[0]);
	fuzz_must(config->assistant_name && config->group_name && config->agent_group_id);
	fuzz_must(config->model && config->effort);
	fuzz_must(config->max_messages >= 1 && config->max_messages <= 1000);
	fuzz_must(config->mcp_server_name[0]);
	fuzz_must(!strpbrk(config->mcp_server_name, " .*,()\"\n"));
	fuzz_must(!strpbrk(config->mcp_tool_prefix, " .*,()\"\n"));
	check_servers(config->mcp_servers);
	for (const char *text = config_warning(config, NULL); text;
	     text = config_warning(config, text))
		seen += strlen(text) + 1;
	fuzz_must(seen == config->warnings.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const variables[] = { "AGENT_PROVIDER",     "AGENT_WATCH",
						 "AGENT_POLL_IDLE_MS", "AGENT_POLL_ACTIVE_MS",
						 "AGENT_RETRY_MS",     "AGENT_SANDBOX" };
	cleanup_config struct config *config = NULL;
	struct err err = { "" };
	int r;

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	r = config_read(fuzz_file(data, size), &config, &err);
	fuzz_must(r == 0 || ((r == -EINVAL || r == -EFBIG) && err.text[0]));
	if (r == 0) {
		check_config(config);
		read_sandbox(config, data, size);
	}
	return 0;
}
