/* SPDX-License-Identifier: MIT */
#include "runner/message/dispatch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "common/utf8.h"
#include "tests/test.h"

#define FFFD "\xef\xbf\xbd"

/* What is tested: each block as "to: body", then "~" and the scratchpad, joined by " | ". */
static void assert_bytes(const char *text, size_t len, const char *expected)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	/* Behind a copy of its own, so that the sanitizer sees each byte read too much. */
	cleanup_free char *copy = malloc(len ? len : 1);
	struct dispatch parts;

	memcpy(copy, text, len);
	assert_int_equal(dispatch_parse(copy, len, &parts), 0);
	for (size_t i = 0; i < parts.count; i++) {
		assert_true(utf8_is_valid(parts.blocks[i].to, strlen(parts.blocks[i].to)));
		assert_true(utf8_is_valid(parts.blocks[i].body, strlen(parts.blocks[i].body)));
		strbuf_printf(&out, "%s: %s | ", parts.blocks[i].to, parts.blocks[i].body);
	}
	strbuf_printf(&out, "~%s", parts.scratch);
	if (strcmp(out.data, expected) != 0)
		fail_msg("%.500s\n    gives  %.500s\n    not    %.500s", text, out.data, expected);
	dispatch_deinit(&parts);
}

static void assert_parts(const char *text, const char *expected)
{
	assert_bytes(text, strlen(text), expected);
}

static void test_no_block(void **state)
{
	(void)state;
	assert_parts("", "~");
	assert_parts(" \n\t ", "~");
	assert_parts("\n hello there \n", "~hello there");
	assert_parts("1 < 2 & 3 > 2", "~1 < 2 & 3 > 2");
	assert_bytes("hello, and more", 5, "~hello");
}

static void test_blocks_in_order(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">hi</message>", "a: hi | ~");
	assert_parts("<message to=\"a\">\n  hi\n\n  you \n</message>", "a: hi\n\n  you | ~");
	assert_parts("<message to=\"a\">1</message><message to=\"b\">2</message>"
		     "<message to=\"a\">3</message>",
		     "a: 1 | b: 2 | a: 3 | ~");
	assert_parts("<message to=\"a\">same</message>\n<message to=\"a\">same</message>",
		     "a: same | a: same | ~");
}

static void test_scratch(void **state)
{
	(void)state;
	assert_parts("before <message to=\"a\">hi</message> after", "a: hi | ~before  after");
	assert_parts("1<message to=\"a\">x</message>2<message to=\"b\">y</message>3",
		     "a: x | b: y | ~123");
	assert_parts("</message> alone", "~</message> alone");
	assert_parts("</message> <message to=\"a\">hi</message>", "a: hi | ~</message>");
	assert_parts("</internal> <message to=\"a\">hi</message>", "a: hi | ~</internal>");
}

/* As models write them. */
static void test_tolerance(void **state)
{
	(void)state;
	assert_parts("<message to='a'>hi</message>", "a: hi | ~");
	assert_parts("<Message To=a>hi</MESSAGE>", "a: hi | ~");
	assert_parts("<message\n  to = \"a\"\n>hi</ message\n>", "a: hi | ~");
	assert_parts("<message id=\"4\" to=\"a\" sender='me'>hi</message>", "a: hi | ~");
	assert_parts("<message to=\"a>hi</message>", "a: hi | ~");
	assert_parts("<message to=\" a \">hi</message>", "a: hi | ~");
	assert_parts("```xml\n<message to=\"a\">hi</message>\n```", "a: hi | ~```xml\n\n```");
	assert_parts("> <message to=\"a\">hi</message>", "a: hi | ~>");
	assert_parts("**<message to=\"a\">hi</message>**", "a: hi | ~****");
}

