/* SPDX-License-Identifier: MIT */
#include "runner/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;

static int setup(void **state)
{
	static const char *const variables[] = { "AGENT_PROVIDER",     "AGENT_WATCH",
						 "AGENT_POLL_IDLE_MS", "AGENT_POLL_ACTIVE_MS",
						 "AGENT_RETRY_MS",     "AGENT_SANDBOX" };

	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static const char *path(void)
{
	return folder_file(&folder, "container.json");
}

/* Loads a file that is fine but for warnings, which are compared; %s in them is its path. */
static struct config *load(const char *json, const char *warnings)
{
	struct config *config = NULL;
	char expected[1024];
	struct err err;

	if (json)
		folder_write(&folder, "container.json", json);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(config_load(path(), &config, &err), 0);
	snprintf(expected, sizeof(expected), "%s%s%s", *warnings ? "agent-runner: warning: " : "",
		 *warnings == ':' ? path() : "", warnings);
	assert_string_equal(capture_stop(&capture), expected);
	return config;
}

static void assert_defaults(const struct config *config)
{
	assert_string_equal(config->provider, "claude");
	assert_string_equal(config->assistant_name, "");
	assert_string_equal(config->group_name, "");
	assert_string_equal(config->agent_group_id, "");
	assert_string_equal(config->model, "");
	assert_string_equal(config->effort, "");
	assert_int_equal(config->max_messages, 10);
	assert_int_equal(config->silence_s, 600);
	assert_int_equal(config->interrupt_s, 5);
	assert_string_equal(config->mcp_server_name, "nanoclaw");
	assert_string_equal(config->mcp_tool_prefix, "");
	assert_null(config->mcp_tools);
	assert_int_equal(json_object_size(config->mcp_servers), 0);
	assert_true(config->use_inotify);
	assert_int_equal(config->poll_idle_ms, 1000);
	assert_int_equal(config->poll_active_ms, 500);
	assert_int_equal(config->retry_ms[0], 2000);
	assert_int_equal(config->retry_ms[1], 8000);
	assert_int_equal(config->retry_ms[2], 30000);
}

static void test_missing_file_means_defaults(void **state)
{
	cleanup_config struct config *config = load(NULL, "");

	(void)state;
	assert_defaults(config);
}

static void test_nothing_set_means_defaults(void **state)
{
	static const char *const files[] = {
		"{}",
		"{\"unknown\": [1, {}], \"mcpServers\": {}, \"mcpServerName\": \"\"}",
		"{\"mcpServers\": null, \"mcpTools\": null, \"mcpToolPrefix\": null}",
		"{\"provider\": \"\", \"model\": null, \"maxMessagesPerPrompt\": null}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cleanup_config struct config *config = load(files[i], "");

		assert_defaults(config);
	}
}

static void test_every_key(void **state)
{
	cleanup_config struct config *config = load(
		"{\"provider\": \"Mock\", \"assistantName\": \"Andy\", \"groupName\": \"Casa\","
		" \"agentGroupId\": \"ag-1\", \"model\": \"opus\", \"effort\": \"high\","
		" \"maxMessagesPerPrompt\": 25.0}",
		"");

	(void)state;
	assert_string_equal(config->provider, "Mock");
	assert_string_equal(config->assistant_name, "Andy");
	assert_string_equal(config->group_name, "Casa");
	assert_string_equal(config->agent_group_id, "ag-1");
	assert_string_equal(config->model, "opus");
	assert_string_equal(config->effort, "high");
	assert_int_equal(config->max_messages, 25);
}

static void test_wrong_types(void **state)
{
	static const struct {
		const char *json, *warning;
	} rows[] = {
		{ "{\"provider\": 7}",
		  ": \"provider\" must be a string, found an integer: using \"claude\"\n" },
		{ "{\"model\": true}",
		  ": \"model\" must be a string, found a boolean: using \"\"\n" },
		{ "{\"effort\": [\"high\"]}",
		  ": \"effort\" must be a string, found an array: using \"\"\n" },
		{ "{\"groupName\": {}}",
		  ": \"groupName\" must be a string, found an object: using \"\"\n" },
		{ "{\"agentGroupId\": 1.5}",
		  ": \"agentGroupId\" must be a string, found a fraction: using \"\"\n" },
		{ "{\"provider\": \"mock\\u0000x\"}",
		  ": \"provider\" must be a text without NUL characters: using \"claude\"\n" },
		{ "{\"mcpServerName\": 7}",
		  ": \"mcpServerName\" must be a string, found an integer: using \"nanoclaw\"\n" },
		{ "{\"mcpServerName\": \"nano claw\"}",
		  ": \"mcpServerName\" must be of at most 40 letters, digits, _ and -: using "
		  "\"nanoclaw\"\n" },
		{ "{\"mcpServerName\": \"n\u00e4no\"}",
		  ": \"mcpServerName\" must be of at most 40 letters, digits, _ and -: using "
		  "\"nanoclaw\"\n" },
		{ "{\"mcpToolPrefix\": \"x0123456789x0123456789x0123456789x0123456\"}",
		  ": \"mcpToolPrefix\" must be of at most 40 letters, digits, _ and -: using "
		  "\"\"\n" },
		{ "{\"mcpServers\": []}",
		  ": \"mcpServers\" must be an object, found an array: left out\n" },
		{ "{\"mcpServers\": {\"a\": 7}}",
		  ": the MCP server \"a\" must be an object: left out\n" },
		{ "{\"mcpServers\": {\"\": {\"command\": \"b\"}}}",
		  ": the MCP server \"\" has an empty name, or one that is too long: left out\n" },
		{ "{\"mcpServers\": {\"a\": {\"command\": \"b\", \"args\": \"c\"}}}",
		  ": the MCP server \"a\" needs \"args\" to be an array of strings: left out\n" },
		{ "{\"mcpTools\": \"send_message\"}",
		  ": \"mcpTools\" must be an array of strings: using all tools\n" },
		{ "{\"mcpTools\": [\"send_message\", 7]}",
		  ": \"mcpTools\" must be an array of strings: using all tools\n" },
		{ "{\"agentCommand\": \"gemini --acp\"}",
		  ": \"agentCommand\" must be an array of strings: left out\n" },
		{ "{\"maxMessagesPerPrompt\": \"20\"}",
		  ": \"maxMessagesPerPrompt\" must be an integer from 1 to 1000, found a string: "
		  "using 10\n" },
		{ "{\"maxMessagesPerPrompt\": 2.5}",
		  ": \"maxMessagesPerPrompt\" must be an integer from 1 to 1000, found 2.5: "
		  "using 10\n" },
		{ "{\"maxMessagesPerPrompt\": 0}",
		  ": \"maxMessagesPerPrompt\" must be an integer from 1 to 1000, found 0: "
		  "using 10\n" },
		{ "{\"maxMessagesPerPrompt\": 1001}",
		  ": \"maxMessagesPerPrompt\" must be an integer from 1 to 1000, found 1001: "
		  "using 10\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cleanup_config struct config *config = load(rows[i].json, rows[i].warning);

		assert_defaults(config);
	}
}

/* One bad key costs no other. */
static void test_the_rest_of_the_file_counts(void **state)
{
	cleanup_config struct config *config =
		load("{\"model\": 1, \"provider\": \"mock\"}",
		     ": \"model\" must be a string, found an integer: using \"\"\n");

	(void)state;
	assert_string_equal(config->provider, "mock");
}

static void test_servers(void **state)
{
	cleanup_config struct config *config =
		load("{\"mcpServers\": {\"one\": {\"command\": \"a\", \"args\": [\"b\"],"
		     " \"env\": {\"C\": \"d\"}, \"odd\": 1}, \"two\": {},"
		     " \"three\": {\"url\": \"https://x\"}}}",
		     ": the MCP server \"two\" needs a \"command\" or a \"url\": left out\n");
	cleanup_json json_t *expected =
		json_pack("{s:{s:s, s:[s], s:{s:s}}, s:{s:s, s:s}}", "one", "command", "a", "args",
			  "b", "env", "C", "d", "three", "type", "http", "url", "https://x");

	(void)state;
	assert_true(json_equal(config->mcp_servers, expected));
}

static void test_tools(void **state)
{
	cleanup_config struct config *some =
		load("{\"mcpServerName\": \"My_claw-2\", \"mcpToolPrefix\": "
		     "\"x0123456789x0123456789x0123456789x012345\","
		     " \"mcpTools\": [\"send_file\", \"send_message\", \"dance\"]}",
		     ": \"mcpTools\": there is no tool \"dance\"\n");
	cleanup_config struct config *none = load("{\"mcpTools\": []}", "");

	(void)state;
	assert_string_equal(some->mcp_server_name, "My_claw-2");
	assert_string_equal(some->mcp_tool_prefix, "x0123456789x0123456789x0123456789x012345");
	assert_string_equal(some->mcp_tools[0], "send_file");
	assert_string_equal(some->mcp_tools[1], "send_message");
	assert_string_equal(some->mcp_tools[2], "dance");
	assert_null(some->mcp_tools[3]);
	assert_non_null(none->mcp_tools);
	assert_null(none->mcp_tools[0]);
}

static void test_agent_command(void **state)
{
	cleanup_config struct config *file = load("{\"agentCommand\": [\"a b\", \"--acp\"]}", "");
	cleanup_config struct config *empty = load("{\"agentCommand\": []}", "");
	cleanup_config struct config *both = NULL;

	(void)state;
	assert_string_equal(file->agent_command[0], "a b");
	assert_string_equal(file->agent_command[1], "--acp");
	assert_null(file->agent_command[2]);
	assert_null(empty->agent_command);
	setenv("AGENT_ACP_COMMAND", "x  y", 1);
	both = load("{\"agentCommand\": [\"a\"]}", "");
	unsetenv("AGENT_ACP_COMMAND");
	assert_string_equal(both->agent_command[0], "x");
	assert_string_equal(both->agent_command[1], "y");
	assert_null(both->agent_command[2]);
}

static void test_not_json(void **state)
{
	static const struct {
		const char *json, *error;
	} rows[] = {
		{ "{\n  \"provider\": \"mock\"\n  \"apiKey\": \"secret\"\n}\n",
		  "line 3, column 10: '}' expected" },
		{ "", "line 1, column 0: unexpected token near end of file" },
		{ "[1]", "must be a JSON object, found an array" },
		{ "null", "must be a JSON object, found null" },
	};
	struct config *config = NULL;
	char expected[ERR_TEXT_MAX];
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		folder_write(&folder, "container.json", rows[i].json);
		assert_int_equal(config_load(path(), &config, &err), -EINVAL);
		snprintf(expected, sizeof(expected), "%s: %s", path(), rows[i].error);
		assert_string_equal(err.text, expected);
		assert_null(config);
	}
}

/* Container runtimes make a folder where the file to be mounted is missing. */
static void test_a_folder_in_its_place(void **state)
{
	struct config *config = NULL;
	char expected[ERR_TEXT_MAX];
	struct err err;

	(void)state;
	folder_mkdir(&folder, "container.json");
	assert_int_equal(config_load(path(), &config, &err), -EISDIR);
	snprintf(expected, sizeof(expected), "%s: not a regular file", path());
	assert_string_equal(err.text, expected);
}

static void test_provider_of_the_environment(void **state)
{
	cleanup_config struct config *config = NULL, *other = NULL;

	(void)state;
	setenv("AGENT_PROVIDER", "mock", 1);
	config = load("{\"provider\": \"claude\"}", "");
	assert_string_equal(config->provider, "mock");
	setenv("AGENT_PROVIDER", "", 1);
	other = load(NULL, "");
	assert_string_equal(other->provider, "claude");
}

static void test_environment(void **state)
{
	cleanup_config struct config *config = NULL;

	(void)state;
	setenv("AGENT_WATCH", "poll", 1);
	setenv("AGENT_POLL_IDLE_MS", "70", 1);
	setenv("AGENT_POLL_ACTIVE_MS", "30", 1);
	setenv("AGENT_RETRY_MS", "10", 1);
	config = load(NULL, "");
	assert_false(config->use_inotify);
	assert_int_equal(config->poll_idle_ms, 70);
	assert_int_equal(config->poll_active_ms, 30);
	assert_int_equal(config->retry_ms[0], 10);
	assert_int_equal(config->retry_ms[1], 40);
	assert_int_equal(config->retry_ms[2], 150);
}

static void test_environment_that_makes_no_sense(void **state)
{
	static const struct {
		const char *name, *value, *warning;
	} rows[] = {
		{ "AGENT_POLL_IDLE_MS", "1s",
		  "AGENT_POLL_IDLE_MS must be milliseconds from 1 to 3600000, found \"1s\": "
		  "using 1000\n" },
		{ "AGENT_POLL_ACTIVE_MS", "0",
		  "AGENT_POLL_ACTIVE_MS must be milliseconds from 1 to 3600000, found \"0\": "
		  "using 500\n" },
		{ "AGENT_RETRY_MS", "-1",
		  "AGENT_RETRY_MS must be milliseconds from 1 to 3600000, found \"-1\": "
		  "using 2000\n" },
		{ "AGENT_WATCH", "always",
		  "AGENT_WATCH must be inotify or poll, found \"always\": using inotify\n" },
		{ "AGENT_WATCH", "inotify", "" },
		{ "AGENT_WATCH", "", "" },
		{ "AGENT_RETRY_MS", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cleanup_config struct config *config = NULL;

		setenv(rows[i].name, rows[i].value, 1);
		config = load(NULL, rows[i].warning);
		assert_defaults(config);
		unsetenv(rows[i].name);
	}
}

static void test_warnings_without_a_log(void **state)
{
	cleanup_config struct config *config = NULL;
	const char *first, *second;
	char expected[512];

	(void)state;
	setenv("AGENT_WATCH", "a\nb", 1);
	folder_write(&folder, "container.json", "{\"model\": 1}");
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(config_read(path(), &config, NULL), 0);
	assert_string_equal(capture_stop(&capture), "");
	first = config_warning(config, NULL);
	snprintf(expected, sizeof(expected),
		 "%s: \"model\" must be a string, found an integer: using \"\"", path());
	assert_string_equal(first, expected);
	second = config_warning(config, first);
	assert_string_equal(second,
			    "AGENT_WATCH must be inotify or poll, found \"a\nb\": using inotify");
	assert_null(config_warning(config, second));
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	config_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_missing_file_means_defaults),
		CASE(test_nothing_set_means_defaults),
		CASE(test_every_key),
		CASE(test_wrong_types),
		CASE(test_the_rest_of_the_file_counts),
		CASE(test_servers),
		CASE(test_tools),
		CASE(test_agent_command),
		CASE(test_not_json),
		CASE(test_a_folder_in_its_place),
		CASE(test_provider_of_the_environment),
		CASE(test_environment),
		CASE(test_environment_that_makes_no_sense),
		CASE(test_warnings_without_a_log),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
