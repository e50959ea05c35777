/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-open.h"

#include <string.h>

#include "tests/test.h"

static const struct acp_agent plain = { .title = "Test" };
static const char *const modes[] = { "of the next version", "yolo", NULL };
static const char *const methods[] = { "key", "other-key", NULL };
static const struct acp_agent rich = {
	.title = "Test",
	.modes = modes,
	.auth_methods = methods,
	.replay_ms = 300,
};

struct world {
	struct acp_open *open;
	struct strbuf line;
	struct acp_open_failure failure;
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .line = STRBUF_EMPTY };
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	acp_open_free(w->open);
	acp_open_free(NULL);
	strbuf_deinit(&w->line);
	return 0;
}

static void begin(struct world *w, const struct acp_agent *agent, const char *continuation)
{
	const struct provider_query query = {
		.cwd = "/w",
		.continuation = continuation,
		.instructions = "Be kind.",
	};

	assert_int_equal(acp_open_new(agent, &query, &w->open), 0);
	acp_open_begin(w->open, 1, &w->line);
	assert_non_null(strstr(w->line.data, "\"initialize\""));
}

/* The agent answers; line: what stands in what we send next, NULL: nothing. */
static void answer(struct world *w, const char *result, const char *error,
		   enum acp_open_outcome outcome, const char *line)
{
	json_t *r = result ? json_loads(result, JSON_DECODE_ANY, NULL) : NULL;
	json_t *e = error ? json_loads(error, JSON_DECODE_ANY, NULL) : NULL;

	assert_true((!result || r) && (!error || e));
	strbuf_reset(&w->line);
	assert_int_equal(acp_open_answer(w->open, r, e, 2, &w->line, &w->failure), outcome);
	assert_int_equal(w->line.len > 0, line != NULL);
	if (line)
		assert_non_null(strstr(w->line.data, line));
	json_decref(r);
	json_decref(e);
}

static void test_new_session(void **state)
{
	struct world *w = *state;

	begin(w, &plain, NULL);
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	assert_null(strstr(w->line.data, "Be kind."));
	assert_false(acp_open_is_resuming(w->open));
	assert_null(acp_open_session(w->open));
	answer(w, "{\"sessionId\":\"s1\"}", NULL, ACP_OPEN_DONE, NULL);
	assert_string_equal(acp_open_session(w->open), "s1");
	/* It takes no system prompt. */
	assert_string_equal(acp_open_unsaid(w->open), "Be kind.");
	acp_open_said(w->open);
	assert_null(acp_open_unsaid(w->open));
}

static void test_session_without_an_id(void **state)
{
	struct world *w = *state;

	begin(w, &plain, NULL);
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	answer(w, "{\"sessionId\":7}", NULL, ACP_OPEN_FAILED, NULL);
	assert_int_equal(w->failure.error, PROVIDER_UNAVAILABLE);
	assert_string_equal(w->failure.words.text, "it opened a session without an id");
}

static void test_system_prompt(void **state)
{
	struct world *w = *state;

	begin(w, &plain, NULL);
	answer(w, "{\"agentCapabilities\":{\"sessionCapabilities\":{\"systemPrompt\":{}}}}", NULL,
	       ACP_OPEN_ASKS, "\"systemPrompt\":{\"mode\":\"append\"");
	assert_null(acp_open_unsaid(w->open));
}

static void test_resumed_without_a_repetition_if_it_can(void **state)
{
	struct world *w = *state;

	begin(w, &plain, "s1");
	answer(w,
	       "{\"agentCapabilities\":{\"loadSession\":true,\"sessionCapabilities\":{\"resume\":"
	       "{}}}}",
	       NULL, ACP_OPEN_ASKS, "\"session/resume\",\"params\":{\"sessionId\":\"s1\"");
	assert_true(acp_open_is_resuming(w->open));
	answer(w, "{}", NULL, ACP_OPEN_DONE, NULL);
	assert_false(acp_open_is_resuming(w->open));
	assert_string_equal(acp_open_session(w->open), "s1");
}

