/* SPDX-License-Identifier: MIT */
#include "runner/message/format.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/message/content.h"
#include "runner/message/overflow.h"
#include "runner/message/route.h"
#include "runner/message/timezone.h"

/* In a row that became a file: the longest attribute, and the longest list of attachments. */
#define FORMAT_ATTRIBUTE_MAX   1024
#define FORMAT_ATTACHMENTS_MAX (4 * 1024)

#define FORMAT_NAMES(...)         \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* One row on its way into one text. */
struct format_pen {
	const struct format_context *context;
	const struct format_item *item;
	const json_t *content;
	struct strbuf *out;
	bool is_file;	      /* the text is for a file: nothing is escaped */
	size_t attribute_max; /* longer attributes are cut */
};

enum format_section { FORMAT_CHAT, FORMAT_TASK, FORMAT_WEBHOOK, FORMAT_SYSTEM, FORMAT_SECTIONS };

struct format_section_row {
	const char *kinds[2];
	const char *tag;
	void (*attributes)(struct format_pen *pen);
	void (*body)(struct format_pen *pen);
	/* What a person wrote, for the preview of a row that became a file; empty: the body. */
	const char *const *words;
};

static void format_escape(struct strbuf *out, const char *text, size_t len)
{
	size_t start = 0;

	if (len == 0)
		return;
	for (size_t i = 0; i < len; i++) {
		const char *entity;

		if (text[i] == '&')
			entity = "&amp;";
		else if (text[i] == '<')
			entity = "&lt;";
		else if (text[i] == '>')
			entity = "&gt;";
		else if (text[i] == '"')
			entity = "&quot;";
		else if (text[i] == '\0')
			/* An agent may take the prompt for a C string, and lose the rest of it. */
			entity = "\xef\xbf\xbd";
		else
			continue;
		strbuf_append(out, text + start, i - start);
		strbuf_puts(out, entity);
		start = i + 1;
	}
	strbuf_append(out, text + start, len - start);
}

static void format_text(struct format_pen *pen, const struct strbuf *text)
{
	if (text->error)
		pen->out->error = text->error;
	else if (pen->is_file)
		strbuf_append(pen->out, text->data, text->len);
	else
		format_escape(pen->out, text->data, text->len);
}

/* The value as text, or fallback if there is none. */
static void format_value(struct format_pen *pen, const json_t *value, const char *fallback)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (value)
		content_append_text(&text, value);
	else
		strbuf_puts(&text, fallback);
	format_text(pen, &text);
}

static void format_attribute(struct format_pen *pen, const char *name, const struct strbuf *value)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY;
	size_t keep;

	/* Columns of the database may hold anything; content was mended when it was parsed. */
	utf8_append_valid(&mended, value->data ? value->data : "", value->len);
	if (value->error || mended.error) {
		pen->out->error = -ENOMEM;
		return;
	}
	keep = utf8_prefix(mended.data, mended.len, pen->attribute_max);
	strbuf_printf(pen->out, " %s=\"", name);
	format_escape(pen->out, mended.data, keep);
	strbuf_puts(pen->out, keep < mended.len ? "\xe2\x80\xa6\"" : "\"");
}

static void format_attribute_value(struct format_pen *pen, const char *name, const json_t *value,
				   const char *fallback)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (value)
		content_append_text(&text, value);
	else
		strbuf_puts(&text, fallback);
	format_attribute(pen, name, &text);
}

static void format_attribute_from(struct format_pen *pen)
{
	const struct inbound_row *row = pen->item->row;
	const char *channel = row->channel_type ? row->channel_type : "";
	const char *platform = row->platform_id ? row->platform_id : "";
	const struct inbound_destination *from =
		route_by_address(pen->context->destinations, channel, platform);
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (!from && !channel[0] && !platform[0])
		return;
	if (from)
		strbuf_puts(&text, from->name);
	else
		strbuf_printf(&text, "unknown:%s:%s", channel, platform);
	format_attribute(pen, "from", &text);
}

