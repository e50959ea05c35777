/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl-words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "tests/test.h"

#define WORDS 12

static int parse(const char *const words[WORDS], struct ncl_words *ret_words, struct err *err)
{
	char *copy[WORDS];

	memcpy(copy, words, sizeof(copy));
	return ncl_words_parse(copy, ret_words, err);
}

static void test_words(void **state)
{
	static const struct {
		const char *words[WORDS];
		const char *command, *args;
		bool json;
	} rows[] = {
		{ { "help" }, "help", "{}" },
		{ { "groups", "config", "get" }, "groups-config-get", "{}" },
		{ { "groups", "get", "--id", "g 1" }, "groups-get", "{\"id\":\"g 1\"}" },
		{ { "--id", "g1", "groups", "get" }, "groups-get", "{\"id\":\"g1\"}" },
		{ { "restart", "--rebuild" }, "restart", "{\"rebuild\":true}" },
		{ { "restart", "--rebuild", "--message", "new one" },
		  "restart",
		  "{\"rebuild\":true,\"message\":\"new one\"}" },
		{ { "a", "--json", "b" }, "a-b", "{}", true },
		/* --json stands alone: what follows is no value of it. */
		{ { "--json", "sessions", "list" }, "sessions-list", "{}", true },
		{ { "a", "--flag", "--json" }, "a", "{\"flag\":true}", true },
		{ { "a", "--n", "-5" }, "a", "{\"n\":\"-5\"}" },
		{ { "a", "--n", "" }, "a", "{\"n\":\"\"}" },
		{ { "a", "-x", "-" }, "a--x--", "{}" },
		/* The last one counts, where the first one stood. */
		{ { "a", "--k", "1", "--l", "--k", "2" }, "a", "{\"k\":\"2\",\"l\":true}" },
		{ { "a", "--key=value", "b" }, "a-b", "{\"key\":\"value\"}" },
		{ { "a", "--key=--x=y", "--empty=" }, "a", "{\"key\":\"--x=y\",\"empty\":\"\"}" },
		{ { "a", "--help" }, "a", "{\"help\":true}" },
		{ { "a", "help", "-h" }, "a-help--h", "{}" },
		{ { "\xc3\xa9\xff", "--\xff", "\xfe" },
		  "\xc3\xa9\xef\xbf\xbd",
		  "{\"\xef\xbf\xbd\":\"\xef\xbf\xbd\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(ncl_words_deinit) struct ncl_words words = { .command = NULL };
		cleanup_strbuf struct strbuf args = STRBUF_EMPTY;
		struct err err;

		assert_int_equal(parse(rows[i].words, &words, &err), 0);
		assert_int_equal(json_append_compact(&args, words.args), 0);
		assert_string_equal(words.command, rows[i].command);
		assert_string_equal(args.data, rows[i].args);
		assert_int_equal(words.json, rows[i].json);
	}
}

static void test_help(void **state)
{
	static const char *const rows[][WORDS] = {
		{ NULL },
		{ "--help" },
		{ "-h" },
		{ "--help", "--frob" },
	};
	struct ncl_words words;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(parse(rows[i], &words, &err), NCL_WORDS_HELP);
	assert_int_equal(ncl_words_parse(NULL, &words, &err), NCL_WORDS_HELP);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *words[WORDS];
		const char *text;
	} rows[] = {
		{ { "--json" }, "a command is missing: `ncl help` lists them" },
		{ { "--id", "g1" }, "a command is missing: `ncl help` lists them" },
		{ { "" }, "a command is missing: `ncl help` lists them" },
		{ { "a", "--", "b" }, "--: an option has a name" },
		{ { "a", "--=b" }, "--=b: an option has a name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ncl_words words;
		struct err err;

		assert_int_equal(parse(rows[i].words, &words, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].text);
	}
}

static void test_too_much(void **state)
{
	cleanup_free char *text = malloc(NCL_WORDS_MAX + 1);
	CLEANUP(ncl_words_deinit) struct ncl_words words = { .command = NULL };
	struct err err;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', NCL_WORDS_MAX);
	text[NCL_WORDS_MAX] = '\0';
	assert_int_equal(ncl_words_parse((char *[]){ text, (char[]){ "y" }, NULL }, &words, &err),
			 -E2BIG);
	assert_string_equal(err.text, "the words have 1048577 bytes, and 1048576 is the limit");
	assert_int_equal(ncl_words_parse((char *[]){ text, NULL }, &words, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
