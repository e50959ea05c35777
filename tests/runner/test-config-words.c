/* SPDX-License-Identifier: MIT */
#include "runner/config-words.h"

#include "tests/test.h"

static void test_are(void **state)
{
	json_t *good = json_pack("[s, s]", "a", ""), *mixed = json_pack("[s, i]", "a", 1);
	json_t *nul = json_pack("[s%]", "a\0b", (size_t)3), *none = json_array();

	(void)state;
	assert_true(config_words_are(good));
	assert_true(config_words_are(none));
	assert_false(config_words_are(mixed));
	assert_false(config_words_are(nul));
	assert_false(config_words_are(NULL));
	json_decref(good);
	json_decref(mixed);
	json_decref(nul);
	json_decref(none);
}

static void test_copy(void **state)
{
	json_t *array = json_pack("[s, s]", "a b", "c");
	char **words = config_words_copy(array);

	(void)state;
	json_decref(array);
	assert_string_equal(words[0], "a b");
	assert_string_equal(words[1], "c");
	assert_null(words[2]);
	config_words_free(words);
	config_words_free(NULL);
}

static void test_split(void **state)
{
	char **words = config_words_split("  /x/agent\t--acp \"a b\" \n"), **none;

	(void)state;
	assert_string_equal(words[0], "/x/agent");
	assert_string_equal(words[1], "--acp");
	/* Quotes are characters as any other. */
	assert_string_equal(words[2], "\"a");
	assert_string_equal(words[3], "b\"");
	assert_null(words[4]);
	config_words_free(words);
	none = config_words_split(" ");
	assert_null(none[0]);
	config_words_free(none);
	words = config_words_split("a");
	assert_string_equal(words[0], "a");
	assert_null(words[1]);
	config_words_free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_are),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