static void test_names(void **state)
{
	(void)state;
	assert_parts("<message to=\"a&amp;b\">x</message>", "a&b: x | ~");
	assert_parts("<message to=\"a&lt;b&gt;&quot;c\">x</message>", "a<b>\"c: x | ~");
	assert_parts("<message to=\"&amp;lt;\">x</message>", "&lt;: x | ~");
	assert_parts("<message to=\"a & b &c; &\">x</message>", "a & b &c; &: x | ~");
	assert_parts("<message to=\"&am\">x</message>", "&am: x | ~");
	assert_parts("<message to=\"caf\xc3\xa9 \xf0\x9f\x98\x80\">x</message>",
		     "caf\xc3\xa9 \xf0\x9f\x98\x80: x | ~");
	assert_parts("<message to=\"unknown:telegram:12\">x</message>",
		     "unknown:telegram:12: x | ~");
}

/* A name that nobody bears is reported; and its block leaves the others alone. */
static void test_a_long_name(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;

	(void)state;
	strbuf_printf(&text,
		      "<message to=\"a\">1</message><message to=\"%0100000d\">2</message>"
		      "<message to=\"b\">3</message>",
		      0);
	strbuf_printf(&expected, "a: 1 | %0100000d: 2 | b: 3 | ~", 0);
	assert_parts(text.data, expected.data);
}

/* Nobody is named: the words stay where the agent is asked for them. */
static void test_no_name(void **state)
{
	(void)state;
	assert_parts("<message>hi</message>", "~<message>hi</message>");
	assert_parts("<message id=\"4\">hi</message>", "~<message id=\"4\">hi</message>");
	assert_parts("<message to=\"\">hi</message>", "~<message to=\"\">hi</message>");
	assert_parts("<message to=\" \">hi</message>", "~<message to=\" \">hi</message>");
	assert_parts("<message to=\"a\">the tag <message> is it</message>",
		     "a: the tag <message> is it | ~");
	assert_parts("<message to=\"a\">x <message>y</message> z</message>",
		     "a: x <message>y</message> z | ~");
	assert_parts("<message to=\"a\">x</message> <message>y</message>",
		     "a: x | ~<message>y</message>");
}

static void test_empty_blocks_are_dropped(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\"></message>", "~");
	assert_parts("<message to=\"a\"> \n\xc2\xa0 </message>x", "~x");
	assert_parts("<message to=\"a\"><internal>n</internal></message>", "~");
	assert_parts("<message to=\"a\"/>", "~<message to=\"a\"/>");
	assert_parts("<message to=\"a\"></message><message to=\"b\">x</message>", "b: x | ~");
	assert_parts("<message to=\"a\">", "~");
}

static void test_a_body_is_taken_as_it_is(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">&lt;b&gt; &amp; <b>x</b> `y` \"z\" \\n</message>",
		     "a: &lt;b&gt; &amp; <b>x</b> `y` \"z\" \\n | ~");
	assert_parts("<message to=\"a\"><messages><thing/></messages></message>",
		     "a: <messages><thing/></messages> | ~");
}

/* Rule 1 */
static void test_quoted_tags_are_text(void **state)
{
	(void)state;
	assert_parts("Use `<message to=\"a\">hi</message>` for it.",
		     "~Use `<message to=\"a\">hi</message>` for it.");
	assert_parts("<message to=\"a\">End with `</message>`, always.</message>",
		     "a: End with `</message>`, always. | ~");
	assert_parts("<message to=\"a\">Put ``<message to=\"b\">x</message>`` there</message>",
		     "a: Put ``<message to=\"b\">x</message>`` there | ~");
	assert_parts("<message to=\"a\">Notes go into `<internal>` tags.</message> x",
		     "a: Notes go into `<internal>` tags. | ~x");
	assert_parts("`<internal>` <message to=\"a\">hi</message>", "a: hi | ~`<internal>`");
	assert_parts("<internal>about `</internal>` tags</internal><message to=\"a\">x</message>",
		     "a: x | ~");
}

