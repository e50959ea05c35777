/* SPDX-License-Identifier: MIT */
#include "runner/message/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "tests/test.h"

/* An agent that announced these. */
static const char *const announced[] = { "/review", "/mcp__Server__Ask", "/caf\xc3\xa9" };

static bool known(void *userdata, const char *word)
{
	size_t *asked = userdata;

	if (asked)
		(*asked)++;
	for (size_t i = 0; i < ARRAY_LEN(announced); i++)
		if (strcmp(word, announced[i]) == 0)
			return true;
	return false;
}

struct row {
	struct inbound_row row;
	char content[1024];
	char kind[16];
};

/* A chat row that wakes, with this content. */
static struct inbound_row *row_of(struct row *row, const char *content, size_t len)
{
	assert_true(len < sizeof(row->content));
	memcpy(row->content, content, len);
	row->content[len] = '\0';
	strcpy(row->kind, "chat");
	row->row = (struct inbound_row){
		.wakes = true, .kind = row->kind, .content = row->content, .content_len = len
	};
	return &row->row;
}

static struct inbound_row *row_saying(struct row *row, const char *text)
{
	char content[1024];

	(void)snprintf(content, sizeof(content), "{\"text\":\"%s\"}", text);
	return row_of(row, content, strlen(content));
}

static void assert_classified(const struct inbound_row *row, enum command expected,
			      const char *expected_text)
{
	cleanup_free char *text = NULL;
	enum command command = COMMAND_STOP;

	assert_int_equal(command_classify(row, known, NULL, &command, &text), 0);
	if (command != expected)
		fail_msg("%s: %d instead of %d", row->content, (int)command, (int)expected);
	if (expected_text)
		assert_string_equal(text, expected_text);
	else
		assert_null(text);
}

static void assert_command(const char *said, enum command expected, const char *expected_text)
{
	struct row row;

	assert_classified(row_saying(&row, said), expected, expected_text);
}

static void test_ours(void **state)
{
	(void)state;
	assert_command("/clear", COMMAND_CLEAR, NULL);
	assert_command("/Clear", COMMAND_CLEAR, NULL);
	assert_command("/CLEAR", COMMAND_CLEAR, NULL);
	assert_command("  /clear\\n", COMMAND_CLEAR, NULL);
	assert_command("\\u00a0/clear\\ufeff", COMMAND_CLEAR, NULL);
	assert_command("/clear now", COMMAND_CLEAR, NULL);
	assert_command("/clear\\nnow", COMMAND_CLEAR, NULL);
	assert_command("/clear\\tnow", COMMAND_CLEAR, NULL);
	assert_command("/clear\\u00a0now", COMMAND_CLEAR, NULL);
	assert_command("/stop", COMMAND_STOP, NULL);
	assert_command("/STOP it!", COMMAND_STOP, NULL);
}

static void test_what_every_agent_is_asked(void **state)
{
	(void)state;
	assert_command("/compact", COMMAND_AGENT, "/compact");
	assert_command("/context", COMMAND_AGENT, "/context");
	assert_command("/cost", COMMAND_AGENT, "/cost");
	assert_command("/files", COMMAND_AGENT, "/files");
	assert_command("/remote-control", COMMAND_AGENT, "/remote-control");
	assert_command(" /compact keep <the> \\\"names\\\" \\n", COMMAND_AGENT,
		       "/compact keep <the> \"names\"");
}

/* Claude Code does not know "/Compact", which is what a telephone makes of it. */
static void test_the_word_is_spelled_as_the_agent_knows_it(void **state)
{
	(void)state;
	assert_command("/Compact Keep It", COMMAND_AGENT, "/compact Keep It");
	assert_command("/COST", COMMAND_AGENT, "/cost");
	assert_command("/REVIEW Mine", COMMAND_AGENT, "/review Mine");
	assert_command("/mcp__Server__Ask Me", COMMAND_AGENT, "/mcp__Server__Ask Me");
	assert_command("/mcp__server__ask Me", COMMAND_NONE, NULL);
}

static void test_what_the_agent_announced(void **state)
{
	struct row row;
	enum command command = COMMAND_STOP;
	size_t asked = 0;

	(void)state;
	assert_command("/review", COMMAND_AGENT, "/review");
	assert_command("/review 12\\n34", COMMAND_AGENT, "/review 12\n34");
	assert_command("/caf\xc3\xa9", COMMAND_AGENT, "/caf\xc3\xa9");
	assert_command("/reviews", COMMAND_NONE, NULL);
	assert_command("/revie", COMMAND_NONE, NULL);
	assert_command("review", COMMAND_NONE, NULL);
	/* Nobody to ask, and nobody asked in vain. */
	row_saying(&row, "/review");
	assert_int_equal(command_classify(&row.row, NULL, NULL, &command, NULL), 0);
	assert_int_equal(command, COMMAND_NONE);
	row_saying(&row, "/compact");
	assert_int_equal(command_classify(&row.row, NULL, NULL, &command, NULL), 0);
	assert_int_equal(command, COMMAND_AGENT);
	assert_int_equal(command_classify(&row.row, known, &asked, &command, NULL), 0);
	row_saying(&row, "see /review");
	assert_int_equal(command_classify(&row.row, known, &asked, &command, NULL), 0);
	assert_int_equal(asked, 0);
	row_saying(&row, "/review");
	assert_int_equal(command_classify(&row.row, known, &asked, &command, NULL), 0);
	assert_int_equal(asked, 1);
}

