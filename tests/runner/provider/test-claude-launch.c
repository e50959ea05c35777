/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/test.h"

#define IMAGE_PATH "/pnpm/claude"

struct world {
	char folder[64];
	char cli[80]; /* an executable file named claude in it */
};

static int setup(void **state)
{
	static struct world world;
	FILE *file;

	strcpy(world.folder, "/tmp/test-claude-launch-XXXXXX");
	assert_non_null(mkdtemp(world.folder));
	snprintf(world.cli, sizeof(world.cli), "%s/claude", world.folder);
	file = fopen(world.cli, "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(chmod(world.cli, 0755), 0);
	setenv("PATH", "/nonexistent", 1);
	unsetenv("AGENT_CLAUDE_PATH");
	unsetenv("CLAUDE_CODE_MAX_RETRIES");
	unsetenv("CLAUDE_CODE_MCP_STARTUP_WAIT_MS");
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->cli);
	assert_int_equal(rmdir(w->folder), 0);
	return 0;
}

/* Finding */

static void test_named_by_the_environment(void **state)
{
	struct world *w = *state;
	cleanup_free char *path = NULL;
	struct err err;

	setenv("AGENT_CLAUDE_PATH", w->cli, 1);
	assert_int_equal(claude_launch_find(&path, &err), 0);
	assert_string_equal(path, w->cli);
}

static void test_named_but_not_there(void **state)
{
	struct world *w = *state;
	cleanup_free char *path = NULL;
	struct err err;

	/* It is not looked for elsewhere: somebody meant this one. */
	setenv("PATH", w->folder, 1);
	setenv("AGENT_CLAUDE_PATH", "/nonexistent/claude", 1);
	assert_int_equal(claude_launch_find(&path, &err), -ENOENT);
	assert_string_equal(err.text,
			    "Claude Code is not at AGENT_CLAUDE_PATH=/nonexistent/claude: "
			    "there is no such file");
	assert_null(path);
	setenv("AGENT_CLAUDE_PATH", w->folder, 1);
	assert_int_equal(claude_launch_find(&path, &err), -EACCES);
	assert_non_null(strstr(err.text, ": it cannot be executed"));
}

static void test_not_executable(void **state)
{
	struct world *w = *state;
	cleanup_free char *path = NULL;
	struct err err;

	assert_int_equal(chmod(w->cli, 0644), 0);
	setenv("AGENT_CLAUDE_PATH", w->cli, 1);
	assert_int_equal(claude_launch_find(&path, &err), -EACCES);
	unsetenv("AGENT_CLAUDE_PATH");
	setenv("PATH", w->folder, 1);
	assert_int_equal(claude_launch_find(&path, &err), -ENOENT);
}

static void test_found_in_path(void **state)
{
	struct world *w = *state;
	cleanup_free char *path = NULL;
	char folders[256];
	struct err err;

	snprintf(folders, sizeof(folders), "/nonexistent::%s:/usr", w->folder);
	setenv("PATH", folders, 1);
	assert_int_equal(claude_launch_find(&path, &err), 0);
	/* The path in session images comes first; elsewhere it does not exist. */
	assert_string_equal(path, access(IMAGE_PATH, X_OK) == 0 ? IMAGE_PATH : w->cli);
}

static void test_found_nowhere(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	if (access(IMAGE_PATH, X_OK) == 0) {
		assert_int_equal(claude_launch_find(&path, &err), 0);
		return;
	}
	assert_int_equal(claude_launch_find(&path, &err), -ENOENT);
	assert_string_equal(err.text,
			    "Claude Code is not installed: looked for /pnpm/claude, then for "
			    "claude in PATH=/nonexistent; AGENT_CLAUDE_PATH can name it");
	unsetenv("PATH");
	assert_int_equal(claude_launch_find(&path, &err), -ENOENT);
}

/* Arguments and environment */

