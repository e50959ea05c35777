/* SPDX-License-Identifier: MIT */
#include "runner/message/tag.h"

#include <stdio.h>
#include <string.h>

#include "common/strbuf.h"
#include "tests/test.h"

/*
 * Each tag as a word of the expected text: M and /M, I and /I, behind it (to) if there is one, and
 * the partner's index if there is one. Where they stand is asserted on the way.
 */
static void assert_tags(const char *text, const char *expected)
{
	static const char *const types[] = {
		[TAG_MESSAGE_OPEN] = "M",
		[TAG_MESSAGE_CLOSE] = "/M",
		[TAG_INTERNAL_OPEN] = "I",
		[TAG_INTERNAL_CLOSE] = "/I",
	};
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_free struct tag *tags = NULL;
	size_t count = 99, end = 0, len = strlen(text);
	/* Behind a copy of its own, so that the sanitizer sees each byte read too much. */
	cleanup_free char *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	assert_int_equal(tag_scan(copy, len, &tags, &count), 0);
	strbuf_puts(&out, "");
	for (size_t i = 0; i < count; i++) {
		const struct tag *tag = &tags[i];

		assert_true(end <= tag->start && tag->start < tag->end && tag->end <= len);
		assert_int_equal(text[tag->start], '<');
		assert_int_equal(text[tag->end - 1], '>');
		end = tag->end;
		strbuf_printf(&out, "%s%s", i ? " " : "", types[tag->type]);
		if (tag->to_length)
			strbuf_printf(&out, "(%.*s)", (int)tag->to_length, text + tag->to);
		if (tag->partner != TAG_NONE)
			strbuf_printf(&out, "%zu", tag->partner);
	}
	if (strcmp(out.data, expected) != 0)
		fail_msg("%s\n    gives  %s\n    not    %s", text, out.data, expected);
}

static void test_no_tags(void **state)
{
	(void)state;
	assert_tags("", "");
	assert_tags("hello", "");
	assert_tags("1 < 2 > 0 <<>> < message> <", "");
	assert_tags("<messages to=\"a\"></messages> <message-x> <internally> <internal_x>", "");
	assert_tags("<messag> <interna> <mes", "");
	assert_tags("&lt;message to=\"a\"&gt;", "");
}

