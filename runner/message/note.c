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

/* The member as text, whatever it is. */
static void note_words(const json_t *content, const char *name, struct strbuf *out)
{
	const char *const names[] = { name, NULL };
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	content_append_first(&text, content, names);
	cite_name(text.data ? text.data : "", NOTE_WORDS_MAX, out);
	out->error |= text.error;
}

int note_late_answer(const json_t *asked, const json_t *answer, struct strbuf *out)
{
	strbuf_puts(out, "<system>Your question ");
	note_words(asked, "question", out);
	strbuf_puts(out, " (");
	note_words(asked, "title", out);
	strbuf_puts(out, ") was answered after its time was up: ");
	note_words(answer, "selectedOption", out);
	return strbuf_puts(out, ". Go on from there if it still matters; say so to the person who "
				"answered.</system>");
}

int note_undelivered(int64_t seq, const char *to, const json_t *content, struct strbuf *out)
{
	strbuf_printf(out, "<system>Your message %" PRId64, seq);
	if (to) {
		strbuf_puts(out, " to ");
		cite_name(to, NOTE_NAME_MAX, out);
	}
	strbuf_puts(out, " could not be delivered: ");
	note_words(content, "text", out);
	return strbuf_puts(out, ". Nobody has seen it.</system>");
}
