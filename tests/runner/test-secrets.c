/* SPDX-License-Identifier: MIT */
#include "runner/secrets.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "runner/provider/registry.h"
#include "tests/test.h"

static int setup(void **state)
{
	const struct provider_type *type;

	(void)state;
	for (size_t i = 0; (type = registry_at(i)); i++)
		for (const struct provider_secret *s = type->secrets; s && s->name; s++) {
			assert_int_equal(unsetenv(s->name), 0);
			for (const char *const *on = s->switches; on && *on; on++)
				assert_int_equal(unsetenv(*on), 0);
		}
	return 0;
}

/* What the agent would get besides env, joined by |. */
static void assert_joined(const struct secrets *secrets, const char *const *env,
			  const char *expected)
{
	const char **list = secrets_join(secrets, env);
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	assert_non_null(list);
	for (const char **entry = list; *entry; entry++)
		strbuf_printf(&text, "%s%s", text.len > 0 ? "|" : "", *entry);
	free(list);
	assert_string_equal(text.len > 0 ? text.data : "", expected);
}

static void test_nothing_to_take(void **state)
{
	static const char *const env[] = { "A=1", "B", NULL };
	struct secrets *secrets = NULL;

	(void)state;
	assert_int_equal(secrets_take(&secrets), 0);
	assert_joined(secrets, NULL, "");
	assert_joined(secrets, env, "A=1|B");
	assert_joined(NULL, env, "A=1|B");
	secrets_free(secrets);
	secrets_free(NULL);
}

