/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-error.h"

#include "common/table.h"
#include "tests/test.h"

static void test_classes(void **state)
{
	static const struct {
		int64_t code;
		const char *text;
		enum provider_error error;
	} rows[] = {
		{ -32000, "Authentication required", PROVIDER_AUTH },
		{ -32000, "please", PROVIDER_AUTH },
		{ -32603, "Internal error: API key not valid. Please pass one", PROVIDER_AUTH },
		{ -32603, "Internal error: 401 wrong", PROVIDER_AUTH },
		{ -32603, "status=403", PROVIDER_AUTH },
		{ -32603, "402", PROVIDER_QUOTA },
		{ 429, "You exceeded your current quota", PROVIDER_QUOTA },
		{ -32603, "HTTP 429: slow down", PROVIDER_TRANSIENT },
		{ -32603, "Overloaded", PROVIDER_TRANSIENT },
		{ -32603, "exception TypeError: fetch failed", PROVIDER_TRANSIENT },
		{ -32603, "Prompt is too long: 214000 tokens", PROVIDER_TOO_LONG },
		{ -32603, "maximum context length is 8192", PROVIDER_TOO_LONG },
		/* Part of another number, or of a word. */
		{ -32603, "14291 a429 4290", PROVIDER_OTHER },
		{ -32603, "Internal error", PROVIDER_OTHER },
		{ 0, "", PROVIDER_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(
			provider_error_name(acp_error_classify(rows[i].code, rows[i].text)),
			provider_error_name(rows[i].error));
}

static void test_classes_of_a_load(void **state)
{
	(void)state;
	assert_int_equal(acp_error_classify_load(-32002, "Resource not found"),
			 PROVIDER_INVALID_SESSION);
	assert_int_equal(acp_error_classify_load(-32603, "no rollout found for thread id 1"),
			 PROVIDER_INVALID_SESSION);
	assert_int_equal(acp_error_classify_load(-32603, "Invalid session identifier"),
			 PROVIDER_INVALID_SESSION);
	assert_int_equal(acp_error_classify_load(-32000, "Authentication required"), PROVIDER_AUTH);
	assert_int_equal(acp_error_classify_load(-32603, "fetch failed"), PROVIDER_TRANSIENT);
}

static void expect_text(const char *error, const char *expected)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	json_t *value = json_loads(error, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	assert_int_equal(acp_error_text(value, &out), 0);
	assert_string_equal(out.data, expected);
	json_decref(value);
}

static void test_texts(void **state)
{
	(void)state;
	expect_text("{\"message\":\"Internal error\",\"data\":{\"details\":\"gone\"}}",
		    "Internal error: gone");
	expect_text("{\"message\":\"Internal error\",\"data\":\"gone\"}", "Internal error: gone");
	expect_text("{\"message\":\"Internal error\",\"data\":{\"error\":\"gone\"}}",
		    "Internal error: gone");
	expect_text("{\"message\":\"it is gone\",\"data\":{\"message\":\"gone\"}}", "it is gone");
	expect_text("{\"message\":\"x\",\"data\":{\"details\":7}}", "x");
	expect_text("{\"code\":1}", "an error without words");
	expect_text("7", "an error without words");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_classes_of_a_load),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