static void test_sentences(void **state)
{
	static const char *const sentences[] = {
		"/etc/hosts is broken",
		"/clearly not",
		"/clear/now",
		"/clear,",
		"/clear!",
		"/clear: all",
		"/cleаr", /* a Cyrillic letter */
		"/clear\\u200b",
		"/stop.",
		"/stopped",
		"/compact-it",
		"/costs",
		"//clear",
		"/ clear",
		"/",
		"/ ",
		"\\\\/clear",
		"clear",
		"please /clear",
		".\\n/clear",
		"",
		"  ",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
		assert_command(sentences[i], COMMAND_NONE, NULL);
}

static void test_content_of_every_shape(void **state)
{
	static const struct {
		const char *content;
		enum command command;
	} rows[] = {
		{ "/clear", COMMAND_CLEAR },
		{ " /clear ", COMMAND_CLEAR },
		{ "\"/clear\"", COMMAND_CLEAR },
		{ "{\"text\":\"/clear\",\"sender\":\"Ann\"}", COMMAND_CLEAR },
		{ "{\"text\":\"/clear\",\"attachments\":[null]}", COMMAND_CLEAR },
		{ "{\"prompt\":\"/clear\"}", COMMAND_NONE },
		{ "{\"text\":[\"/clear\"]}", COMMAND_NONE },
		{ "[\"/clear\"]", COMMAND_NONE },
		{ "{\"text\":null}", COMMAND_NONE },
		{ "{\"text\":47}", COMMAND_NONE },
		{ "null", COMMAND_NONE },
		{ "", COMMAND_NONE },
		{ "{\"text\":\"/clear\"", COMMAND_NONE },
	};
	struct row row;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_classified(row_of(&row, rows[i].content, strlen(rows[i].content)),
				  rows[i].command, NULL);
}

static void test_odd_bytes(void **state)
{
	struct row row;

	(void)state;
	assert_classified(row_of(&row, "/clear\0", 7), COMMAND_NONE, NULL);
	assert_classified(row_of(&row, "/clear \0", 8), COMMAND_CLEAR, NULL);
	assert_classified(row_of(&row, "/clear\xff", 7), COMMAND_NONE, NULL);
	/* What stands behind a NUL is not lost, and what is no text is mended. */
	assert_classified(row_of(&row, "/compact a\0b \xff", 14), COMMAND_AGENT,
			  "/compact a b \xef\xbf\xbd");
}

static void test_long_words(void **state)
{
	char text[256] = "/";
	struct row row;
	enum command command;
	size_t asked = 0;

	(void)state;
	memset(text + 1, 'x', 127);
	row_saying(&row, text);
	assert_int_equal(command_classify(&row.row, known, &asked, &command, NULL), 0);
	assert_int_equal(command, COMMAND_NONE);
	assert_int_equal(asked, 2);
	text[128] = 'x';
	row_saying(&row, text);
	assert_int_equal(command_classify(&row.row, known, &asked, &command, NULL), 0);
	assert_int_equal(command, COMMAND_NONE);
	assert_int_equal(asked, 2);
	assert_true(command_is_candidate(&row.row));
}

static void test_kinds(void **state)
{
	static const struct {
		const char *kind;
		enum command command;
	} rows[] = {
		{ "chat", COMMAND_CLEAR },   { "chat-sdk", COMMAND_CLEAR },
		{ "Chat", COMMAND_NONE },    { "task", COMMAND_NONE },
		{ "webhook", COMMAND_NONE }, { "system", COMMAND_NONE },
		{ "", COMMAND_NONE },	     { "chat-sdk2", COMMAND_NONE },
	};
	struct row row;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		row_saying(&row, "/clear");
		strcpy(row.kind, rows[i].kind);
		assert_classified(&row.row, rows[i].command, NULL);
		assert_int_equal(command_is_candidate(&row.row), rows[i].command == COMMAND_CLEAR);
	}
}

/* What was overheard was not said to the agent. */
static void test_context_is_no_command(void **state)
{
	struct row row;

	(void)state;
	row_saying(&row, "/clear")->wakes = false;
	assert_classified(&row.row, COMMAND_NONE, NULL);
	assert_false(command_is_candidate(&row.row));
}

static void test_candidates(void **state)
{
	static const struct {
		const char *text;
		bool candidate;
	} rows[] = {
		{ "/clear", true },  { "/unheard-of", true }, { "/etc/hosts is broken", true },
		{ " \\n /x", true }, { "/", true },	      { "hello", false },
		{ "a /x", false },   { "", false },	      { "  ", false },
	};
	struct row row;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (command_is_candidate(row_saying(&row, rows[i].text)) != rows[i].candidate)
			fail_msg("%s", rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_what_every_agent_is_asked),
		cmocka_unit_test(test_the_word_is_spelled_as_the_agent_knows_it),
		cmocka_unit_test(test_what_the_agent_announced),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_content_of_every_shape),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_context_is_no_command),
		cmocka_unit_test(test_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
