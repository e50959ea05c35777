/* SPDX-License-Identifier: MIT */
/* What an agent wrote: message/tag, message/dispatch. */
#include "runner/message/dispatch.h"

#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/message/tag.h"
#include "tests/fuzz/fuzz.h"

#define SECRET	     "hidden-7f3a"
#define SECRET_BLOCK "<message to=\"" SECRET "\">" SECRET "</message>"

static void check_text(const char *text)
{
	fuzz_must(utf8_is_valid(text, strlen(text)));
}

static size_t count_of(const char *text, size_t len, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == c;
	return count;
}

/* Pairs point at each other, and tags stand in order without overlapping. */
static void check_tags(const char *text, size_t len, const struct tag *tags, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct tag *tag = &tags[i];

		fuzz_must(tag->start < tag->end && tag->end <= len);
		fuzz_must(text[tag->start] == '<' && text[tag->end - 1] == '>');
		fuzz_must(i == 0 || tags[i - 1].end <= tag->start);
		fuzz_must(tag->to_length == 0 ||
			  (tag->to > tag->start && tag->to + tag->to_length < tag->end));
		if (tag->partner == TAG_NONE)
			continue;
		fuzz_must(tag->partner < count && tags[tag->partner].partner == i);
		fuzz_must((tag->type ^ 1) == tags[tag->partner].type);
		fuzz_must((tag->partner > i) ==
			  (tag->type == TAG_MESSAGE_OPEN || tag->type == TAG_INTERNAL_OPEN));
	}
}

/* Nothing is lost: what stands outside of tags and of what is cut arrives somewhere. */
static void check_nothing_lost(const char *text, size_t len, const struct dispatch *dispatch)
{
	cleanup_free struct tag *tags = NULL;
	size_t count = 0, at = 0, expected = 0, found;

	fuzz_must(tag_scan(text, len, &tags, &count) == 0);
	check_tags(text, len, tags, count);
	for (size_t i = 0; i < count; i++) {
		expected += count_of(text + at, tags[i].start - at, 'e');
		if (tags[i].type == TAG_INTERNAL_OPEN && tags[i].partner != TAG_NONE)
			i = tags[i].partner;
		at = tags[i].end;
	}
	expected += count_of(text + at, len - at, 'e');
	found = count_of(dispatch->scratch, strlen(dispatch->scratch), 'e');
	for (size_t i = 0; i < dispatch->count; i++)
		found += count_of(dispatch->blocks[i].body, strlen(dispatch->blocks[i].body), 'e');
	fuzz_must(found >= expected && found <= count_of(text, len, 'e'));
}

static void check_any(const char *text, size_t len)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY;
	struct dispatch dispatch;

	fuzz_must(dispatch_parse(text, len, &dispatch) == 0);
	check_text(dispatch.scratch);
	for (size_t i = 0; i < dispatch.count; i++) {
		fuzz_must(dispatch.blocks[i].to[0] && dispatch.blocks[i].body[0]);
		check_text(dispatch.blocks[i].to);
		check_text(dispatch.blocks[i].body);
	}
	/* Where a tag ends depends on what is taken for a character. */
	for (size_t i = 0; i < len; i++)
		if (text[i])
			strbuf_putc(&mended, text[i]);
		else
			strbuf_puts(&mended, "\xef\xbf\xbd");
	if (mended.len > 0 && utf8_is_valid(mended.data, mended.len))
		check_nothing_lost(mended.data, mended.len, &dispatch);
	dispatch_deinit(&dispatch);
}

/* Whatever stands before, inside and behind: a block in <internal> is neither sent nor kept. */
static void check_internal(struct fuzz_text before, struct fuzz_text inside,
			   struct fuzz_text behind)
{
	cleanup_free char *inner = fuzz_dup(inside);
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct dispatch dispatch;

	/* A tag in there would pair with ours. */
	if (strlen(inner) < inside.len || strcasestr(inner, "internal"))
		return;
	strbuf_append(&text, before.data, before.len);
	strbuf_puts(&text, "\n<internal>\n");
	strbuf_append(&text, inside.data, inside.len);
	strbuf_puts(&text, "\n" SECRET_BLOCK "\n</internal>\n");
	strbuf_append(&text, behind.data, behind.len);
	fuzz_must(dispatch_parse(text.data, text.len, &dispatch) == 0);
	for (size_t i = 0; i < dispatch.count; i++) {
		fuzz_must(!strstr(dispatch.blocks[i].to, SECRET));
		fuzz_must(!strstr(dispatch.blocks[i].body, SECRET));
	}
	fuzz_must(!strstr(dispatch.scratch, SECRET));
	dispatch_deinit(&dispatch);
}

static void append_escaped(struct strbuf *out, const char *text)
{
	for (; *text; text++)
		if (*text == '&')
			strbuf_puts(out, "&amp;");
		else if (*text == '<')
			strbuf_puts(out, "&lt;");
		else if (*text == '>')
			strbuf_puts(out, "&gt;");
		else if (*text == '"')
			strbuf_puts(out, "&quot;");
		else
			strbuf_putc(out, *text);
}

/* A block that was found, written out as the agent is told to, is found again. */
static void check_again(const struct dispatch_block *block)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct dispatch dispatch;

	/* Tags and code spans in a body are read in their turn; a name is on one line. */
	if (strpbrk(block->body, "<`") || strpbrk(block->to, "\r\n"))
		return;
	strbuf_puts(&text, "<message to=\"");
	append_escaped(&text, block->to);
	strbuf_printf(&text, "\">%s</message>", block->body);
	fuzz_must(dispatch_parse(text.data, text.len, &dispatch) == 0);
	fuzz_must(dispatch.count == 1 && !dispatch.scratch[0]);
	fuzz_must(strcmp(dispatch.blocks[0].to, block->to) == 0);
	fuzz_must(strcmp(dispatch.blocks[0].body, block->body) == 0);
	dispatch_deinit(&dispatch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = { (const char *)data, size }, before, inside;
	struct dispatch dispatch;

	if (memmem(data, size, SECRET, strlen(SECRET)))
		return 0;
	check_any((const char *)data, size);
	fuzz_must(dispatch_parse((const char *)data, size, &dispatch) == 0);
	for (size_t i = 0; i < dispatch.count; i++)
		check_again(&dispatch.blocks[i]);
	dispatch_deinit(&dispatch);
	before = fuzz_cut(&rest, '|');
	inside = fuzz_cut(&rest, '|');
	check_internal(before, inside, rest);
	return 0;
}
