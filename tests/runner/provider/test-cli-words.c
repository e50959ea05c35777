/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-words.h"

#include <errno.h>
#include <string.h>

#include "tests/test.h"

static void test_empty(void **state)
{
	struct cli_words words = CLI_WORDS_EMPTY;

	(void)state;
	assert_null(cli_words_list(&words));
	cli_words_deinit(&words);
}

static void test_words_in_their_order(void **state)
{
	static const char *const more[] = { "KEY=x", "two words", NULL };
	struct cli_words words = CLI_WORDS_EMPTY;

	(void)state;
	cli_words_add(&words, "%s-%d", "a", 1);
	cli_words_take(&words, strdup("b"));
	cli_words_copy(&words, more);
	cli_words_copy(&words, NULL);
	assert_int_equal(words.error, 0);
	assert_int_equal(words.count, 4);
	assert_string_equal(cli_words_list(&words)[0], "a-1");
	assert_string_equal(cli_words_list(&words)[1], "b");
	assert_string_equal(cli_words_list(&words)[2], "KEY=x");
	assert_string_equal(cli_words_list(&words)[3], "two words");
	assert_null(cli_words_list(&words)[4]);
	cli_words_deinit(&words);
	assert_null(words.items);
}

/* What was lost once must not be started. */
static void test_lack_of_memory_is_kept(void **state)
{
	struct cli_words words = CLI_WORDS_EMPTY;

	(void)state;
	cli_words_take(&words, NULL);
	cli_words_add(&words, "x");
	assert_int_equal(words.error, -ENOMEM);
	assert_int_equal(words.count, 0);
	cli_words_deinit(&words);
}

static void test_name(void **state)
{
	static const char *const env[] = { "KEYS=1", "KEY=", "GONE", NULL };

	(void)state;
	assert_true(cli_words_name(env, "KEY"));
	assert_true(cli_words_name(env, "KEYS"));
	assert_false(cli_words_name(env, "KE"));
	assert_false(cli_words_name(env, "GONE"));
	assert_false(cli_words_name(NULL, "KEY"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_words_in_their_order),
		cmocka_unit_test(test_lack_of_memory_is_kept),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