static void format_attribute_time(struct format_pen *pen)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	timezone_format(pen->item->row->timestamp, &text);
	format_attribute(pen, "time", &text);
}

/* chat, chat-sdk */

static const char *const format_chat_words[] = { "text", NULL };

static void format_chat_attributes(struct format_pen *pen)
{
	const json_t *author = json_member(pen->content, "author");
	const json_t *reply = json_member(json_member(pen->content, "replyTo"), "id");
	const json_t *sender = content_first(pen->content, FORMAT_NAMES("sender"));

	if (!sender)
		sender = content_first(author, FORMAT_NAMES("fullName", "userName"));
	if (pen->item->row->seq >= 0)
		strbuf_printf(pen->out, " id=\"%lld\"", (long long)pen->item->row->seq);
	format_attribute_from(pen);
	format_attribute_value(pen, "sender", sender, "Unknown");
	format_attribute_time(pen);
	if (content_is_truthy(reply))
		format_attribute_value(pen, "reply_to", reply, "");
}

static void format_attachment(struct format_pen *pen, const json_t *attachment)
{
	const json_t *path = content_first(attachment, FORMAT_NAMES("localPath"));
	const json_t *url = content_first(attachment, FORMAT_NAMES("url"));

	strbuf_puts(pen->out, "\n[");
	format_value(pen, content_first(attachment, FORMAT_NAMES("type")), "file");
	strbuf_puts(pen->out, ": ");
	format_value(pen, content_first(attachment, FORMAT_NAMES("name", "filename")),
		     "attachment");
	if (path) {
		strbuf_puts(pen->out, " \xe2\x80\x94 saved to ");
		format_value(pen, NULL, pen->context->workspace);
		strbuf_putc(pen->out, '/');
		format_value(pen, path, "");
	} else if (url) {
		strbuf_puts(pen->out, " (");
		format_value(pen, url, "");
		strbuf_putc(pen->out, ')');
	}
	strbuf_putc(pen->out, ']');
}

static void format_attachments(struct format_pen *pen)
{
	const json_t *attachments = json_member(pen->content, "attachments");

	for (size_t i = 0; i < json_array_size(attachments); i++)
		format_attachment(pen, json_array_get(attachments, i));
}

static void format_chat_body(struct format_pen *pen)
{
	const json_t *reply = json_member(pen->content, "replyTo");
	const json_t *sender = content_first(reply, FORMAT_NAMES("sender"));
	const json_t *quote = content_first(reply, FORMAT_NAMES("text"));
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (sender && quote) {
		strbuf_puts(pen->out, "\n  <quoted_message");
		format_attribute_value(pen, "from", sender, "");
		strbuf_putc(pen->out, '>');
		format_value(pen, quote, "");
		strbuf_puts(pen->out, "</quoted_message>\n");
	}
	content_append_first(&text, pen->content, format_chat_words);
	format_text(pen, &text);
	format_attachments(pen);
}

/* task */

static const char *const format_task_words[] = { "prompt", "text", NULL };

static void format_task_attributes(struct format_pen *pen)
{
	format_attribute_from(pen);
	format_attribute_time(pen);
}

static void format_task_body(struct format_pen *pen)
{
	const json_t *output = pen->item->script_output;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	/* A host may have run one; what stands there of a script that we ran is of an earlier time. */
	if (!output && !content_is_truthy(json_member(pen->content, "script")))
		output = json_member(pen->content, "scriptOutput");
	if (content_is_truthy(output)) {
		strbuf_puts(&text, "Script output:\n");
		json_append_pretty(&text, output);
		strbuf_puts(&text, "\n\n");
	}
	strbuf_puts(&text, "Instructions:\n");
	content_append_first(&text, pen->content, format_task_words);
	format_text(pen, &text);
}

/* webhook */

