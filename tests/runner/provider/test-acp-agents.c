/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-agents.h"

#include <string.h>

#include "tests/test.h"

static void test_rows(void **state)
{
	const struct acp_agent *agent;

	(void)state;
	for (size_t i = 0; (agent = acp_agents_at(i)); i++) {
		assert_non_null(agent->title);
		assert_true(agent->type.shares_secrets);
		/* It is looked for in PATH: nothing is hard-coded. */
		if (agent->argv) {
			assert_non_null(agent->argv[0]);
			assert_null(strchr(agent->argv[0], '/'));
			assert_non_null(agent->install);
		}
		/* One way is enough. */
		assert_false(agent->model_option && agent->model_variable);
		for (const struct acp_variable *v = agent->variables; v && v->name; v++)
			assert_non_null(v->value);
	}
	assert_null(acp_agents_at((size_t)-1));
}

static struct acp_agent find(const char *name)
{
	const struct acp_agent *agent;

	for (size_t i = 0; (agent = acp_agents_at(i)); i++)
		if (strcmp(agent->type.name, name) == 0)
			return *agent;
	fail_msg("there is no agent %s", name);
	return (struct acp_agent){ .title = NULL };
}

static void test_those_that_images_name(void **state)
{
	(void)state;
	assert_string_equal(find("gemini").argv[1], "--acp");
	assert_int_equal(find("gemini").replay_ms, 300);
	assert_string_equal(find("opencode").argv[1], "acp");
	assert_string_equal(find("codex").argv[0], "codex-acp");
	assert_string_equal(find("copilot").argv[2], "--allow-all");
	assert_string_equal(find("kiro").argv[2], "--trust-all-tools");
	assert_string_equal(find("claude-acp").modes[0], "bypassPermissions");
	assert_null(find("acp").argv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_those_that_images_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
