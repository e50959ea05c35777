/* SPDX-License-Identifier: MIT */
#include "runner/message/note.h"

#include <inttypes.h>
#include <string.h>

#include "runner/io/json.h"
#include "runner/message/cite.h"
#include "runner/message/content.h"

/* How much is shown of words that the agent has read or written before, in bytes. */
#define NOTE_NAME_MAX  128
#define NOTE_WORDS_MAX 400

int note_server_failed(const char *name, const char *status, struct strbuf *out)
{
	strbuf_puts(out, "<system>The MCP server ");
	cite_name(name, NOTE_NAME_MAX, out);
	strbuf_puts(out, " is not available (");
	cite_name(status, NOTE_NAME_MAX, out);
	return strbuf_puts(out,
			   "): you have none of its tools. Say so if they are needed.</system>");
}

/* The first of these members that is there, quoted; "" if none is. */
static void note_words(const json_t *content, const char *const *names, struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	content_append_first(&text, content, names);
	cite_name(text.data ? text.data : "", NOTE_WORDS_MAX, out);
	out->error |= text.error;
}

int note_late_answer(const json_t *asked, const json_t *answer, struct strbuf *out)
{
	strbuf_puts(out, "<system>Your question ");
	note_words(asked, (const char *const[]){ "question", NULL }, out);
	strbuf_puts(out, " (");
	note_words(asked, (const char *const[]){ "title", NULL }, out);
	strbuf_puts(out, ") was answered when nobody waited for the answer any more: ");
	note_words(answer, (const char *const[]){ "selectedOption", NULL }, out);
	return strbuf_puts(out, ". Go on from there if it still matters; say so to the person who "
				"answered.</system>");
}

/* What people would have read, by the kind of row. */
static const char *const note_words_read[] = { "text", "fallbackText", "question", "emoji", NULL };
/* What the host was asked to do. */
static const char *const note_action[] = { "action", NULL };

int note_undelivered(int64_t seq, const char *to, const json_t *content, struct strbuf *out)
{
	/* The agent knows messages by their numbers, and what it asks of the host by its name. */
	if (content_first(content, note_action)) {
		strbuf_puts(out, "<system>The host could not carry out ");
		note_words(content, note_action, out);
		return strbuf_puts(out, ", which you asked for.</system>");
	}
	strbuf_printf(out, "<system>Your message %" PRId64, seq);
	if (to) {
		strbuf_puts(out, " to ");
		cite_name(to, NOTE_NAME_MAX, out);
	}
	strbuf_puts(out, " could not be delivered");
	if (!json_is_object(content) || content_first(content, note_words_read)) {
		strbuf_puts(out, ": ");
		note_words(content, note_words_read, out);
	}
	return strbuf_puts(out, ". Nobody has seen it.</system>");
}

int note_more_undelivered(struct strbuf *out)
{
	return strbuf_puts(out, "<system>More that you sent before these could not be delivered or "
				"carried out either.</system>");
}

int note_sent(const char *to, const json_t *content, struct strbuf *out)
{
	const char *file = json_string_value(json_array_get(json_member(content, "files"), 0));

	if (content_first(content, note_action)) {
		strbuf_puts(out, "the request ");
		note_words(content, note_action, out);
		return strbuf_puts(out, " to the host");
	}
	if (content_first(content, note_words_read) || !json_is_object(content))
		note_words(content, note_words_read, out);
	else
		strbuf_puts(out, "something without words");
	if (file)
		strbuf_puts(out, " with the file ");
	if (file)
		cite_name(file, NOTE_NAME_MAX, out);
	if (to) {
		strbuf_puts(out, " to ");
		cite_name(to, NOTE_NAME_MAX, out);
	}
	return out->error;
}

int note_resumed(const char *sent, bool more, struct strbuf *out)
{
	strbuf_puts(out, "<system>Your work on what follows was broken off. ");
	if (!sent)
		return strbuf_puts(out, "Nothing of it had been sent. See what you had done "
					"already, and go on from there.</system>");
	strbuf_printf(out, "This was already sent%s: %s. ", more ? ", among other things" : "",
		      sent);
	return strbuf_puts(out, "Do not send it again: see what you had done, and go on from "
				"there.</system>");
}
