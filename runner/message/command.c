/* SPDX-License-Identifier: MIT */
#include "runner/message/command.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/message/blank.h"
#include "runner/message/content.h"

/* No command has a longer name, in bytes with its slash. */
#define COMMAND_WORD_MAX 128

static const struct {
	const char *word;
	enum command command;
} command_table[] = {
	{ "/clear", COMMAND_CLEAR },	      { "/stop", COMMAND_STOP },
	{ "/compact", COMMAND_AGENT },	      { "/context", COMMAND_AGENT },
	{ "/cost", COMMAND_AGENT },	      { "/files", COMMAND_AGENT },
	{ "/remote-control", COMMAND_AGENT },
};

/* Appends the row's trimmed text if it begins with a slash, else nothing. 0 or -ENOMEM. */
static int command_text(const struct inbound_row *row, struct strbuf *out)
{
	static const char *const names[] = { "text", NULL };
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_json json_t *content = NULL;
	const char *trimmed;
	size_t len;
	int r;

	if (!row->wakes || !row->kind ||
	    (strcmp(row->kind, "chat") != 0 && strcmp(row->kind, "chat-sdk") != 0))
		return 0;
	r = content_parse(row->content, row->content_len, &content);
	if (r < 0)
		return r;
	content_append_first(&text, content, names);
	if (text.error)
		return text.error;
	trimmed = text.data;
	len = text.len;
	blank_trim(&trimmed, &len);
	if (len == 0 || trimmed[0] != '/')
		return 0;
	return strbuf_append(out, trimmed, len);
}

/* Copies the first word. false: it is too long, or holds a NUL, to be a command. */
static bool command_word(const struct strbuf *text, char *word)
{
	size_t n = 0;

	while (n < text->len && blank_length(text->data + n, text->len - n) == 0) {
		if (n == COMMAND_WORD_MAX || text->data[n] == '\0')
			return false;
		word[n] = text->data[n];
		n++;
	}
	word[n] = '\0';
	return n > 1;
}

/* Which command is it? Spells the word as who carries it out does. */
static enum command command_of_word(char *word, command_known_fn *known, void *userdata)
{
	char lower[COMMAND_WORD_MAX + 1];
	enum command command = COMMAND_NONE;
	size_t n = strlen(word);

	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)tolower((unsigned char)word[i]);
	for (size_t i = 0; i < ARRAY_LEN(command_table); i++)
		if (strcmp(lower, command_table[i].word) == 0)
			command = command_table[i].command;
	/* Commands that people add may have capitals; agents tell them apart. */
	if (command == COMMAND_NONE && known && known(userdata, word))
		return COMMAND_AGENT;
	if (command == COMMAND_NONE && known && known(userdata, lower))
		command = COMMAND_AGENT;
	if (command != COMMAND_NONE)
		memcpy(word, lower, n);
	return command;
}

int command_classify(const struct inbound_row *row, command_known_fn *known, void *userdata,
		     enum command *ret_command, char **ret_text)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	char word[COMMAND_WORD_MAX + 1];
	enum command command = COMMAND_NONE;
	char *stolen;
	int r;

	r = command_text(row, &text);
	if (r < 0)
		return r;
	if (text.len > 0 && command_word(&text, word))
		command = command_of_word(word, known, userdata);
	if (command == COMMAND_AGENT && ret_text) {
		memcpy(text.data, word, strlen(word));
		/* A string for the caller: what stands behind a NUL would be lost. */
		for (size_t i = 0; i < text.len; i++)
			if (text.data[i] == '\0')
				text.data[i] = ' ';
		stolen = strbuf_steal(&text);
		if (!stolen)
			return -ENOMEM;
		*ret_text = stolen;
	}
	*ret_command = command;
	return 0;
}

bool command_is_candidate(const struct inbound_row *row)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	return command_text(row, &text) < 0 || text.len > 0;
}