static void test_loaded_then_silent_then_its_mode(void **state)
{
	struct world *w = *state;

	begin(w, &rich, "s1");
	answer(w, "{\"agentCapabilities\":{\"loadSession\":true}}", NULL, ACP_OPEN_ASKS,
	       "\"session/load\"");
	answer(w, "{\"modes\":{\"availableModes\":[{\"id\":\"yolo\"}]}}", NULL, ACP_OPEN_LISTENS,
	       NULL);
	assert_int_equal(acp_open_settled(w->open, 3, &w->line), ACP_OPEN_ASKS);
	assert_non_null(strstr(w->line.data, "\"modeId\":\"yolo\""));
	/* Without it permissions are asked for, and given. */
	answer(w, NULL, "{\"code\":-32602,\"message\":\"no\"}", ACP_OPEN_DONE, NULL);
}

static void test_one_that_cannot_go_back(void **state)
{
	struct world *w = *state;

	begin(w, &plain, "s1");
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\",\"params\":{\"cwd\"");
	assert_false(acp_open_is_resuming(w->open));
}

static void test_unknown_session(void **state)
{
	struct world *w = *state;

	begin(w, &plain, "s1");
	answer(w, "{\"agentCapabilities\":{\"loadSession\":true}}", NULL, ACP_OPEN_ASKS,
	       "\"session/load\"");
	answer(w, NULL, "{\"code\":-32002,\"message\":\"Resource not found\"}", ACP_OPEN_FAILED,
	       NULL);
	assert_int_equal(w->failure.error, PROVIDER_INVALID_SESSION);
	assert_string_equal(w->failure.words.text, "Resource not found");
}

static void test_key_that_is_asked_for(void **state)
{
	struct world *w = *state;

	begin(w, &rich, NULL);
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	answer(w, NULL, "{\"code\":-32000,\"message\":\"Authentication required\"}", ACP_OPEN_ASKS,
	       "\"authenticate\",\"params\":{\"methodId\":\"key\"}");
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	/* Each once. */
	answer(w, NULL, "{\"code\":-32000,\"message\":\"Authentication required\"}", ACP_OPEN_ASKS,
	       "\"methodId\":\"other-key\"");
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	answer(w, NULL, "{\"code\":-32000,\"message\":\"Authentication required\"}",
	       ACP_OPEN_FAILED, NULL);
	assert_int_equal(w->failure.error, PROVIDER_AUTH);
}

static void test_refused_key(void **state)
{
	struct world *w = *state;

	begin(w, &rich, NULL);
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	answer(w, NULL, "{\"code\":-32000}", ACP_OPEN_ASKS, "\"authenticate\"");
	answer(w, NULL, "{\"code\":-32602,\"message\":\"unknown\"}", ACP_OPEN_ASKS,
	       "\"methodId\":\"other-key\"");
	answer(w, NULL, "{\"code\":-32603,\"message\":\"no key\"}", ACP_OPEN_FAILED, NULL);
	assert_int_equal(w->failure.error, PROVIDER_AUTH);
	assert_string_equal(w->failure.words.text, "no key");
}

static void test_refusal_to_initialize(void **state)
{
	struct world *w = *state;

	begin(w, &plain, NULL);
	answer(w, NULL, "{\"code\":-32600,\"message\":\"too old\"}", ACP_OPEN_FAILED, NULL);
	assert_int_equal(w->failure.error, PROVIDER_OTHER);
}

static void test_mode_that_is_not_offered(void **state)
{
	struct world *w = *state;

	begin(w, &rich, NULL);
	answer(w, "{}", NULL, ACP_OPEN_ASKS, "\"session/new\"");
	answer(w, "{\"sessionId\":\"s\",\"modes\":{\"availableModes\":[{\"id\":\"default\"}]}}",
	       NULL, ACP_OPEN_DONE, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_session),
		TEST(test_session_without_an_id),
		TEST(test_system_prompt),
		TEST(test_resumed_without_a_repetition_if_it_can),
		TEST(test_loaded_then_silent_then_its_mode),
		TEST(test_one_that_cannot_go_back),
		TEST(test_unknown_session),
		TEST(test_key_that_is_asked_for),
		TEST(test_refused_key),
		TEST(test_refusal_to_initialize),
		TEST(test_mode_that_is_not_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
