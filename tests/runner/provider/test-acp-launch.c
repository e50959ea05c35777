/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "tests/test.h"

static const char *const shell[] = { "sh", "-x", "a b", NULL };
static const char *const missing[] = { "/nonexistent/x", NULL };
static const char *const folder[] = { "/bin", NULL };

static const struct acp_variable variables[] = {
	{ "ACP_TEST_PLAIN", "1" },
	{ "ACP_TEST_SET", "1" },
	{ "ACP_TEST_GIVEN", "1" },
	{ NULL, NULL },
};

static const struct acp_agent agent = {
	.title = "Test",
	.argv = shell,
	.install = "buy one",
	.variables = variables,
	.model_option = "--model=",
	.model_variable = "ACP_TEST_MODEL",
	.mcp_option = "--servers=@",
};
static const struct acp_agent unnamed = { .title = "the ACP agent" };

static int setup(void **state)
{
	(void)state;
	return setenv("PATH", "/nonexistent:/bin", 1);
}

static void test_found_in_path(void **state)
{
	const struct provider_query query = { .cwd = "/" };
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	assert_int_equal(acp_launch_find(&agent, &query, &path, &err), 0);
	assert_string_equal(path, "/bin/sh");
}

static void expect_missing(const struct acp_agent *which, const char *const *command, int r,
			   const char *text)
{
	const struct provider_query query = { .command = command };
	cleanup_free char *path = NULL;
	struct err err;

	assert_int_equal(acp_launch_find(which, &query, &path, &err), r);
	assert_string_equal(err.text, text);
	assert_null(path);
}

static void test_found_nowhere(void **state)
{
	(void)state;
	setenv("PATH", "/nonexistent", 1);
	expect_missing(&agent, NULL, -ENOENT,
		       "Test is not installed: looked for sh in PATH=/nonexistent and in /pnpm; "
		       "buy one");
	expect_missing(&unnamed, NULL, -ENOENT,
		       "no ACP agent is named: set \"agentCommand\" in container.json or "
		       "AGENT_ACP_COMMAND to its command line");
	expect_missing(&agent, missing, -ENOENT,
		       "Test is not at /nonexistent/x: there is no such file");
	expect_missing(&agent, folder, -EACCES, "Test is not at /bin: it cannot be executed");
}

static bool holds(const struct cli_words *words, const char *text)
{
	for (size_t i = 0; i < words->count; i++)
		if (strcmp(words->items[i], text) == 0)
			return true;
	return false;
}

static void test_arguments_and_environment(void **state)
{
	static const char *const env[] = { "ACP_TEST_GIVEN=2", "KEY=k", NULL };
	const struct provider_query query = { .cwd = "/", .env = env, .model = "m" };
	struct acp_launch launch;

	(void)state;
	setenv("ACP_TEST_SET", "2", 1);
	assert_int_equal(acp_launch_init(&launch, "/bin/sh", "/run/servers", &agent, &query), 0);
	assert_int_equal(launch.argv.count, 5);
	assert_string_equal(launch.argv.items[0], "/bin/sh");
	assert_string_equal(launch.argv.items[2], "a b");
	assert_string_equal(launch.argv.items[3], "--model=m");
	assert_string_equal(launch.argv.items[4], "--servers=@/run/servers");
	assert_true(holds(&launch.env, "ACP_TEST_PLAIN=1"));
	/* The operator's word counts, and the request's. */
	assert_false(holds(&launch.env, "ACP_TEST_SET=1"));
	assert_false(holds(&launch.env, "ACP_TEST_GIVEN=1"));
	assert_true(holds(&launch.env, "ACP_TEST_GIVEN=2"));
	assert_true(holds(&launch.env, "ACP_TEST_MODEL=m"));
	assert_true(holds(&launch.env, "KEY=k"));
	assert_true(holds(&launch.env, "NODE_OPTIONS"));
	acp_launch_deinit(&launch);
}

static void test_command_of_the_configuration(void **state)
{
	static const char *const command[] = { "sh", "own", NULL };
	const struct provider_query query = { .cwd = "/", .command = command };
	struct acp_launch launch;

	(void)state;
	assert_int_equal(acp_launch_init(&launch, "/bin/sh", NULL, &unnamed, &query), 0);
	assert_int_equal(launch.argv.count, 2);
	assert_string_equal(launch.argv.items[1], "own");
	acp_launch_deinit(&launch);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found_in_path),
		TEST(test_found_nowhere),
		TEST(test_arguments_and_environment),
		TEST(test_command_of_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