static void test_backticks_that_quote_no_tag(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">Run `ls` and `cat`</message>", "a: Run `ls` and `cat` | ~");
	assert_parts("`x` <message to=\"a\">`y`</message>`z`", "a: `y` | ~`x` `z`");
	assert_parts("<message to=\"a\">`<b>`</message>", "a: `<b>` | ~");
	assert_parts("`<message to=\"a\">hi\nyou</message>`", "a: hi\nyou | ~``");
	assert_parts("<message to=\"a\">```\ncode\n```</message>", "a: ```\ncode\n``` | ~");
	assert_parts("5 o`clock <message to=\"a\">hi</message>", "a: hi | ~5 o`clock");
}

/* Rule 2 */
static void test_internals_are_cut_first(void **state)
{
	(void)state;
	assert_parts("<internal>plan</internal>", "~");
	assert_parts("x<internal>plan</internal>y", "~xy");
	assert_parts("<internal><message to=\"a\">secret</message></internal>", "~");
	assert_parts("<internal>a</internal><message to=\"a\">hi</message><internal>b</internal>",
		     "a: hi | ~");
	assert_parts("<message to=\"a\">hi <internal>note</internal>you</message>",
		     "a: hi you | ~");
	assert_parts("<message to=\"a\"><internal>1</internal>hi<internal>2</internal></message>",
		     "a: hi | ~");
	assert_parts("<INTERNAL kind='x'>plan</Internal >z", "~z");
	assert_parts("<internal>1</internal><internal>2</internal>", "~");
}

static void test_internals_nest(void **state)
{
	(void)state;
	assert_parts("<internal>a <internal>b</internal> c</internal>d", "~d");
	assert_parts("<message to=\"a\">x<internal><internal>b</internal>c</internal>y</message>",
		     "a: xy | ~");
}

/* Tags in an internal belong to nothing outside of it. */
static void test_internals_across_blocks(void **state)
{
	(void)state;
	assert_parts("<internal><message to=\"a\"></internal>x</message>", "~x</message>");
	assert_parts("<message to=\"a\">hi<internal></message></internal> you</message>",
		     "a: hi you | ~");
	assert_parts("<message to=\"a\">hi<internal></message><message to=\"b\">x</internal>"
		     " you</message>",
		     "a: hi you | ~");
	assert_parts("<message to=\"a\">hi<internal></message></internal> you", "a: hi you | ~");
}

/* What is left when a cut is made must not become a tag. */
static void test_a_cut_makes_no_tag(void **state)
{
	(void)state;
	assert_parts("<mess<internal>x</internal>age to=\"a\">hi</message>",
		     "~<message to=\"a\">hi</message>");
	assert_parts("<inter<internal>x</internal>nal>y</internal>", "~<internal>y</internal>");
}

/* Rule 3 */
static void test_blocks_nest(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">Write <message to=\"b\">x</message> so</message>",
		     "a: Write <message to=\"b\">x</message> so | ~");
	assert_parts("<message to=\"a\"><message to=\"b\">x</message></message>y",
		     "a: <message to=\"b\">x</message> | ~y");
	assert_parts("<message to=\"a\">1<message to=\"b\">2<message to=\"c\">3</message></message>"
		     "</message><message to=\"d\">4</message>",
		     "a: 1<message to=\"b\">2<message to=\"c\">3</message></message> | d: 4 | ~");
}

/* Rule 4 */
static void test_a_mentioned_end(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">End with </message> always.</message> z",
		     "a: End with </message> always. | ~z");
	assert_parts("<message to=\"a\">1</message>2</message>3</message>4",
		     "a: 1</message>2</message>3 | ~4");
	assert_parts("<message to=\"a\">1</message>2</message><message to=\"b\">3</message>",
		     "a: 1</message>2 | b: 3 | ~");
	/* The lone end stands behind the next block: it is that one's. */
	assert_parts("<message to=\"a\">1</message>2<message to=\"b\">3</message>4</message>",
		     "a: 1 | b: 3</message>4 | ~2");
	assert_parts("<message to=\"a\">1</message><internal>x</message></internal>2", "a: 1 | ~2");
	assert_parts("<message to=\"a\">1</message><internal>n</internal>2</message>3",
		     "a: 1</message>2 | ~3");
	assert_parts("<message to=\"a\">1</message> <message>2</message> 3</message>4",
		     "a: 1</message> <message>2</message> 3 | ~4");
}

