/* SPDX-License-Identifier: MIT */
#include "runner/message/tag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "runner/message/blank.h"

/* Longer runs of backticks are fences: an answer may stand in one as a whole. */
#define TAG_TICKS_MAX 2

struct tag_scanner {
	const char *text;
	size_t len;
	size_t at;
	size_t span_end; /* where the closing run of the code span stands */
	struct tag *tags;
	size_t count, capacity;
};

static char tag_char(const struct tag_scanner *s, size_t at)
{
	return at < s->len ? s->text[at] : '\0';
}

static bool tag_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t tag_skip_blanks(const struct tag_scanner *s, size_t at)
{
	while (tag_is_blank(tag_char(s, at)))
		at++;
	return at;
}

/* Is one of the characters in stops at this offset, or the end of the text? */
static bool tag_stops(const struct tag_scanner *s, size_t at, const char *stops)
{
	char c = tag_char(s, at);

	return c == '\0' || strchr(stops, c);
}

/* Offset of the quote that closes the value at offset at, TAG_NONE if it is missing. */
static size_t tag_find_quote(const struct tag_scanner *s, size_t at, char quote, bool is_to)
{
	/* A name is never written with a bare '>': that its quote is missing is likelier. */
	const char *stops = is_to ? "\n<>" : "\n<";

	while (tag_char(s, at) != quote) {
		if (tag_stops(s, at, stops))
			return TAG_NONE;
		at++;
	}
	return at;
}

/*
 * Reads one attribute at offset at and takes its value if it is the first `to`. Returns the offset
 * behind it. Where the closing quote is missing the value runs to the end of the tag or line.
 */
static size_t tag_attribute(const struct tag_scanner *s, size_t at, struct tag *tag)
{
	size_t name = at, name_length, value, end = TAG_NONE;
	bool is_to, is_quoted;
	char quote;

	while (!tag_stops(s, at, " \t\n\v\f\r=/<>"))
		at++;
	name_length = at - name;
	if (name_length == 0)
		return at + 1; /* a '/' or '=' by itself */
	at = tag_skip_blanks(s, at);
	if (tag_char(s, at) != '=')
		return at;
	value = tag_skip_blanks(s, at + 1);
	quote = tag_char(s, value);
	is_to = name_length == 2 && strncasecmp(s->text + name, "to", 2) == 0;
	is_quoted = quote == '"' || quote == '\'';
	if (is_quoted)
		end = tag_find_quote(s, ++value, quote, is_to);
	at = end + 1;
	if (end == TAG_NONE) {
		for (end = value; !tag_stops(s, end, is_quoted ? "\n<>" : " \t\n\v\f\r<>");)
			end++;
		at = end;
	}
	if (is_to && tag->to_length == 0) {
		const char *to = s->text + value;

		tag->to_length = end - value;
		blank_trim(&to, &tag->to_length);
		tag->to = (size_t)(to - s->text);
	}
	return at;
}

/* Reads the tag whose '<' stands at offset start. false: none of ours. */
static bool tag_read(const struct tag_scanner *s, size_t start, struct tag *ret)
{
	static const char *const names[] = { "message", "internal" };
	struct tag tag = { .start = start, .partner = TAG_NONE };
	size_t at = start + 1, which = 0;
	bool is_close = tag_char(s, at) == '/';

	if (is_close)
		at = tag_skip_blanks(s, at + 1);
	while (which < 2 && (s->len - at < strlen(names[which]) ||
			     strncasecmp(s->text + at, names[which], strlen(names[which])) != 0))
		which++;
	if (which == 2)
		return false;
	at += strlen(names[which]);
	/* "<messages>" is another tag, and "<message/>" holds nothing. */
	if (tag_char(s, at) != '>' && !tag_is_blank(tag_char(s, at)))
		return false;
	for (at = tag_skip_blanks(s, at); tag_char(s, at) != '>'; at = tag_skip_blanks(s, at)) {
		if (is_close || tag_stops(s, at, "<") ||
		    (tag_char(s, at) == '/' && tag_char(s, at + 1) == '>'))
			return false;
		at = tag_attribute(s, at, &tag);
	}
	tag.end = at + 1;
	if (which == 0)
		tag.type = is_close ? TAG_MESSAGE_CLOSE : TAG_MESSAGE_OPEN;
	else
		tag.type = is_close ? TAG_INTERNAL_CLOSE : TAG_INTERNAL_OPEN;
	*ret = tag;
	return true;
}