static void format_webhook_attributes(struct format_pen *pen)
{
	format_attribute_from(pen);
	format_attribute_value(pen, "source", content_first(pen->content, FORMAT_NAMES("source")),
			       "unknown");
	format_attribute_value(pen, "event", content_first(pen->content, FORMAT_NAMES("event")),
			       "unknown");
}

static void format_webhook_body(struct format_pen *pen)
{
	const json_t *payload = content_first(pen->content, FORMAT_NAMES("payload"));
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	json_append_pretty(&text, payload ? payload : pen->content);
	format_text(pen, &text);
}

/* system */

static void format_system_attributes(struct format_pen *pen)
{
	format_attribute_from(pen);
	format_attribute_value(pen, "action", content_first(pen->content, FORMAT_NAMES("action")),
			       "unknown");
	format_attribute_value(pen, "status", content_first(pen->content, FORMAT_NAMES("status")),
			       "unknown");
}

static void format_system_body(struct format_pen *pen)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	json_append_compact(&text, content_first(pen->content, FORMAT_NAMES("result")));
	format_text(pen, &text);
}

static const struct format_section_row format_sections[] = {
	[FORMAT_CHAT] = { { "chat", "chat-sdk" },
			  "message",
			  format_chat_attributes,
			  format_chat_body,
			  format_chat_words },
	[FORMAT_TASK] = { { "task" },
			  "task",
			  format_task_attributes,
			  format_task_body,
			  format_task_words },
	[FORMAT_WEBHOOK] = { { "webhook" },
			     "webhook",
			     format_webhook_attributes,
			     format_webhook_body },
	[FORMAT_SYSTEM] = { { "system" },
			    "system_response",
			    format_system_attributes,
			    format_system_body },
};
TABLE_COVERS(format_sections, FORMAT_SECTIONS);

/* The section of a row of this kind, FORMAT_SECTIONS if it has none. */
static enum format_section format_section_of(const char *kind)
{
	for (enum format_section s = 0; kind && s < FORMAT_SECTIONS; s++)
		for (size_t i = 0; i < ARRAY_LEN(format_sections[s].kinds); i++)
			if (format_sections[s].kinds[i] &&
			    strcmp(format_sections[s].kinds[i], kind) == 0)
				return s;
	return FORMAT_SECTIONS;
}

static void format_open(struct format_pen *pen, const struct format_section_row *section)
{
	strbuf_printf(pen->out, "<%s", section->tag);
	section->attributes(pen);
	strbuf_putc(pen->out, '>');
}

/* A row that is too long: its text becomes a file, its beginning stays. As format_row(). */
static int format_long_row(struct format_pen *pen, const struct format_section_row *section,
			   struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, words = STRBUF_EMPTY, path = STRBUF_EMPTY;
	cleanup_strbuf struct strbuf list = STRBUF_EMPTY;
	struct format_pen file = *pen, side = *pen;
	const struct strbuf *preview = &text;
	size_t keep;
	int r;

	file.out = &text;
	file.is_file = true;
	section->body(&file);
	if (section->words)
		content_append_first(&words, pen->content, section->words);
	if (text.error || words.error)
		return -ENOMEM;
	r = overflow_write(pen->context->workspace, pen->item->row->id ? pen->item->row->id : "",
			   text.data, text.len, &path, err);
	if (r < 0)
		return r;
	if (words.len > 0)
		preview = &words;
	side.out = &list;
	if (section == &format_sections[FORMAT_CHAT])
		format_attachments(&side);
	if (list.error || list.len > FORMAT_ATTACHMENTS_MAX)
		strbuf_reset(&list);

	pen->attribute_max = FORMAT_ATTRIBUTE_MAX;
	format_open(pen, section);
	keep = utf8_prefix(preview->data, preview->len, FORMAT_PREVIEW_MAX);
	format_escape(pen->out, preview->data, keep);
	strbuf_printf(pen->out, "%s\n[This is too long to be shown here. All %zu bytes are in ",
		      keep < preview->len ? "\xe2\x80\xa6" : "", text.len);
	format_escape(pen->out, path.data, path.len);
	strbuf_puts(pen->out, ": read that file.]");
	strbuf_append(pen->out, list.data, list.len);
	return strbuf_printf(pen->out, "</%s>", section->tag);
}

