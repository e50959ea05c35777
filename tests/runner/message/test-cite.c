/* SPDX-License-Identifier: MIT */
#include "runner/message/cite.h"

#include <string.h>

#include "common/table.h"
#include "tests/test.h"

#define FFFD "\xef\xbf\xbd"

static void test_line(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *line;
	} rows[] = {
		{ "", 10, "" },
		{ "Casa", 10, "Casa" },
		{ "Casa", 4, "Casa" },
		{ "Casas", 4, "Casa…" },
		{ "a\nb\r\tc\x1b\x7f", 20, "a b  c  " },
		{ "a\xc2\x85"
		  "b\xe2\x80\xa8"
		  "c\xe2\x80\xa9",
		  20, "a b c " },
		{ "Ren\xe9!", 20, "Ren" FFFD "!" },
		/* Not cut in the middle of a character. */
		{ "Ren\xc3\xa9!", 4, "Ren…" },
		{ "\"<&>\"", 20, "\"<&>\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

		assert_int_equal(cite_line(rows[i].text, strlen(rows[i].text), rows[i].max, &out),
				 0);
		assert_string_equal(out.data, rows[i].line);
	}
}

static void test_name(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(cite_name("a\"b<c>&d\n'e'", SIZE_MAX, &out), 0);
	assert_string_equal(out.data, "\"a&quot;b&lt;c&gt;&amp;d 'e'\"");
	strbuf_reset(&out);
	/* What is cut is the name, not its entity. */
	assert_int_equal(cite_name("<<<", 2, &out), 0);
	assert_string_equal(out.data, "\"&lt;&lt;…\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