static int tag_push(struct tag_scanner *s, const struct tag *tag)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 16;
		struct tag *tags = reallocarray(s->tags, capacity, sizeof(*tags));

		if (!tags)
			return -ENOMEM;
		s->tags = tags;
		s->capacity = capacity;
	}
	s->tags[s->count++] = *tag;
	return 0;
}

static size_t tag_ticks(const struct tag_scanner *s, size_t at)
{
	size_t n = 0;

	while (tag_char(s, at + n) == '`')
		n++;
	return n;
}

/*
 * Offset of the next run of exactly n backticks on this line, TAG_NONE if there is none: then no
 * other such run asks for it either, so a line is searched in vain once for each n.
 */
static size_t tag_find_ticks(const struct tag_scanner *s, size_t at, size_t n)
{
	while (!tag_stops(s, at, "\n")) {
		size_t run = tag_ticks(s, at);

		if (run == n)
			return at;
		at += run ? run : 1;
	}
	return TAG_NONE;
}

/* Steps over the run of backticks at .at, and over the code span if it quotes a tag. */
static void tag_step_over_ticks(struct tag_scanner *s)
{
	size_t n = tag_ticks(s, s->at), inside = s->at + n, end;
	struct tag quoted;

	/* In a code span other runs are text, and its own last run opens none. */
	if (s->span_end != TAG_NONE && s->at <= s->span_end) {
		s->at = inside;
		return;
	}
	s->at = inside;
	if (n > TAG_TICKS_MAX)
		return;
	end = tag_find_ticks(s, inside, n);
	if (end == TAG_NONE)
		return;
	if (tag_char(s, inside) == '<' && tag_read(s, inside, &quoted))
		s->at = end + n;
	else
		s->span_end = end;
}

static int tag_collect(struct tag_scanner *s)
{
	struct tag tag;

	while (s->at < s->len) {
		char c = s->text[s->at];

		if (c == '`') {
			tag_step_over_ticks(s);
		} else if (c == '<' && tag_read(s, s->at, &tag)) {
			if (tag_push(s, &tag) < 0)
				return -ENOMEM;
			s->at = tag.end;
		} else {
			s->at++;
		}
	}
	return 0;
}

/* Pairs each closing tag with the nearest open one before it. stack has room for all tags. */
static void tag_pair(struct tag *tags, size_t count, enum tag_type open, enum tag_type close,
		     size_t *stack)
{
	size_t depth = 0;

	for (size_t i = 0; i < count; i++) {
		if (tags[i].type == TAG_INTERNAL_OPEN && tags[i].partner != TAG_NONE) {
			i = tags[i].partner;
		} else if (tags[i].type == open) {
			stack[depth++] = i;
		} else if (tags[i].type == close && depth > 0) {
			tags[i].partner = stack[--depth];
			tags[tags[i].partner].partner = i;
		}
	}
}

int tag_scan(const char *text, size_t len, struct tag **ret_tags, size_t *ret_count)
{
	struct tag_scanner s = { .text = text, .len = len, .span_end = TAG_NONE };
	cleanup_free struct tag *tags = NULL;
	cleanup_free size_t *stack = NULL;
	int r;

	r = tag_collect(&s);
	tags = s.tags;
	if (r < 0)
		return r;
	if (s.count > 0) {
		stack = calloc(s.count, sizeof(*stack));
		if (!stack)
			return -ENOMEM;
		tag_pair(tags, s.count, TAG_INTERNAL_OPEN, TAG_INTERNAL_CLOSE, stack);
		tag_pair(tags, s.count, TAG_MESSAGE_OPEN, TAG_MESSAGE_CLOSE, stack);
	}
	*ret_tags = steal_ptr(tags);
	*ret_count = s.count;
	return 0;
}