/* Renders one row into out, which is empty. 0; -ENOMEM; another -errno: it found no file. */
static int format_row(const struct format_context *context, const struct format_item *item,
		      const struct format_section_row *section, struct strbuf *out, struct err *err)
{
	cleanup_json json_t *content = NULL;
	struct format_pen pen = {
		.context = context, .item = item, .out = out, .attribute_max = SIZE_MAX
	};
	int r;

	r = content_parse(item->row->content, item->row->content_len, &content);
	if (r < 0)
		return r;
	pen.content = content;
	format_open(&pen, section);
	section->body(&pen);
	r = strbuf_printf(out, "</%s>", section->tag);
	if (r < 0 || out->len <= FORMAT_ROW_MAX)
		return r;
	strbuf_reset(out);
	return format_long_row(&pen, section, err);
}

struct format_job {
	const struct format_context *context;
	const struct format_item *items;
	size_t count;
	bool *failed;
	struct err *err;
};

/* Appends the rows of one section, with nothing around them, and counts them in *ret_rows. */
static int format_section(const struct format_job *job, enum format_section section,
			  struct strbuf *out, size_t *ret_rows)
{
	size_t rows = 0;

	for (size_t i = 0; i < job->count; i++) {
		cleanup_strbuf struct strbuf row = STRBUF_EMPTY;
		int r;

		if (format_section_of(job->items[i].row->kind) != section)
			continue;
		r = format_row(job->context, &job->items[i], &format_sections[section], &row,
			       job->err);
		if (r == -ENOMEM)
			return r;
		job->failed[i] = r < 0;
		if (r < 0)
			continue;
		/* Chat rows are lines of one section, every other row is a section of its own. */
		if (rows++ > 0)
			strbuf_puts(out, section == FORMAT_CHAT ? "\n" : "\n\n");
		strbuf_append(out, row.data, row.len);
	}
	*ret_rows = rows;
	return out->error;
}

static void format_header(const struct format_context *context, struct strbuf *out)
{
	strbuf_puts(out, "<context timezone=\"");
	format_escape(out, context->timezone, strlen(context->timezone));
	strbuf_puts(out, "\" />\n");
	if (context->passed_over > 0)
		strbuf_printf(out,
			      "<omitted count=\"%zu\" reason=\"older messages not addressed to "
			      "you\" />\n",
			      context->passed_over);
}

int format_prompt(const struct format_context *context, const struct format_item *items,
		  size_t count, bool *ret_failed, struct strbuf *out, struct err *err)
{
	const struct format_job job = { context, items, count, ret_failed, err };
	size_t sections = 0;

	for (size_t i = 0; i < count; i++) {
		ret_failed[i] = format_section_of(items[i].row->kind) == FORMAT_SECTIONS;
		if (ret_failed[i])
			err_set(err, -EINVAL, "unknown kind of message: %s",
				items[i].row->kind ? items[i].row->kind : "null");
	}
	format_header(context, out);
	for (enum format_section s = 0; s < FORMAT_SECTIONS; s++) {
		cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
		size_t rows = 0;
		int r = format_section(&job, s, &text, &rows);

		if (r < 0)
			return r;
		if (rows == 0)
			continue;
		if (sections++ > 0)
			strbuf_puts(out, "\n\n");
		if (s == FORMAT_CHAT && rows > 1)
			strbuf_puts(out, "<messages>\n");
		strbuf_append(out, text.data, text.len);
		if (s == FORMAT_CHAT && rows > 1)
			strbuf_puts(out, "\n</messages>");
	}
	return out->error;
}
