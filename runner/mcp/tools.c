/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tools.h"

#include <string.h>

#include "runner/io/json.h"

const struct tools_row *tools_find(const char *name)
{
	size_t count;
	const struct tools_row *rows = tools_table(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static bool tools_is_enabled(const struct tools_offer *offer, const char *name)
{
	if (!offer->enabled)
		return true;
	for (const char *const *enabled = offer->enabled; *enabled; enabled++)
		if (strcmp(*enabled, name) == 0)
			return true;
	return false;
}

const struct tools_row *tools_offered(const struct tools_offer *offer, const char *name)
{
	size_t len = strlen(offer->prefix);
	const struct tools_row *row;

	if (strncmp(name, offer->prefix, len) != 0)
		return NULL;
	row = tools_find(name + len);
	return row && tools_is_enabled(offer, row->name) ? row : NULL;
}

static void tools_append_text(const char *member, const char *text, struct strbuf *out)
{
	strbuf_printf(out, "\"%s\":", member);
	json_append_string(out, text, strlen(text));
	strbuf_putc(out, ',');
}

static void tools_append_name(const char *prefix, const char *name, struct strbuf *out)
{
	cleanup_strbuf struct strbuf full = STRBUF_EMPTY;

	strbuf_puts(&full, prefix);
	if (strbuf_puts(&full, name) < 0)
		out->error = full.error;
	else
		tools_append_text("name", full.data, out);
}

static const char *tools_boolean(bool value)
{
	return value ? "true" : "false";
}

static void tools_append_row(const struct tools_row *row, const char *prefix, struct strbuf *out)
{
	strbuf_putc(out, '{');
	tools_append_name(prefix, row->name, out);
	tools_append_text("title", row->title, out);
	tools_append_text("description", row->description, out);
	strbuf_puts(out, "\"inputSchema\":");
	schema_append(row->fields, row->field_count, out);
	strbuf_printf(out,
		      ",\"annotations\":{\"readOnlyHint\":%s,\"destructiveHint\":%s,"
		      "\"idempotentHint\":%s,\"openWorldHint\":%s}}",
		      tools_boolean(row->is_read_only), tools_boolean(row->is_destructive),
		      tools_boolean(row->is_idempotent), tools_boolean(row->is_open_world));
}

int tools_append_list(const struct tools_offer *offer, struct strbuf *out)
{
	size_t count;
	const struct tools_row *rows = tools_table(&count);
	bool first = true;

	strbuf_putc(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (!tools_is_enabled(offer, rows[i].name))
			continue;
		if (!first)
			strbuf_putc(out, ',');
		first = false;
		tools_append_row(&rows[i], offer->prefix, out);
	}
	return strbuf_putc(out, ']');
}

void tools_run(const struct tools_row *row, struct call *call, const json_t *arguments)
{
	struct err err = { "" };

	if (schema_check(row->fields, row->field_count, arguments, &err) < 0) {
		call_fail(call, "%s", err.text);
		return;
	}
	call_run(call, row->run, arguments);
}
