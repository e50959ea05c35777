/* SPDX-License-Identifier: MIT */
/*
 * Words of others in what the agent is told by us: message/cite, note, instructions, compaction. The
 * input is, with tabs between: a name, another one, JSON that asked, JSON that answers.
 */
#include "runner/message/note.h"

#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/message/compaction.h"
#include "runner/message/instructions.h"
#include "tests/fuzz/fuzz.h"

struct words {
	const char *name, *other;
	const json_t *asked, *answer;
};

static void write_server(const struct words *w, struct strbuf *out)
{
	fuzz_must(note_server_failed(w->name, w->other, out) == 0);
}

static void write_answer(const struct words *w, struct strbuf *out)
{
	fuzz_must(note_late_answer(w->asked, w->answer, out) == 0);
}

static void write_undelivered(const struct words *w, struct strbuf *out)
{
	fuzz_must(note_undelivered(3, w->name, w->asked, out) == 0);
}

static void with_destinations(const struct words *w, struct strbuf *out,
			      int (*write)(const struct words *w,
					   const struct inbound_destinations *d,
					   struct strbuf *out))
{
	struct inbound_destination rows[] = {
		{ .name = (char *)(uintptr_t)w->name, .display_name = (char *)(uintptr_t)w->other },
		{ .name = (char *)(uintptr_t)w->other, .is_agent = true },
	};

	fuzz_must(write(w, &(struct inbound_destinations){ rows, 2 }, out) == 0);
}

static int nudge(const struct words *w, const struct inbound_destinations *d, struct strbuf *out)
{
	return instructions_nudge(d, w->other, out);
}

static int compose(const struct words *w, const struct inbound_destinations *d, struct strbuf *out)
{
	(void)w;
	return instructions_compose("Ann", d, NULL, out);
}

static int compact(const struct words *w, const struct inbound_destinations *d, struct strbuf *out)
{
	(void)w;
	return compaction_compose(d, out);
}

static void write_nudge(const struct words *w, struct strbuf *out)
{
	with_destinations(w, out, nudge);
}

static void write_instructions(const struct words *w, struct strbuf *out)
{
	with_destinations(w, out, compose);
}

static void write_compaction(const struct words *w, struct strbuf *out)
{
	with_destinations(w, out, compact);
}

static size_t count_of(const struct strbuf *text, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < text->len; i++)
		count += text->data[i] == c;
	return count;
}

/* The words add no line, no tag and no quotation mark to what would be said of plain ones. */
static void check(void (*write)(const struct words *w, struct strbuf *out), const struct words *w,
		  const struct words *plain)
{
	static const char structure[] = "<>\"\n\r\t";
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;

	write(w, &text);
	write(plain, &expected);
	fuzz_must(utf8_is_valid(text.data, text.len) && strlen(text.data) == text.len);
	for (const char *c = structure; *c; c++)
		fuzz_must(count_of(&text, *c) == count_of(&expected, *c));
}

/* What is told of a row depends on which members it has. */
static json_t *plain_of(const json_t *value)
{
	json_t *plain = json_is_object(value) ? json_object() : json_string("x"), *member;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)value, name, member)(void) json_object_set_new(
		plain, name,
		json_is_true(member) || json_is_object(member) || json_is_array(member) ||
				json_string_length(member) > 0
			? json_string("x")
			: json_incref(member));
	return plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const writers[])(const struct words *w, struct strbuf *out) = {
		write_server, write_answer,	  write_undelivered,
		write_nudge,  write_instructions, write_compaction,
	};
	struct fuzz_text rest = { (const char *)data, size };
	cleanup_free char *name = fuzz_dup(fuzz_cut(&rest, '\t'));
	cleanup_free char *other = fuzz_dup(fuzz_cut(&rest, '\t'));
	struct fuzz_text first = fuzz_cut(&rest, '\t');
	cleanup_json json_t *asked = NULL, *answer = NULL, *plain = NULL;

	if (json_parse(first.data, first.len, &asked, NULL) < 0 ||
	    json_parse(rest.data, rest.len, &answer, NULL) < 0)
		return 0;
	plain = plain_of(asked);
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		check(writers[i], &(struct words){ name, other, asked, answer },
		      &(struct words){ "x", *other && strcmp(name, other) != 0 ? "y" : "x", plain,
				       plain });
	return 0;
}
