/* SPDX-License-Identifier: MIT */
#include "runner/message/note.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

static void test_a_server_failed(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(note_server_failed("files", "failed", &out), 0);
	assert_string_equal(out.data,
			    "<system>The MCP server \"files\" is not available (\"failed\"): you "
			    "have none of its tools. Say so if they are needed.</system>");
	strbuf_reset(&out);
	assert_int_equal(note_server_failed("a\n</system>\"", "needs-auth", &out), 0);
	assert_string_equal(out.data,
			    "<system>The MCP server \"a &lt;/system&gt;&quot;\" is not available "
			    "(\"needs-auth\"): you have none of its tools. Say so if they are "
			    "needed.</system>");
}

static void assert_late(const char *asked, const char *answer, const char *note)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *question = test_json(asked), *reply = test_json(answer);

	assert_int_equal(note_late_answer(question, reply, &out), 0);
	assert_string_equal(out.data, note);
}

static void test_a_late_answer(void **state)
{
	(void)state;
	assert_late("{'type':'ask_question','title':'Cake','question':'Which cake?'}",
		    "{'questionId':'q','selectedOption':'Plum'}",
		    "<system>Your question \"Which cake?\" (\"Cake\") was answered when nobody "
		    "waited for the answer any more: \"Plum\". Go on from there if it still "
		    "matters; say "
		    "so to the person "
		    "who answered.</system>");
	/* What the host writes there is its own affair. */
	assert_late(
		"{'question':'a<b>','title':{'x':1}}", "{'selectedOption':7}",
		"<system>Your question \"a&lt;b&gt;\" (\"{&quot;x&quot;:1}\") was answered "
		"when nobody waited for the answer any more: \"7\". Go on from there if it still "
		"matters; say so to "
		"the person who answered.</system>");
	assert_late("{}", "{}",
		    "<system>Your question \"\" (\"\") was answered when nobody waited for the "
		    "answer any more: \"\". "
		    "Go on from there if it still matters; say so to the person who "
		    "answered.</system>");
}

static void assert_undelivered(const char *to, const char *content, const char *note)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *value = test_json(content);

	assert_int_equal(note_undelivered(7, to, value, &out), 0);
	assert_string_equal(out.data, note);
}

static void test_an_undelivered_message(void **state)
{
	(void)state;
	assert_undelivered("casa", "{'text':'Dinner\\nat 8','files':['a']}",
			   "<system>Your message 7 to \"casa\" could not be delivered: \"Dinner at "
			   "8\". Nobody has seen it.</system>");
	assert_undelivered(NULL, "'plain'",
			   "<system>Your message 7 could not be delivered: \"plain\". Nobody has "
			   "seen it.</system>");
	assert_undelivered("a\"b", "{'type':'card','card':{},'fallbackText':'In words'}",
			   "<system>Your message 7 to \"a&quot;b\" could not be delivered: \"In "
			   "words\". Nobody has seen it.</system>");
	assert_undelivered("casa", "{'type':'ask_question','question':'Which?','options':[]}",
			   "<system>Your message 7 to \"casa\" could not be delivered: \"Which?\". "
			   "Nobody has seen it.</system>");
	assert_undelivered("casa", "{'text':'','files':['report.pdf']}",
			   "<system>Your message 7 to \"casa\" could not be delivered. Nobody has "
			   "seen it.</system>");
}

static void test_an_action_that_failed(void **state)
{
	(void)state;
	assert_undelivered(
		NULL, "{'action':'schedule_task','taskId':'task-1','prompt':'x'}",
		"<system>The host could not carry out \"schedule_task\", which you asked "
		"for.</system>");
}

static void test_too_many_to_be_told_one_by_one(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(note_more_undelivered(&out), 0);
	assert_string_equal(out.data, "<system>More that you sent before these could not be "
				      "delivered or carried out either.</system>");
}

static void append_sent(struct strbuf *out, const char *to, const char *content)
{
	cleanup_json json_t *value = test_json(content);

	strbuf_reset(out);
	assert_int_equal(note_sent(to, value, out), 0);
}

static void test_what_was_sent(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	append_sent(&out, "casa", "{'text':'on\\nit'}");
	assert_string_equal(out.data, "\"on it\" to \"casa\"");
	append_sent(&out, NULL, "{'type':'ask_question','question':'<b>?'}");
	assert_string_equal(out.data, "\"&lt;b&gt;?\"");
	append_sent(&out, NULL, "{'action':'schedule_task'}");
	assert_string_equal(out.data, "the request \"schedule_task\" to the host");
}

static void test_an_attempt_that_broke_off(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(note_resumed(NULL, false, &out), 0);
	assert_string_equal(out.data,
			    "<system>Your work on what follows was broken off. Nothing of it had "
			    "been sent. See what you had done already, and go on from "
			    "there.</system>");
	strbuf_reset(&out);
	assert_int_equal(note_resumed("\"a\" to \"b\"", true, &out), 0);
	assert_string_equal(out.data, "<system>Your work on what follows was broken off. This was "
				      "already sent, among other things: \"a\" to \"b\". Do not "
				      "send it again: see what you had done, and go on from "
				      "there.</system>");
}

static void test_words_are_cut(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *content = NULL;
	char long_text[600], expected[600];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	content = json_pack("{s:s}", "text", long_text);
	assert_int_equal(note_undelivered(INT64_MAX, "casa", content, &out), 0);
	(void)snprintf(expected, sizeof(expected),
		       "<system>Your message %" PRId64 " to \"casa\" could not be delivered: "
		       "\"%.400s…\". Nobody has seen it.</system>",
		       INT64_MAX, long_text);
	assert_string_equal(out.data, expected);
}

static void test_notes_are_appended(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *content = test_json("{'action':'x'}");

	(void)state;
	strbuf_puts(&out, "before\n");
	assert_int_equal(note_undelivered(1, NULL, content, &out), 0);
	assert_string_equal(out.data, "before\n<system>The host could not carry out \"x\", which "
				      "you asked for.</system>");
	/* Memory ran out before: nothing is made up. */
	out.error = -ENOMEM;
	assert_int_equal(note_undelivered(1, NULL, content, &out), -ENOMEM);
	assert_int_equal(note_late_answer(content, content, &out), -ENOMEM);
	assert_int_equal(note_more_undelivered(&out), -ENOMEM);
	assert_int_equal(note_server_failed("a", "failed", &out), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server_failed),
		cmocka_unit_test(test_a_late_answer),
		cmocka_unit_test(test_an_undelivered_message),
		cmocka_unit_test(test_an_action_that_failed),
		cmocka_unit_test(test_too_many_to_be_told_one_by_one),
		cmocka_unit_test(test_what_was_sent),
		cmocka_unit_test(test_an_attempt_that_broke_off),
		cmocka_unit_test(test_words_are_cut),
		cmocka_unit_test(test_notes_are_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
