/* SPDX-License-Identifier: MIT */
#include "runner/message/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "common/table.h"
#include "common/utf8.h"
#include "runner/message/blank.h"
#include "runner/message/tag.h"

struct dispatch_parser {
	const char *text;
	size_t len;
	struct tag *tags;
	size_t count;
};

/* Appends text with NUL and invalid bytes replaced: bodies and names are handed out as strings. */
static int dispatch_mend(struct strbuf *out, const char *text, size_t len)
{
	const char *nul;

	while (len > 0 && (nul = memchr(text, '\0', len))) {
		size_t n = (size_t)(nul - text);

		utf8_append_valid(out, text, n);
		strbuf_puts(out, "\xef\xbf\xbd");
		text += n + 1;
		len -= n + 1;
	}
	return utf8_append_valid(out, len ? text : "", len);
}

static bool dispatch_is_cut(const struct tag *tag)
{
	return tag->type == TAG_INTERNAL_OPEN && tag->partner != TAG_NONE;
}

static bool dispatch_is_block(const struct tag *tag)
{
	return tag->type == TAG_MESSAGE_OPEN && tag->to_length > 0;
}

/* Appends the text from offset start to end without its internals; tag is its first tag's index. */
static void dispatch_copy(const struct dispatch_parser *p, struct strbuf *out, size_t start,
			  size_t end, size_t tag)
{
	for (; tag < p->count && p->tags[tag].start < end; tag++) {
		if (!dispatch_is_cut(&p->tags[tag]) || p->tags[tag].start < start)
			continue;
		strbuf_append(out, p->text + start, p->tags[tag].start - start);
		tag = p->tags[tag].partner;
		start = p->tags[tag].end;
	}
	if (start < end)
		strbuf_append(out, p->text + start, end - start);
}

/*
 * Index of the tag that ends the block opened by the tag at index open: its closing tag, or the
 * block that follows where that is missing, or .count: the end of the text.
 */
static size_t dispatch_find_end(const struct dispatch_parser *p, size_t open)
{
	size_t partner = p->tags[open].partner;
	size_t end = partner, i;

	for (i = partner == TAG_NONE ? open + 1 : partner + 1; i < p->count; i++) {
		const struct tag *tag = &p->tags[i];

		if (dispatch_is_block(tag))
			break;
		if (dispatch_is_cut(tag))
			i = tag->partner;
		else if (tag->type == TAG_INTERNAL_OPEN && partner != TAG_NONE)
			break; /* it stands outside of the block, and hides what follows */
		else if (tag->type == TAG_MESSAGE_CLOSE &&
			 (partner == TAG_NONE || tag->partner == TAG_NONE))
			end = i;
	}
	return end == TAG_NONE ? i : end;
}

/* The trimmed text as a heap string; NULL: no memory. */
static char *dispatch_trimmed(const struct strbuf *text)
{
	const char *start = text->data ? text->data : "";
	size_t len = text->len;

	if (text->error)
		return NULL;
	blank_trim(&start, &len);
	return strndup(start, len);
}

/* The name in the tag, with the entities that the prompt writes decoded. */
static char *dispatch_name(const struct dispatch_parser *p, const struct tag *tag)
{
	static const struct {
		const char *entity;
		char c;
	} rows[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' } };
	cleanup_strbuf struct strbuf name = STRBUF_EMPTY;
	const char *text = p->text + tag->to;
	size_t row;

	for (size_t i = 0; i < tag->to_length;) {
		for (row = 0; row < ARRAY_LEN(rows); row++)
			if (tag->to_length - i >= strlen(rows[row].entity) &&
			    memcmp(text + i, rows[row].entity, strlen(rows[row].entity)) == 0)
				break;
		strbuf_putc(&name, row < ARRAY_LEN(rows) ? rows[row].c : text[i]);
		i += row < ARRAY_LEN(rows) ? strlen(rows[row].entity) : 1;
	}
	return dispatch_trimmed(&name);
}

/* Adds the block whose opening tag is at index open and whose body ends at offset end. */
static int dispatch_add(const struct dispatch_parser *p, size_t open, size_t end,
			struct dispatch *dispatch)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_free char *to = NULL, *body = NULL;

	dispatch_copy(p, &text, p->tags[open].end, end, open + 1);
	to = dispatch_name(p, &p->tags[open]);
	body = dispatch_trimmed(&text);
	if (!to || !body)
		return -ENOMEM;
	if (to[0] && body[0])
		dispatch->blocks[dispatch->count++] =
			(struct dispatch_block){ steal_ptr(to), steal_ptr(body) };
	return 0;
}

static int dispatch_walk(const struct dispatch_parser *p, struct dispatch *dispatch,
			 struct strbuf *scratch)
{
	size_t copied = 0,
	       first = 0; /* text before offset copied, with tags before first, is done */
	int r;

	for (size_t i = 0; i < p->count;) {
		const struct tag *tag = &p->tags[i];
		size_t last, end;

		if (dispatch_is_cut(tag)) {
			i = tag->partner + 1;
			continue;
		}
		if (tag->type == TAG_INTERNAL_OPEN) {
			dispatch_copy(p, scratch, copied, tag->start, first);
			copied = tag->end;
			first = i + 1;
			break;
		}
		if (!dispatch_is_block(tag)) {
			i++;
			continue;
		}
		dispatch_copy(p, scratch, copied, tag->start, first);
		last = dispatch_find_end(p, i);
		end = last < p->count ? p->tags[last].start : p->len;
		r = dispatch_add(p, i, end, dispatch);
		if (r < 0)
			return r;
		/* The next block's tag is still to come, a closing tag is done. */
		if (last < p->count && p->tags[last].type == TAG_MESSAGE_CLOSE)
			end = p->tags[last++].end;
		copied = end;
		first = i = last;
	}
	dispatch_copy(p, scratch, copied, p->len, first);
	return scratch->error;
}

int dispatch_parse(const char *text, size_t len, struct dispatch *ret)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY, scratch = STRBUF_EMPTY;
	cleanup_free struct tag *tags = NULL;
	struct dispatch_parser p = { 0 };
	struct dispatch dispatch = { 0 };
	size_t blocks = 0;
	int r;

	r = dispatch_mend(&mended, text, len);
	if (r < 0)
		return r;
	p.text = mended.data;
	p.len = mended.len;
	r = tag_scan(p.text, p.len, &tags, &p.count);
	if (r < 0)
		return r;
	p.tags = tags;
	for (size_t i = 0; i < p.count; i++)
		blocks += dispatch_is_block(&p.tags[i]);
	dispatch.blocks = calloc(blocks + 1, sizeof(*dispatch.blocks));
	r = dispatch.blocks ? dispatch_walk(&p, &dispatch, &scratch) : -ENOMEM;
	if (r == 0) {
		dispatch.scratch = dispatch_trimmed(&scratch);
		r = dispatch.scratch ? 0 : -ENOMEM;
	}
	if (r < 0) {
		dispatch_deinit(&dispatch);
		return r;
	}
	*ret = dispatch;
	return 0;
}

void dispatch_deinit(struct dispatch *dispatch)
{
	if (!dispatch)
		return;
	for (size_t i = 0; i < dispatch->count; i++) {
		free(dispatch->blocks[i].to);
		free(dispatch->blocks[i].body);
	}
	free(dispatch->blocks);
	free(dispatch->scratch);
	*dispatch = (struct dispatch){ 0 };
}
