/* SPDX-License-Identifier: MIT */
#include "entrypoint/confine-words.h"

#include <stddef.h>

#include "common/exit-code.h"
#include "tests/test.h"

static void test_words(void **state)
{
	static const char *const words[] = { "--workspace=/w", "--write=/a", "--write=/b",
					     "--connect=443", NULL };
	struct err err = { "" };
	struct cli cli;

	(void)state;
	assert_int_equal(confine_words_read(words, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_CONFINE);
	assert_string_equal(cli.role, "agent");
	assert_string_equal(cli.workspace, "/w");
	assert_int_equal(cli.sandbox.write.count, 2);
	assert_string_equal(cli.sandbox.write.items[1], "/b");
	assert_null(cli.command);
}

static void test_none(void **state)
{
	static const char *const words[] = { NULL };
	struct err err = { "" };
	struct cli cli;

	(void)state;
	assert_int_equal(confine_words_read(words, &cli, &err), 0);
	assert_int_equal(cli.sandbox.write.count, 0);
}

static void test_nonsense(void **state)
{
	static const char *const words[] = { "--nonsense", NULL };
	struct err err = { "" };
	struct cli cli;

	(void)state;
	assert_int_equal(confine_words_read(words, &cli, &err), EXIT_CODE_CONFIG);
	assert_non_null(strstr(err.text, "--nonsense"));
}

static void test_too_many(void **state)
{
	const char *words[CONFINE_WORDS_MAX + 2] = { NULL };
	struct err err = { "" };
	struct cli cli;

	(void)state;
	for (size_t i = 0; i < CONFINE_WORDS_MAX; i++)
		words[i] = "--userns";
	assert_int_equal(confine_words_read(words, &cli, &err), 0);
	words[CONFINE_WORDS_MAX] = "--userns";
	assert_int_equal(confine_words_read(words, &cli, &err), EXIT_CODE_CONFIG);
	assert_string_equal(err.text, "the sandbox has too many words");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