static void test_they_leave_the_environment(void **state)
{
	/* Names that only begin like one, or end like one, are others. */
	static const char *const others[] = { "ANTHROPIC_API_KEYS", "MY_ANTHROPIC_API_KEY",
					      "ANTHROPIC_API", "ANTHROPIC_BASE_URL" };
	struct secrets *secrets = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(setenv(others[i], "kept", 1), 0);
	assert_int_equal(setenv("CLAUDE_CODE_OAUTH_TOKEN", "to=ken", 1), 0);
	assert_int_equal(setenv("ANTHROPIC_API_KEY", "sk-1", 1), 0);
	/* A program may ask whether it is set at all. */
	assert_int_equal(setenv("ANTHROPIC_AUTH_TOKEN", "", 1), 0);
	assert_int_equal(secrets_take(&secrets), 0);
	assert_null(getenv("ANTHROPIC_API_KEY"));
	assert_null(getenv("ANTHROPIC_AUTH_TOKEN"));
	assert_null(getenv("CLAUDE_CODE_OAUTH_TOKEN"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_string_equal(getenv(others[i]), "kept");
	assert_joined(
		secrets, NULL,
		"ANTHROPIC_API_KEY=sk-1|ANTHROPIC_AUTH_TOKEN=|CLAUDE_CODE_OAUTH_TOKEN=to=ken");
	/* At each start of the agent. */
	assert_joined(
		secrets, NULL,
		"ANTHROPIC_API_KEY=sk-1|ANTHROPIC_AUTH_TOKEN=|CLAUDE_CODE_OAUTH_TOKEN=to=ken");
	secrets_free(secrets);
	/* A second look finds nothing. */
	assert_int_equal(secrets_take(&secrets), 0);
	assert_joined(secrets, NULL, "");
	secrets_free(secrets);
}

/* A script's own aws goes on working, unless the agent's CLI lives by the same keys. */
static void test_a_cloud_s_keys(void **state)
{
	static const char *const keys[] = {
		"AWS_ACCESS_KEY_ID",	 "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AZURE_CLIENT_SECRET",	 "AZURE_PASSWORD"
	};
	static const struct {
		const char *name, *value, *taken;
	} rows[] = {
		{ "ANOTHER", "1", "" },
		{ "CLAUDE_CODE_USE_BEDROCK", "", "" },
		{ "CLAUDE_CODE_USE_BEDROCK", "0", "" },
		{ "CLAUDE_CODE_USE_BEDROCK", "False", "" },
		/* Google's are in files. */
		{ "CLAUDE_CODE_USE_VERTEX", "1", "" },
		{ "CLAUDE_CODE_USE_BEDROCK", "1",
		  "AWS_ACCESS_KEY_ID=k|AWS_CONTAINER_AUTHORIZATION_TOKEN=k|"
		  "AWS_SECRET_ACCESS_KEY=k|AWS_SESSION_TOKEN=k" },
		{ "CLAUDE_CODE_USE_ANTHROPIC_AWS", "true",
		  "AWS_ACCESS_KEY_ID=k|AWS_CONTAINER_AUTHORIZATION_TOKEN=k|"
		  "AWS_SECRET_ACCESS_KEY=k|AWS_SESSION_TOKEN=k" },
		{ "CLAUDE_CODE_USE_FOUNDRY", "1", "AZURE_CLIENT_SECRET=k|AZURE_PASSWORD=k" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct secrets *secrets = NULL;

		setup(state);
		for (size_t n = 0; n < sizeof(keys) / sizeof(keys[0]); n++)
			assert_int_equal(setenv(keys[n], "k", 1), 0);
		assert_int_equal(setenv(rows[i].name, rows[i].value, 1), 0);
		assert_int_equal(secrets_take(&secrets), 0);
		assert_joined(secrets, NULL, rows[i].taken);
		for (size_t n = 0; n < sizeof(keys) / sizeof(keys[0]); n++)
			assert_int_equal(getenv(keys[n]) == NULL,
					 strstr(rows[i].taken, keys[n]) != NULL);
		secrets_free(secrets);
	}
}

/* It is for nothing but the CLI. */
static void test_bedrock_s_token(void **state)
{
	struct secrets *secrets = NULL;

	(void)state;
	assert_int_equal(setenv("AWS_BEARER_TOKEN_BEDROCK", "t", 1), 0);
	assert_int_equal(secrets_take(&secrets), 0);
	assert_joined(secrets, NULL, "AWS_BEARER_TOKEN_BEDROCK=t");
	assert_null(getenv("AWS_BEARER_TOKEN_BEDROCK"));
	secrets_free(secrets);
}

/* GH_TOKEN is a script's, too, unless the agent that it is for is the configured one. */
static void test_keys_of_the_configured_agent(void **state)
{
	struct secrets *secrets = NULL;

	(void)state;
	setenv("GH_TOKEN", "g", 1);
	setenv("GEMINI_API_KEY", "k", 1);
	setenv("ANTHROPIC_API_KEY", "a", 1);
	assert_int_equal(secrets_take(&secrets), 0);
	assert_int_equal(secrets_take_shared(secrets, registry_find("claude")), 0);
	assert_int_equal(secrets_take_shared(secrets, NULL), 0);
	assert_joined(secrets, NULL, "ANTHROPIC_API_KEY=a");
	assert_int_equal(secrets_take_shared(secrets, registry_find("gemini")), 0);
	assert_joined(secrets, NULL, "ANTHROPIC_API_KEY=a|GEMINI_API_KEY=k");
	assert_null(getenv("GEMINI_API_KEY"));
	assert_string_equal(getenv("GH_TOKEN"), "g");
	secrets_free(secrets);
}

static void test_env_has_the_last_word(void **state)
{
	static const char *const env[] = { "AGENT_SOCKET=/x", "ANTHROPIC_API_KEY=theirs",
					   "CLAUDE_CODE_OAUTH_TOKEN", NULL };
	struct secrets *secrets = NULL;

	(void)state;
	assert_int_equal(setenv("ANTHROPIC_API_KEY", "ours", 1), 0);
	assert_int_equal(setenv("ANTHROPIC_AUTH_TOKEN", "both", 1), 0);
	assert_int_equal(setenv("CLAUDE_CODE_OAUTH_TOKEN", "ours", 1), 0);
	assert_int_equal(secrets_take(&secrets), 0);
	assert_joined(secrets, env,
		      "AGENT_SOCKET=/x|ANTHROPIC_API_KEY=theirs|CLAUDE_CODE_OAUTH_TOKEN|"
		      "ANTHROPIC_AUTH_TOKEN=both");
	secrets_free(secrets);
}

/* Wherever it stands, and however often: execve(2) takes any list. */
static void test_their_bytes_are_wiped(void **state)
{
	char first[] = "ANTHROPIC_API_KEY=first", second[] = "ANTHROPIC_API_KEY=second";
	char bare[] = "ANTHROPIC_AUTH_TOKEN", other[] = "OTHER=sk";
	char *list[] = { first, bare, other, second, NULL }, **saved = environ;
	static const char zeros[8];
	struct secrets *secrets = NULL;

	(void)state;
	environ = list;
	assert_int_equal(secrets_take(&secrets), 0);
	assert_ptr_equal(list[0], bare);
	assert_ptr_equal(list[1], other);
	assert_null(list[2]);
	environ = saved;
	assert_memory_equal(first + strlen("ANTHROPIC_API_KEY="), zeros, strlen("first"));
	assert_memory_equal(second + strlen("ANTHROPIC_API_KEY="), zeros, strlen("second"));
	assert_string_equal(other, "OTHER=sk");
	assert_string_equal(bare, "ANTHROPIC_AUTH_TOKEN");
	assert_joined(secrets, NULL, "ANTHROPIC_API_KEY=first");
	secrets_free(secrets);
}

static void test_no_environment_at_all(void **state)
{
	struct secrets *secrets = NULL;
	char **saved = environ;

	(void)state;
	environ = NULL;
	assert_int_equal(secrets_take(&secrets), 0);
	environ = saved;
	assert_joined(secrets, NULL, "");
	secrets_free(secrets);
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_to_take),
		CASE(test_they_leave_the_environment),
		CASE(test_keys_of_the_configured_agent),
		CASE(test_a_cloud_s_keys),
		CASE(test_env_has_the_last_word),
		CASE(test_a_cloud_s_keys),
		CASE(test_bedrock_s_token),
		CASE(test_their_bytes_are_wiped),
		CASE(test_no_environment_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
