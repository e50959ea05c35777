/* SPDX-License-Identifier: MIT */
#include "common/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "tests/test.h"

struct target {
	bool verbose, group;
	const char *name;
};

static int set_name(void *target, const char *value, struct err *err)
{
	assert_non_null(value);
	if (strcmp(value, "bad") == 0)
		return err_set(err, -ERANGE, "\"bad\" is no name");
	((struct target *)target)->name = value;
	return 0;
}

static const struct options_row rows[] = {
	{ .name = "verbose",
	  .letter = 'v',
	  .help = "say more",
	  .flag = offsetof(struct target, verbose) },
	{ .name = "name",
	  .letter = 'n',
	  .value = "NAME",
	  .variable = "TEST_OPTIONS_NAME",
	  .help = "a name\nof two lines",
	  .set = set_name },
	{ .name = "a-rather-long-option-for-a-column",
	  .help = "wide",
	  .flag = offsetof(struct target, group) },
	{ .name = "group",
	  .letter = 'g',
	  .help = "all of them",
	  .flag = offsetof(struct target, group) },
};

static const struct options options = { rows, ARRAY_LEN(rows) };

#define WORDS 6

static int count_words(const char *const words[WORDS])
{
	int count = 0;

	while (count < WORDS && words[count])
		count++;
	return count;
}

static void test_parse(void **state)
{
	static const struct {
		const char *words[WORDS];
		int result, index;
		uint64_t seen;
		const char *text; /* the name, or the error */
		bool verbose, group;
	} cases[] = {
		{ { "p" }, 0, 1, 0, NULL },
		{ { "p", "word", "--verbose" }, 0, 1, 0, NULL },
		{ { "p", "-", "-v" }, 0, 1, 0, NULL },
		{ { "p", "--verbose", "word" }, 0, 2, 1, NULL, .verbose = true },
		{ { "p", "--name", "x", "-g" }, 0, 4, 2 | 8, "x", .group = true },
		{ { "p", "--name=x=y", "word" }, 0, 2, 2, "x=y" },
		{ { "p", "--name=" }, 0, 2, 2, "" },
		{ { "p", "--name", "--verbose" }, 0, 3, 2, "--verbose" },
		{ { "p", "--name=x", "--name=y" }, 0, 3, 2, "y" },
		{ { "p", "-gv" }, 0, 2, 1 | 8, NULL, .verbose = true, .group = true },
		{ { "p", "-gnx" }, 0, 2, 2 | 8, "x", .group = true },
		{ { "p", "-n", "x" }, 0, 3, 2, "x" },
		{ { "p", "-v", "--", "--name" }, 1, 3, 1, NULL, .verbose = true },
		{ { "p", "--", "--" }, 1, 2, 0, NULL },
		{ { "p", "--nam=x" }, -EINVAL, 2, 0, "--nam: unknown option" },
		{ { "p", "--names" }, -EINVAL, 2, 0, "--names: unknown option" },
		{ { "p", "-x" }, -EINVAL, 2, 0, "-x: unknown option" },
		{ { "p", "-gx" }, -EINVAL, 2, 8, "-x: unknown option", .group = true },
		{ { "p", "--verbose=1" }, -EINVAL, 2, 0, "--verbose: takes no value" },
		{ { "p", "--name" }, -EINVAL, 2, 0, "--name: needs a value, NAME" },
		{ { "p", "-n" }, -EINVAL, 2, 0, "--name: needs a value, NAME" },
		{ { "p", "--name=bad" }, -EINVAL, 2, 0, "--name: \"bad\" is no name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct target target = { .name = NULL };
		struct err err = { "" };
		uint64_t seen = 0;
		int index = 1, r;
		char *argv[WORDS];

		memcpy(argv, cases[i].words, sizeof(argv));
		r = options_parse(&options, count_words(cases[i].words), argv, &target, &index,
				  &seen, &err);
		assert_int_equal(r, cases[i].result);
		assert_int_equal(index, cases[i].index);
		assert_int_equal(seen, cases[i].seen);
		assert_int_equal(target.verbose, cases[i].verbose);
		assert_int_equal(target.group, cases[i].group);
		assert_string_equal(r < 0	  ? err.text
				    : target.name ? target.name
						  : "",
				    cases[i].text ? cases[i].text : "");
	}
}

static void test_environment(void **state)
{
	struct target target = { .name = NULL };
	struct err err;

	(void)state;
	assert_int_equal(unsetenv("TEST_OPTIONS_NAME"), 0);
	assert_int_equal(options_parse_environment(&options, &target, &err), 0);
	assert_null(target.name);
	assert_int_equal(setenv("TEST_OPTIONS_NAME", "", 1), 0);
	assert_int_equal(options_parse_environment(&options, &target, &err), 0);
	assert_null(target.name);
	assert_int_equal(setenv("TEST_OPTIONS_NAME", "x", 1), 0);
	assert_int_equal(options_parse_environment(&options, &target, &err), 0);
	assert_string_equal(target.name, "x");
	assert_int_equal(setenv("TEST_OPTIONS_NAME", "bad", 1), 0);
	assert_int_equal(options_parse_environment(&options, &target, &err), -EINVAL);
	assert_string_equal(err.text, "TEST_OPTIONS_NAME: \"bad\" is no name");
}

static void test_print(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	options_print(&options, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "  -v, --verbose             say more\n"
				  "  -n, --name=NAME           a name\n"
				  "                            of two lines\n"
				  "      --a-rather-long-option-for-a-column\n"
				  "                            wide\n"
				  "  -g, --group               all of them\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