/* Rule 5 */
static void test_a_missing_end(void **state)
{
	(void)state;
	assert_parts("<message to=\"a\">hi", "a: hi | ~");
	assert_parts("x <message to=\"a\">hi there\n", "a: hi there | ~x");
	assert_parts("<message to=\"a\">1<message to=\"b\">2</message>3", "a: 1 | b: 2 | ~3");
	assert_parts("<message to=\"a\">1\n<message to=\"b\">2", "a: 1 | b: 2 | ~");
	assert_parts("<message to=\"a\">1<message>2</message>3", "a: 1<message>2 | ~3");
	assert_parts("<message to=\"a\">hi</messag", "a: hi</messag | ~");
	assert_parts("<message to=\"a\">hi</message", "a: hi</message | ~");
	assert_parts("<message to=\"a\">hi <internal>n</internal>you", "a: hi you | ~");
	assert_parts("<message to=\"a\">1<message to=\"b\"", "a: 1<message to=\"b\" | ~");
}

/* Rule 6 */
static void test_an_internal_without_end(void **state)
{
	(void)state;
	/* Outside of a block it hides what follows. */
	assert_parts("<internal>plan <message to=\"a\">hi</message>",
		     "~plan <message to=\"a\">hi</message>");
	assert_parts("<message to=\"a\">1</message> x <internal> y <message to=\"b\">2</message>",
		     "a: 1 | ~x  y <message to=\"b\">2</message>");
	assert_parts("<internal>1<internal>2</internal>3", "~13");
	assert_parts("<internal>1<internal>2</internal><message to=\"a\">3</message>",
		     "~1<message to=\"a\">3</message>");
	/* And its tags are nobody's end. */
	assert_parts("<message to=\"a\">1</message> x <internal> y</message>",
		     "a: 1 | ~x  y</message>");
	/* In a body it is text. */
	assert_parts(
		"<message to=\"a\">use <internal> so</message> x <message to=\"b\">2</message>",
		"a: use <internal> so | b: 2 | ~x");
	assert_parts("<message to=\"a\">use <internal> so", "a: use <internal> so | ~");
	assert_parts("<message to=\"a\">use </internal> so</message>", "a: use </internal> so | ~");
}

static void test_bytes_that_are_no_text(void **state)
{
	static const char nul[] = "<message to=\"a\0b\">x\0y</message>\0z\0";

	(void)state;
	assert_bytes(nul, sizeof(nul) - 1, "a" FFFD "b: x" FFFD "y | ~" FFFD "z" FFFD);
	assert_bytes("\0", 1, "~" FFFD);
	assert_parts("<message to=\"\xff\">gr\xfc\xdf \xc3</message>\xed\xa0\x80",
		     FFFD ": gr" FFFD FFFD " " FFFD " | ~" FFFD FFFD FFFD);
	assert_parts("<message to=\"a\">\xf0\x9f\x98</message>", "a: " FFFD FFFD FFFD " | ~");
	/* A NUL within a tag, and in the midst of a sequence. */
	assert_bytes("<mess\0age to=\"a\">", 17, "~<mess" FFFD "age to=\"a\">");
	assert_bytes("\xc3\0\xa9", 3, "~" FFFD FFFD FFFD);
}

static void test_deinit_of_nothing(void **state)
{
	struct dispatch parts = { .count = 0 };

	(void)state;
	dispatch_deinit(NULL);
	dispatch_deinit(&parts);
	assert_int_equal(dispatch_parse(NULL, 0, &parts), 0);
	assert_string_equal(parts.scratch, "");
	dispatch_deinit(&parts);
	assert_null(parts.scratch);
	assert_null(parts.blocks);
}

#define FLOOD 1000000

