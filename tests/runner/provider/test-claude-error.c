/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-error.h"

#include "tests/test.h"

#define NOW_MS INT64_C(1700000000000)

static int64_t retry_at_ms;

static enum provider_error classify(const struct claude_failure *failure)
{
	retry_at_ms = -1;
	return claude_error_classify(failure, NOW_MS, &retry_at_ms);
}

static void test_statuses(void **state)
{
	static const struct {
		int64_t status;
		enum provider_error error;
	} rows[] = {
		{ 400, PROVIDER_OTHER },     { 401, PROVIDER_AUTH },
		{ 402, PROVIDER_QUOTA },     { 403, PROVIDER_AUTH },
		{ 404, PROVIDER_OTHER },     { 408, PROVIDER_TRANSIENT },
		{ 413, PROVIDER_TOO_LONG },  { 429, PROVIDER_TRANSIENT },
		{ 500, PROVIDER_TRANSIENT }, { 502, PROVIDER_TRANSIENT },
		{ 529, PROVIDER_TRANSIENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct claude_failure failure = {
			.status = rows[i].status,
			.kind = "unknown",
			.text = "API Error: some words",
		};

		assert_int_equal(classify(&failure), rows[i].error);
		assert_int_equal(retry_at_ms, 0);
	}
}

/* The same status stands for different things. */
static void test_words_come_before_the_status(void **state)
{
	(void)state;
	assert_int_equal(
		classify(&(struct claude_failure){ .status = 400, .text = "Prompt is too long" }),
		PROVIDER_TOO_LONG);
	assert_int_equal(
		classify(&(struct claude_failure){
			.status = 400, .text = "Your credit balance is too low to access" }),
		PROVIDER_QUOTA);
	assert_int_equal(classify(&(struct claude_failure){
				 .text = "Invalid API key \xc2\xb7 Please run /login" }),
			 PROVIDER_AUTH);
	assert_int_equal(classify(&(struct claude_failure){ .status = 400,
							    .terminal_reason = "prompt_too_long",
							    .text = "zu lang" }),
			 PROVIDER_TOO_LONG);
}

static void test_kinds_where_there_is_no_status(void **state)
{
	(void)state;
	assert_int_equal(classify(&(struct claude_failure){ .kind = "authentication_failed" }),
			 PROVIDER_AUTH);
	assert_int_equal(classify(&(struct claude_failure){ .kind = "billing_error" }),
			 PROVIDER_QUOTA);
	assert_int_equal(classify(&(struct claude_failure){ .kind = "overloaded" }),
			 PROVIDER_TRANSIENT);
	assert_int_equal(classify(&(struct claude_failure){ .kind = "new_in_2030" }),
			 PROVIDER_OTHER);
	assert_int_equal(classify(&(struct claude_failure){ .text = "who knows" }), PROVIDER_OTHER);
}

static void test_network(void **state)
{
	(void)state;
	assert_int_equal(
		classify(&(struct claude_failure){
			.kind = "unknown",
			.text = "API Error: The socket connection was closed unexpectedly." }),
		PROVIDER_TRANSIENT);
	/* Such words of the model itself are no API error. */
	assert_int_equal(classify(&(struct claude_failure){ .text = "API Error: as an example" }),
			 PROVIDER_OTHER);
}

static void test_limits(void **state)
{
	struct claude_failure failure = {
		.status = 429,
		.kind = "rate_limit",
		.text = "You've hit your limit",
		.is_limited = true,
	};

	(void)state;
	assert_int_equal(classify(&failure), PROVIDER_TRANSIENT);
	failure.resets_at_ms = NOW_MS - 1;
	assert_int_equal(classify(&failure), PROVIDER_TRANSIENT);
	failure.resets_at_ms = NOW_MS + 60 * 1000;
	assert_int_equal(classify(&failure), PROVIDER_TRANSIENT);
	assert_int_equal(retry_at_ms, 0);
	failure.resets_at_ms = NOW_MS + 60 * 1000 + 1;
	assert_int_equal(classify(&failure), PROVIDER_QUOTA);
	assert_int_equal(retry_at_ms, NOW_MS + 60 * 1000 + 1);
	failure.is_limited = false;
	assert_int_equal(classify(&failure), PROVIDER_TRANSIENT);
}

static void test_unknown_session(void **state)
{
	(void)state;
	assert_true(claude_error_is_unknown_session("No conversation found with session ID: 1-2"));
	assert_true(claude_error_is_unknown_session(
		"Error: --resume requires a valid session ID or session title when used"));
	assert_false(claude_error_is_unknown_session(""));
	assert_false(claude_error_is_unknown_session("No space left on device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_words_come_before_the_status),
		cmocka_unit_test(test_kinds_where_there_is_no_status),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unknown_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
