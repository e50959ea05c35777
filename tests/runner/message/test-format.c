/* SPDX-License-Identifier: MIT */
/* What no tag may let through is in test-format-escape.c. */
#include "runner/message/format.h"

#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "tests/runner/message/format.h"

#define CONTEXT "<context timezone=\"UTC\" />\n"

static void test_nothing(void **state)
{
	(void)state;
	assert_prompt(CONTEXT);
}

static void test_one_message(void **state)
{
	(void)state;
	say("chat", "{\"sender\":\"Ann\",\"text\":\"hello\"}");
	assert_prompt(CONTEXT
		      "<message id=\"4\" from=\"casa\" sender=\"Ann\" time=\"Feb 4, 2026, 1:30 "
		      "PM\">hello</message>");
}

static void test_messages(void **state)
{
	(void)state;
	say("chat", "{\"sender\":\"Ann\",\"text\":\"one\"}");
	say("chat-sdk", "{\"sender\":\"Bob\",\"text\":\"two\"}")->seq = -1;
	say("chat", "three")->seq = 0;
	assert_prompt(CONTEXT
		      "<messages>\n"
		      "<message id=\"4\" from=\"casa\" sender=\"Ann\" time=\"Feb 4, 2026, 1:30 "
		      "PM\">one</message>\n"
		      "<message from=\"casa\" sender=\"Bob\" time=\"Feb 4, 2026, 1:30 "
		      "PM\">two</message>\n"
		      "<message id=\"0\" from=\"casa\" sender=\"Unknown\" time=\"Feb 4, 2026, 1:30 "
		      "PM\">three</message>\n"
		      "</messages>");
}

/* Chat, task, webhook, system, whatever the order of the rows; rows of a section keep theirs. */
static void test_sections(void **state)
{
	(void)state;
	say("system", "{\"action\":\"a\",\"status\":\"ok\",\"result\":{\"b\":[1,2]}}");
	say("task", "{\"prompt\":\"first\"}");
	say("webhook", "{\"source\":\"github\",\"event\":\"push\",\"payload\":[1]}");
	say("chat", "{\"text\":\"hi\"}");
	say("task", "{\"prompt\":\"second\"}");
	assert_prompt(CONTEXT "<message id=\"4\" from=\"casa\" sender=\"Unknown\" time=\"Feb 4, "
			      "2026, 1:30 PM\">hi</message>\n"
			      "\n"
			      "<task from=\"casa\" time=\"Feb 4, 2026, 1:30 PM\">Instructions:\n"
			      "first</task>\n"
			      "\n"
			      "<task from=\"casa\" time=\"Feb 4, 2026, 1:30 PM\">Instructions:\n"
			      "second</task>\n"
			      "\n"
			      "<webhook from=\"casa\" source=\"github\" event=\"push\">[\n"
			      "  1\n"
			      "]</webhook>\n"
			      "\n"
			      "<system_response from=\"casa\" action=\"a\" "
			      "status=\"ok\">{&quot;b&quot;:[1,2]}</system_response>");
}