/* Texts that are each of this over and over: what takes quadratic time takes minutes. */
static const char *const floods[] = {
	"<",
	"<message",
	"<message ",
	"<message to=",
	"<message to=\"",
	"<message to='a",
	"<message x=\"",
	"<message x=\"\n",
	"<message x=a",
	"<message to=\"a\">",
	"<message to=\"a\">x",
	"<message to=\"a\">x</message>",
	"<message to=\"a\">x</message></message>",
	"<message to=\"a\">x</message><message>y</message>",
	"<message>",
	"</message>",
	"</",
	"</ ",
	"<internal>",
	"</internal>",
	"<internal></internal>",
	"<internal><message to=\"a\"></internal>",
	"<message to=\"a\"><internal></message></internal>",
	"<message to=\"a\"></internal>",
	"</message><message to=\"a\"><internal>",
	"`",
	"`a",
	"``a`",
	"`a``b```",
	"`<message to=\"a\">",
	"`<message to=\"a\">`",
	"``<message to=\"a\">`",
	"`<message to=`",
	"` ",
	"\n",
	" ",
	"\xc2\xa0",
	"&amp;",
	"\xff",
	"",
};

/* A flood, behind text and with text behind it; processor seconds that it took. */
static double flood(size_t size, const char *start, const char *word, const char *end)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	size_t n = *word ? strlen(word) : 1;
	struct dispatch parts;
	clock_t began;

	strbuf_puts(&text, start);
	while (text.len < size)
		strbuf_append(&text, word, n);
	strbuf_puts(&text, end);
	began = clock();
	assert_int_equal(dispatch_parse(text.data, text.len, &parts), 0);
	dispatch_deinit(&parts);
	return (double)(clock() - began) / CLOCKS_PER_SEC;
}

static void test_time_in_proportion_to_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(floods); i++)
		if (flood(FLOOD, "", floods[i], "") > 5)
			fail_msg("%s", floods[i]);
	assert_true(flood(5 * FLOOD, "", "<", "") < 5);
	assert_true(flood(5 * FLOOD, "", "<message", "") < 5);
	assert_true(flood(FLOOD, "<message to=\"a\">", "</message>", "</internal>") < 5);
	assert_true(flood(FLOOD, "<message to=\"a\">", "<message>", "</message>") < 5);
	assert_true(flood(FLOOD, "<message to=\"a\">", "<internal>", "</message>") < 5);
	assert_true(flood(FLOOD, "<internal>", "<message to=\"a\">", "</message>") < 5);
	assert_true(flood(FLOOD, "<message ", "a=\"b\" ", ">") < 5);
	assert_true(flood(FLOOD, "<message ", "x=\"\n", ">") < 5);
	assert_true(flood(FLOOD, "<message ", "x='a y=\"", "") < 5);
	assert_true(flood(FLOOD, "`<message ", "x ` ``", "`") < 5);
	assert_true(flood(FLOOD, "<message to=\"", "a", "\">") < 5);
	assert_true(flood(FLOOD, "`", "<message to=\"a\">", "`") < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_block),
		cmocka_unit_test(test_blocks_in_order),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_tolerance),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_long_name),
		cmocka_unit_test(test_no_name),
		cmocka_unit_test(test_empty_blocks_are_dropped),
		cmocka_unit_test(test_a_body_is_taken_as_it_is),
		cmocka_unit_test(test_quoted_tags_are_text),
		cmocka_unit_test(test_backticks_that_quote_no_tag),
		cmocka_unit_test(test_internals_are_cut_first),
		cmocka_unit_test(test_internals_nest),
		cmocka_unit_test(test_internals_across_blocks),
		cmocka_unit_test(test_a_cut_makes_no_tag),
		cmocka_unit_test(test_blocks_nest),
		cmocka_unit_test(test_a_mentioned_end),
		cmocka_unit_test(test_a_missing_end),
		cmocka_unit_test(test_an_internal_without_end),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_deinit_of_nothing),
		cmocka_unit_test(test_time_in_proportion_to_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
