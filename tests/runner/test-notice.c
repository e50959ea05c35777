/* SPDX-License-Identifier: MIT */
#include "runner/notice.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/utf8.h"
#include "tests/test.h"

static char *compose(enum provider_error error, const char *detail, int64_t retry_at_ms)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	assert_int_equal(notice_compose(error, detail, retry_at_ms, &out), 0);
	return strbuf_steal(&out);
}

static void test_texts(void **state)
{
	static const char *const texts[PROVIDER_ERROR_COUNT] = {
		[PROVIDER_OK] = "I have no answer.",
		[PROVIDER_TRANSIENT] =
			"I could not reach the AI service: it is overloaded or the network is "
			"down. Please send your message again in a few minutes.",
		[PROVIDER_AUTH] = "I cannot log in to the AI service: its key or login is missing, "
				  "wrong or expired. Whoever runs me has to renew it.",
		[PROVIDER_QUOTA] =
			"The AI service's usage limit is reached, so I cannot answer now.",
		[PROVIDER_TOO_LONG] = "Our conversation and this message are together too long for "
				      "me, even in a fresh session. Please send less at once.",
		[PROVIDER_INVALID_SESSION] =
			"I could not open our conversation. Please send your message again.",
		[PROVIDER_CRASHED] = "My agent program broke off while it worked on your message. "
				     "Please try again, or ask in another way.",
		[PROVIDER_OUT_OF_MEMORY] =
			"My container ran out of memory, and the kernel ended my agent program. "
			"Please ask for less at once; whoever runs me can raise the limit.",
		[PROVIDER_UNAVAILABLE] =
			"I cannot work: my agent program is missing or does not start. Whoever "
			"runs me has to repair it.",
		[PROVIDER_OTHER] = "Something went wrong while I worked on your message.",
	};

	(void)state;
	for (int i = 0; i < PROVIDER_ERROR_COUNT; i++) {
		cleanup_free char *text = compose((enum provider_error)i, "", 0);

		assert_string_equal(text, texts[i]);
	}
}

static void test_detail_is_the_agents_own_words(void **state)
{
	cleanup_free char *text = compose(PROVIDER_OTHER, "exit status 3", 0);

	(void)state;
	assert_string_equal(text, "Something went wrong while I worked on your message."
				  "\n\n(Error: exit status 3)");
}

static void test_reset_time_is_local(void **state)
{
	cleanup_free char *text = NULL;

	(void)state;
	setenv("TZ", "America/New_York", 1);
	tzset();
	/* 2026-02-04 18:30 UTC */
	text = compose(PROVIDER_QUOTA, "", INT64_C(1770229800000));
	assert_string_equal(text, "The AI service's usage limit is reached, so I cannot answer now."
				  " The limit ends at 2026-02-04 13:30 EST.");
	unsetenv("TZ");
	tzset();
}

static void test_long_detail_is_cut_between_characters(void **state)
{
	static const char end[] = "\xe2\x80\xa6)";
	cleanup_free char *text = NULL;
	char detail[1001];
	const char *shown;
	size_t len;

	(void)state;
	/* Three bytes a character: 400 is no multiple. */
	for (size_t i = 0; i + 3 < sizeof(detail); i += 3)
		memcpy(detail + i, "\xe2\x82\xac", 3);
	detail[999] = '\0';
	text = compose(PROVIDER_OTHER, detail, 0);
	len = strlen(text);
	assert_true(utf8_is_valid(text, len));
	assert_string_equal(text + len - strlen(end), end);
	shown = strstr(text, "(Error: ") + strlen("(Error: ");
	assert_int_equal(len - strlen(end) - (size_t)(shown - text), 399);
}

static void test_it_appends(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&out, "> ");
	assert_int_equal(notice_compose(PROVIDER_OK, "", 0, &out), 0);
	assert_string_equal(out.data, "> I have no answer.");
}

static void assert_silence(int64_t silent_ms, const char *span)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY, expected = STRBUF_EMPTY;

	assert_int_equal(notice_compose_silence(silent_ms, &out), 0);
	strbuf_printf(&expected,
		      "My agent program has given no sign of life for %s. I stop what it does, and "
		      "let it go on with your message.",
		      span);
	assert_string_equal(out.data, expected.data);
}

static void test_silence(void **state)
{
	(void)state;
	assert_silence(1999, "1 second");
	assert_silence(59999, "59 seconds");
	assert_silence(60000, "1 minute");
	assert_silence(600100, "10 minutes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_detail_is_the_agents_own_words),
		cmocka_unit_test(test_reset_time_is_local),
		cmocka_unit_test(test_long_detail_is_cut_between_characters),
		cmocka_unit_test(test_it_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