static void test_from(void **state)
{
	static const struct {
		const char *channel, *platform;
		const char *from; /* NULL: absent */
	} rows[] = {
		{ "slack", "C1", "casa" },
		{ "agent", "ag-2", "be &amp; ta" },
		{ "slack", "C9", "unknown:slack:C9" },
		{ "agent", "C1", "unknown:agent:C1" },
		{ "slack", "ag-2", "unknown:slack:ag-2" },
		{ "slack", NULL, "unknown:slack:" },
		{ NULL, "C1", "unknown::C1" },
		{ "", "C1", "unknown::C1" },
		{ "a&b", "<x>", "unknown:a&amp;b:&lt;x&gt;" },
		{ "\xff", "\xc3", "unknown:\xef\xbf\xbd:\xef\xbf\xbd" },
		{ NULL, NULL, NULL },
		{ "", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;
		struct inbound_row *row = say("webhook", "{\"payload\":1}");

		row->channel_type = constant(rows[i].channel);
		row->platform_id = constant(rows[i].platform);
		strbuf_puts(&expected, CONTEXT "<webhook");
		if (rows[i].from)
			strbuf_printf(&expected, " from=\"%s\"", rows[i].from);
		strbuf_puts(&expected, " source=\"unknown\" event=\"unknown\">1</webhook>");
		assert_prompt(expected.data);
	}
}

/* The attributes and the body of a chat message with this content. */
static void assert_chat(const char *content, const char *attributes, const char *body)
{
	cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;
	struct inbound_row *row = say("chat", content);

	row->channel_type = row->platform_id = row->timestamp = NULL;
	row->seq = -1;
	strbuf_printf(&expected, CONTEXT "<message %s>%s</message>", attributes, body);
	assert_prompt(expected.data);
}

#define UNKNOWN "sender=\"Unknown\" time=\"Invalid Date\""

static void test_sender(void **state)
{
	static const struct {
		const char *content, *sender;
	} rows[] = {
		{ "{\"sender\":\"A\",\"author\":{\"fullName\":\"B\",\"userName\":\"C\"}}", "A" },
		{ "{\"sender\":\"\",\"author\":{\"fullName\":\"B\",\"userName\":\"C\"}}", "B" },
		{ "{\"author\":{\"fullName\":null,\"userName\":\"C\"}}", "C" },
		{ "{\"author\":{}}", "Unknown" },
		{ "{\"author\":\"Ann\"}", "Unknown" },
		{ "{\"author\":null,\"sender\":0}", "Unknown" },
		{ "{\"sender\":42}", "42" },
		{ "{\"sender\":{\"name\":\"A\"}}", "{&quot;name&quot;:&quot;A&quot;}" },
		{ "{\"sender\":[]}", "[]" },
		{ "{\"sender\":true}", "true" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf attributes = STRBUF_EMPTY;

		strbuf_printf(&attributes, "sender=\"%s\" time=\"Invalid Date\"", rows[i].sender);
		assert_chat(rows[i].content, attributes.data, "");
	}
}

/* Nothing that stands in content is an error. */
static void test_odd_content(void **state)
{
	static const struct {
		const char *content, *body;
	} rows[] = {
		{ "", "" },
		{ "null", "" },
		{ "42", "42" },
		{ "true", "true" },
		{ "\"words\"", "words" },
		{ "[1,\"a\"]", "[1,&quot;a&quot;]" },
		{ "{}", "" },
		{ "{\"text\":null}", "" },
		{ "{\"text\":0}", "" },
		{ "{\"text\":12.50}", "12.5" },
		{ "{\"text\":[\"a\",null]}", "[&quot;a&quot;,null]" },
		{ "{\"text\":", "{&quot;text&quot;:" },
		{ "not JSON at all", "not JSON at all" },
		{ "\xff{", "\xef\xbf\xbd{" },
		{ "{\"text\":\"\\u0000a\\ud800\"}", "\xef\xbf\xbd"
						    "a\xef\xbf\xbd" },
		{ "{\"text\":\"a\xff\"}", "a\xef\xbf\xbd" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_chat(rows[i].content, UNKNOWN, rows[i].body);
}

static void test_reply(void **state)
{
	static const struct {
		const char *reply, *attribute, *quote;
	} rows[] = {
		{ "{\"id\":\"42\",\"sender\":\"Bob\",\"text\":\"when?\"}", " reply_to=\"42\"",
		  "\n  <quoted_message from=\"Bob\">when?</quoted_message>\n" },
		{ "{\"id\":7}", " reply_to=\"7\"", "" },
		{ "{\"id\":\"\",\"sender\":\"Bob\",\"text\":\"when?\"}", "",
		  "\n  <quoted_message from=\"Bob\">when?</quoted_message>\n" },
		{ "{\"sender\":\"Bob\"}", "", "" },
		{ "{\"text\":\"when?\"}", "", "" },
		{ "{\"sender\":\"Bob\",\"text\":\"\"}", "", "" },
		{ "{\"sender\":[1],\"text\":{}}", "",
		  "\n  <quoted_message from=\"[1]\">{}</quoted_message>\n" },
		{ "null", "", "" },
		{ "\"42\"", "", "" },
		{ "[]", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf content = STRBUF_EMPTY, attributes = STRBUF_EMPTY;
		cleanup_strbuf struct strbuf body = STRBUF_EMPTY;

		strbuf_printf(&content, "{\"text\":\"soon\",\"replyTo\":%s}", rows[i].reply);
		strbuf_printf(&attributes, UNKNOWN "%s", rows[i].attribute);
		strbuf_printf(&body, "%ssoon", rows[i].quote);
		assert_chat(content.data, attributes.data, body.data);
	}
}

static void test_attachments(void **state)
{
	static const struct {
		const char *attachments, *lines;
	} rows[] = {
		{ "[]", "" },
		{ "null", "" },
		{ "\"a.png\"", "" },
		{ "{\"0\":{}}", "" },
		{ "[null]", "\n[file: attachment]" },
		{ "[{}]", "\n[file: attachment]" },
		{ "[7,\"a\",[]]", "\n[file: attachment]\n[file: attachment]\n[file: attachment]" },
		{ "[{\"name\":\"a.png\",\"filename\":\"b\",\"type\":\"image\","
		  "\"localPath\":\"inbox/in-1/a.png\",\"url\":\"http://x\"}]",
		  "\n[image: a.png \xe2\x80\x94 saved to /workspace/inbox/in-1/a.png]" },
		{ "[{\"filename\":\"b.pdf\",\"url\":\"http://x/?a=1&b=2\"}]",
		  "\n[file: b.pdf (http://x/?a=1&amp;b=2)]" },
		{ "[{\"name\":5,\"type\":true,\"localPath\":\"\",\"url\":null}]", "\n[true: 5]" },
		{ "[{\"name\":\"a\"},{\"name\":\"b\"}]", "\n[file: a]\n[file: b]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf content = STRBUF_EMPTY, body = STRBUF_EMPTY;

		strbuf_printf(&content, "{\"text\":\"see\",\"attachments\":%s}",
			      rows[i].attachments);
		strbuf_printf(&body, "see%s", rows[i].lines);
		assert_chat(content.data, UNKNOWN, body.data);
	}
	assert_chat("{\"attachments\":[{\"name\":\"a\"}]}", UNKNOWN, "\n[file: a]");
}

static void assert_task(const char *content, const char *output, const char *body)
{
	cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	struct inbound_row *row = say("task", content);

	row->channel_type = NULL;
	row->platform_id = NULL;
	if (output)
		assert_int_equal(json_parse(output, strlen(output), &value, NULL), 0);
	world.items[0].script_output = value;
	strbuf_printf(&expected, CONTEXT "<task time=\"Feb 4, 2026, 1:30 PM\">%s</task>", body);
	assert_prompt(expected.data);
}

static void test_task(void **state)
{
	(void)state;
	assert_task("{\"prompt\":\"work\"}", NULL, "Instructions:\nwork");
	assert_task(
		"{\"prompt\":\"work\"}", "{\"new\":[1]}",
		"Script output:\n{\n  &quot;new&quot;: [\n    1\n  ]\n}\n\nInstructions:\nwork");
	/* As a host hands it on; ours counts more. */
	assert_task("{\"prompt\":\"work\",\"scriptOutput\":\"x\"}", NULL,
		    "Script output:\n&quot;x&quot;\n\nInstructions:\nwork");
	assert_task("{\"prompt\":\"work\",\"scriptOutput\":\"x\"}", "7",
		    "Script output:\n7\n\nInstructions:\nwork");
	/* What JavaScript takes for nothing is not shown. */
	assert_task("{\"prompt\":\"work\"}", "0", "Instructions:\nwork");
	assert_task("{\"prompt\":\"work\"}", "false", "Instructions:\nwork");
	assert_task("{\"prompt\":\"work\"}", "\"\"", "Instructions:\nwork");
	assert_task("{\"prompt\":\"work\"}", "{}", "Script output:\n{}\n\nInstructions:\nwork");
	assert_task("just words", NULL, "Instructions:\njust words");
	assert_task("{\"text\":\"words\"}", NULL, "Instructions:\nwords");
	assert_task("{}", NULL, "Instructions:\n");
}

static void test_webhook_and_system(void **state)
{
	static const struct {
		const char *kind, *content, *expected;
	} rows[] = {
		{ "webhook", "{\"source\":\"s\",\"payload\":{\"a\":null}}",
		  "<webhook source=\"s\" event=\"unknown\">{\n  &quot;a&quot;: null\n}</webhook>" },
		{ "webhook", "{\"event\":5,\"payload\":0}",
		  "<webhook source=\"unknown\" event=\"5\">{\n  &quot;event&quot;: 5,\n"
		  "  &quot;payload&quot;: 0\n}</webhook>" },
		{ "webhook", "words",
		  "<webhook source=\"unknown\" event=\"unknown\">{\n  &quot;text&quot;: "
		  "&quot;words&quot;\n}</webhook>" },
		{ "webhook", "[]", "<webhook source=\"unknown\" event=\"unknown\">[]</webhook>" },
		{ "system", "{\"action\":\"a\",\"status\":\"s\"}",
		  "<system_response action=\"a\" status=\"s\">null</system_response>" },
		{ "system", "{\"result\":\"x\"}",
		  "<system_response action=\"unknown\" status=\"unknown\">&quot;x&quot;"
		  "</system_response>" },
		{ "system", "null",
		  "<system_response action=\"unknown\" status=\"unknown\">null"
		  "</system_response>" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;
		struct inbound_row *row = say(rows[i].kind, rows[i].content);

		row->channel_type = NULL;
		row->platform_id = NULL;
		strbuf_printf(&expected, CONTEXT "%s", rows[i].expected);
		assert_prompt(expected.data);
	}
}

static void test_omitted(void **state)
{
	(void)state;
	world.context.passed_over = 7;
	say("chat", "{\"text\":\"hi\"}");
	assert_prompt(CONTEXT
		      "<omitted count=\"7\" reason=\"older messages not addressed to you\" />\n"
		      "<message id=\"4\" from=\"casa\" sender=\"Unknown\" time=\"Feb 4, 2026, 1:30 "
		      "PM\">hi</message>");
}

/* A row that cannot be rendered takes no other row with it. */
static void test_unknown_kind(void **state)
{
	(void)state;
	say("chat", "{\"text\":\"one\"}");
	say("Chat", "{\"text\":\"two\"}");
	say("", "{\"text\":\"three\"}");
	say("chat", "{\"text\":\"four\"}");
	render();
	assert_false(world.failed[0] || world.failed[3]);
	assert_true(world.failed[1] && world.failed[2]);
	assert_string_equal(world.err.text, "unknown kind of message: ");
	assert_string_equal(world.out.data,
			    CONTEXT "<messages>\n"
				    "<message id=\"4\" from=\"casa\" sender=\"Unknown\" "
				    "time=\"Feb 4, 2026, 1:30 PM\">one</message>\n"
				    "<message id=\"4\" from=\"casa\" sender=\"Unknown\" "
				    "time=\"Feb 4, 2026, 1:30 PM\">four</message>\n"
				    "</messages>");
	clear();
	say("odd", "");
	render();
	assert_true(world.failed[0]);
	assert_string_equal(world.err.text, "unknown kind of message: odd");
	assert_string_equal(world.out.data, CONTEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attachments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_task, setup, teardown),
		cmocka_unit_test_setup_teardown(test_webhook_and_system, setup, teardown),
		cmocka_unit_test_setup_teardown(test_omitted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_kind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