static bool holds(char *const *list, const char *text)
{
	for (; *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

/* The first that begins so, NULL if none does. */
static const char *find(char *const *list, const char *prefix)
{
	for (; *list; list++)
		if (strncmp(*list, prefix, strlen(prefix)) == 0)
			return *list;
	return NULL;
}

static bool has_prefix(char *const *list, const char *prefix)
{
	return find(list, prefix) != NULL;
}

static void test_bare_query(void **state)
{
	const struct provider_query query = { .cwd = "/" };
	struct claude_launch launch;

	(void)state;
	assert_int_equal(claude_launch_init(&launch, "/x/claude", NULL, &query), 0);
	assert_string_equal(launch.argv.items[0], "/x/claude");
	assert_true(holds(launch.argv.items, "--output-format=stream-json"));
	assert_true(holds(launch.argv.items, "--input-format=stream-json"));
	assert_true(holds(launch.argv.items, "--verbose"));
	assert_true(holds(launch.argv.items, "--permission-mode=bypassPermissions"));
	assert_true(holds(launch.argv.items, "--allow-dangerously-skip-permissions"));
	assert_true(holds(launch.argv.items, "--replay-user-messages"));
	assert_true(holds(launch.argv.items, "--include-partial-messages"));
	assert_true(has_prefix(launch.argv.items, "--allowedTools=Bash,"));
	assert_false(has_prefix(launch.argv.items, "--mcp-config"));
	assert_true(has_prefix(launch.argv.items, "--disallowedTools=Cron"));
	assert_false(has_prefix(launch.argv.items, "--model"));
	assert_false(has_prefix(launch.argv.items, "--effort"));
	assert_false(has_prefix(launch.argv.items, "--add-dir"));
	assert_false(has_prefix(launch.argv.items, "--resume"));
	claude_launch_deinit(&launch);
}

static void test_full_query(void **state)
{
	static const char *const directories[] = { "/workspace/extra/a b", "/workspace/extra/-c",
						   NULL };
	static const char *const env[] = { "ANTHROPIC_API_KEY=k", NULL };
	const struct provider_query query = {
		.cwd = "/",
		.continuation = "--evil",
		.model = "claude-sonnet-4-6",
		.effort = "high",
		.directories = directories,
		.env = env,
	};
	struct claude_launch launch;

	(void)state;
	assert_int_equal(claude_launch_init(&launch, "claude", NULL, &query), 0);
	assert_true(holds(launch.argv.items, "--model=claude-sonnet-4-6"));
	assert_true(holds(launch.argv.items, "--effort=high"));
	assert_true(holds(launch.argv.items, "--add-dir=/workspace/extra/a b"));
	assert_true(holds(launch.argv.items, "--add-dir=/workspace/extra/-c"));
	/* In one word: what stands there is never an option of its own. */
	assert_true(holds(launch.argv.items, "--resume=--evil"));
	assert_true(holds(launch.env.items, "ANTHROPIC_API_KEY=k"));
	claude_launch_deinit(&launch);
}

/* The tools of every server are allowed, by the name that the CLI gives them. */
static void test_servers(void **state)
{
	json_t *servers = json_pack("{s:{}, s:{}}", "nanoclaw", "my files, 2");
	const struct provider_query query = { .cwd = "/", .mcp_servers = servers };
	struct claude_launch launch;
	const char *allowed;

	(void)state;
	assert_int_equal(claude_launch_init(&launch, "claude", "/run/x/servers", &query), 0);
	assert_true(holds(launch.argv.items, "--mcp-config=/run/x/servers"));
	allowed = find(launch.argv.items, "--allowedTools=Bash,");
	assert_non_null(allowed);
	assert_string_equal(strstr(allowed, "Skill"), "Skill,mcp__nanoclaw__*,mcp__my_files__2__*");
	claude_launch_deinit(&launch);
	/* The file could not be written: there are none. */
	assert_int_equal(claude_launch_init(&launch, "claude", NULL, &query), 0);
	assert_false(has_prefix(launch.argv.items, "--mcp-config"));
	allowed = find(launch.argv.items, "--allowedTools=Bash,");
	assert_string_equal(strstr(allowed, "Skill"), "Skill");
	claude_launch_deinit(&launch);
	json_decref(servers);
}

static void test_environment(void **state)
{
	static const char *const env[] = { "CLAUDE_CODE_AUTO_COMPACT_WINDOW=1", NULL };
	const struct provider_query query = { .cwd = "/", .env = env };
	struct claude_launch launch;

	(void)state;
	assert_int_equal(claude_launch_init(&launch, "claude", NULL, &query), 0);
	assert_true(holds(launch.env.items, "CLAUDE_CODE_ENTRYPOINT=sdk-ts"));
	assert_true(holds(launch.env.items, "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS=1"));
	assert_true(holds(launch.env.items, "CLAUDE_CODE_MAX_RETRIES=3"));
	assert_true(holds(launch.env.items, "CLAUDE_CODE_MCP_STARTUP_WAIT_MS=2000"));
	assert_true(holds(launch.env.items, "CLAUDE_CODE_AUTO_COMPACT_WINDOW=1"));
	assert_false(holds(launch.env.items, "CLAUDE_CODE_AUTO_COMPACT_WINDOW=165000"));
	assert_true(holds(launch.env.items, "CLAUDECODE"));
	assert_true(holds(launch.env.items, "NODE_OPTIONS"));
	assert_true(holds(launch.env.items, "DEBUG"));
	assert_int_equal(holds(launch.env.items, "IS_SANDBOX=1"), geteuid() == 0);
	claude_launch_deinit(&launch);

	setenv("CLAUDE_CODE_MAX_RETRIES", "9", 1);
	assert_int_equal(claude_launch_init(&launch, "claude", NULL, &query), 0);
	assert_false(has_prefix(launch.env.items, "CLAUDE_CODE_MAX_RETRIES"));
	claude_launch_deinit(&launch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_named_by_the_environment),
		TEST(test_named_but_not_there),
		TEST(test_not_executable),
		TEST(test_found_in_path),
		TEST(test_found_nowhere),
		TEST(test_bare_query),
		TEST(test_full_query),
		TEST(test_servers),
		TEST(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