static void test_offsets(void **state)
{
	static const char text[] = "ab<message to=\"casa\">hi</message>";
	cleanup_free struct tag *tags = NULL;
	size_t count;

	(void)state;
	assert_int_equal(tag_scan(text, strlen(text), &tags, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(tags[0].start, 2);
	assert_int_equal(tags[0].end, 21);
	assert_int_equal(tags[0].to, 15);
	assert_int_equal(tags[0].to_length, 4);
	assert_int_equal(tags[1].start, 23);
	assert_int_equal(tags[1].end, 33);
	assert_int_equal(tags[1].to_length, 0);
}

static void test_spellings(void **state)
{
	(void)state;
	assert_tags("<message to=\"a\"></message>", "M(a)1 /M0");
	assert_tags("<MESSAGE TO=\"a\"></Message>", "M(a)1 /M0");
	assert_tags("<message to='a'></message >", "M(a)1 /M0");
	assert_tags("<message to=a></ message>", "M(a)1 /M0");
	assert_tags("<message\n\tto = \"a\" \n></\nmessage\n>", "M(a)1 /M0");
	assert_tags("<message to=\"a b\"></message>", "M(a b)1 /M0");
	assert_tags("<message to=\"it's\"></message>", "M(it's)1 /M0");
	assert_tags("<message to='say \"x\"'></message>", "M(say \"x\")1 /M0");
	assert_tags("<message to=\"a&gt;b\"></message>", "M(a&gt;b)1 /M0");
	assert_tags("<message to=\" a \"></message>", "M(a)1 /M0");
	assert_tags("<message to=\"\xc2\xa0"
		    "a\xe2\x80\x83\"></message>",
		    "M(a)1 /M0");
	assert_tags("<internal></internal>", "I1 /I0");
	assert_tags("<Internal reason=\"x\"></INTERNAL\t>", "I1 /I0");
}

static void test_attributes(void **state)
{
	(void)state;
	assert_tags("<message id=\"4\" to=\"a\" time='x'>", "M(a)");
	assert_tags("<message to=\"a\" to=\"b\">", "M(a)");
	assert_tags("<message to=\"\" to=\"b\">", "M(b)");
	assert_tags("<message into=\"x\" tot=\"y\" to=\"a\">", "M(a)");
	assert_tags("<message note=\"to='x'\" to=a>", "M(a)");
	assert_tags("<message note=\"a > b\" to=\"a\">", "M(a)");
	assert_tags("<message urgent to=\"a\" silent>", "M(a)");
	assert_tags("<message to=\"a\"id=\"4\">", "M(a)");
	assert_tags("<message to=\"a\" / >", "M(a)");
	assert_tags("<message = to=\"a\">", "M(a)");
	assert_tags("<message \"casa\">", "M");
	assert_tags("<message>", "M");
	assert_tags("<message >", "M");
	assert_tags("<message to>", "M");
	assert_tags("<message to=>", "M");
	assert_tags("<message to=\"\">", "M");
	assert_tags("<message to=\" \t\xc2\xa0\">", "M");
	assert_tags("<message to = >", "M");
}

static void test_a_quote_is_missing(void **state)
{
	(void)state;
	assert_tags("<message to=\"a>hi</message>", "M(a)1 /M0");
	assert_tags("<message to=\"a>say \"hi\"</message>", "M(a)1 /M0");
	assert_tags("<message to='a>it's</message>", "M(a)1 /M0");
	assert_tags("<message to=a\">hi</message>", "M(a\")1 /M0");
	assert_tags("<message to=\"a\n\">hi</message>", "M(a)1 /M0");
	assert_tags("<message to=\"a\nid=\"4\">hi</message>", "M(a)1 /M0");
	assert_tags("<message id=\"4 to=\"a\">hi</message>", "M1 /M0");
	assert_tags("<message to=\"a\" id=\"4>hi</message>", "M(a)1 /M0");
	assert_tags("<message to=\"a\" id=\"4>hi\n\"</message>", "M(a)1 /M0");
}

static void test_not_quite_a_tag(void **state)
{
	(void)state;
	assert_tags("<message to=\"a\"", "");
	assert_tags("<message to=\"a", "");
	assert_tags("<message to=", "");
	assert_tags("<message to", "");
	assert_tags("<message ", "");
	assert_tags("<message", "");
	assert_tags("</message", "");
	assert_tags("</message ", "");
	assert_tags("</", "");
	assert_tags("<message/>", "");
	assert_tags("<message to=\"a\"/>", "");
	assert_tags("<message to=\"a\" />", "");
	assert_tags("<internal/>", "");
	assert_tags("</message to=\"a\">", "");
	assert_tags("<message to=\"a\" <message to=\"b\">", "M(b)");
	assert_tags("<message <internal></message>", "I /M");
	assert_tags("<<message>", "M");
	assert_tags("<//message>", "");
	assert_tags("</message/>", "");
}

static void test_pairs_nest(void **state)
{
	(void)state;
	assert_tags("<message to=a><message to=b></message></message>", "M(a)3 M(b)2 /M1 /M0");
	assert_tags("<message to=a><message to=b></message>", "M(a) M(b)2 /M1");
	assert_tags("<message to=a></message></message>", "M(a)1 /M0 /M");
	assert_tags("</message><message to=a>", "/M M(a)");
	assert_tags("<message></message>", "M1 /M0");
	assert_tags("<internal><internal></internal></internal>", "I3 I2 /I1 /I0");
	assert_tags("<internal><internal></internal>", "I I2 /I1");
	assert_tags("<internal></internal></internal>", "I1 /I0 /I");
	assert_tags("</internal><internal>", "/I I");
}

static void test_what_was_cut_pairs_with_nothing(void **state)
{
	(void)state;
	assert_tags("<message to=a><internal></message></internal></message>",
		    "M(a)4 I3 /M /I1 /M0");
	assert_tags("<internal><message to=a></internal></message>", "I2 M(a) /I0 /M");
	assert_tags("<internal><message to=a></message></internal>", "I3 M(a) /M /I0");
	assert_tags("<message to=a><internal></message>", "M(a)2 I /M0");
	assert_tags("<message to=a></internal></message>", "M(a)2 /I /M0");
}

static void test_quoted(void **state)
{
	(void)state;
	assert_tags("`<message to=\"a\">`", "");
	assert_tags("``<message to=\"a\">``", "");
	assert_tags("`<message to=\"a\">hi</message>`", "");
	assert_tags("`<message to=\"a\"> and <internal>` </message>", "/M");
	assert_tags("`</message>` and `</internal>`", "");
	assert_tags("`<message to=a>``</message>`", "");
	assert_tags("`<message to=a>` <message to=b> `</message>`", "M(b)");
	assert_tags("``<internal> ` ``<internal>", "I");
	assert_tags("`<message to=a>\\`", "");
}

static void test_not_quoted(void **state)
{
	(void)state;
	/* No end on its line. */
	assert_tags("`<message to=\"a\">hi", "M(a)");
	assert_tags("`<message to=\"a\">hi\n`", "M(a)");
	assert_tags("`<message to=\"a\">hi``", "M(a)");
	assert_tags("``<message to=\"a\">hi`", "M(a)");
	/* A fence: an answer may stand in it as a whole. */
	assert_tags("```<message to=\"a\">```", "M(a)");
	assert_tags("```\n<message to=\"a\">\n```", "M(a)");
	/* Not directly behind the backticks. */
	assert_tags("`ls` <message to=\"a\">`x`</message>", "M(a)1 /M0");
	assert_tags("` <message to=\"a\">`", "M(a)");
	assert_tags("`x <message to=\"a\">`", "M(a)");
	assert_tags("5 o`clock <message to=\"a\">`</message>", "M(a)1 /M0");
	assert_tags("`x`<message to=\"a\">`y`</message>", "M(a)1 /M0");
	assert_tags("`a``<message to=\"a\">b`", "M(a)");
	assert_tags("`a`\n`<message to=\"a\">", "M(a)");
	assert_tags("`<b>` <message to=\"a\">", "M(a)");
}

/* The closing backtick of a span stands in a tag: what follows is read anew. */
static void test_a_tag_across_the_end_of_a_span(void **state)
{
	(void)state;
	assert_tags("`x <message to=\"a`b\">c</message>", "M(a`b)1 /M0");
	assert_tags("`x <message to=\"a`b\">`</message>`", "M(a`b)");
	assert_tags("`<message to=` and more> </message>", "/M");
}

static void test_any_length(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;

	(void)state;
	strbuf_printf(&text, "<message to=\"a\" x=\"%0100000d\"></message>", 0);
	assert_tags(text.data, "M(a)1 /M0");
	strbuf_reset(&text);
	strbuf_printf(&text, "<message %100000s to=\"a\"></message>", "");
	assert_tags(text.data, "M(a)1 /M0");
	/* A name that nobody bears, but its end is its own. */
	strbuf_reset(&text);
	strbuf_printf(&text, "<message to=\"%0100000d\"></message>", 0);
	strbuf_printf(&expected, "M(%0100000d)1 /M0", 0);
	assert_tags(text.data, expected.data);
}

static void test_nul_is_no_end(void **state)
{
	static const char text[] = "\0<message to=\"a\0b\">\0</message>";
	cleanup_free struct tag *tags = NULL;
	size_t count;

	(void)state;
	assert_int_equal(tag_scan(text, sizeof(text) - 1, &tags, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(tags[0].type, TAG_MESSAGE_CLOSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_tags),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_a_quote_is_missing),
		cmocka_unit_test(test_not_quite_a_tag),
		cmocka_unit_test(test_pairs_nest),
		cmocka_unit_test(test_what_was_cut_pairs_with_nothing),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_not_quoted),
		cmocka_unit_test(test_a_tag_across_the_end_of_a_span),
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_nul_is_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
