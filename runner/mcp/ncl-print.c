/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl-print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/utf8.h"
#include "runner/io/json.h"

#define NCL_PRINT_GAP "  "

/*
 * A larger table is printed as JSON: every row is as wide as the widest, and has all columns of the
 * first, so that one long text among many rows would be gigabytes of blanks.
 */
#define NCL_PRINT_CELLS_MAX 250000
#define NCL_PRINT_TABLE_MAX (16 * 1024 * 1024)

/* Characters that drive a terminal */

/* The number of a control character at p (C0, DEL, or C1 in UTF-8), and its length; -1: none. */
static int ncl_print_control(const char *p, size_t n, size_t *ret_len)
{
	const unsigned char *u = (const unsigned char *)p;

	*ret_len = 1;
	if (u[0] < 0x20 || u[0] == 0x7f)
		return u[0];
	if (n < 2 || u[0] != 0xc2 || u[1] > 0x9f)
		return -1;
	*ret_len = 2;
	return u[1];
}

/* Appends text on one line: for blanks of any kind stand blanks, for what else there is a ?. */
static void ncl_print_line(const char *text, size_t n, struct strbuf *out)
{
	for (size_t i = 0, len; i < n; i += len) {
		int control = ncl_print_control(text + i, n - i, &len);

		if (control < 0)
			strbuf_append(out, text + i, len);
		else
			strbuf_putc(out, control >= '\t' && control <= '\r' ? ' ' : '?');
	}
}

/*
 * Appends indented JSON. In it control characters stand in strings only, but for its own line
 * breaks, and JSON lets us write them by their number.
 */
static int ncl_print_json(const json_t *value, struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	if (json_append_pretty(&text, value) < 0)
		return out->error = text.error;
	for (size_t i = 0, len; i < text.len; i += len) {
		int control = ncl_print_control(text.data + i, text.len - i, &len);

		if (control < 0 || control == '\n')
			strbuf_append(out, text.data + i, len);
		else
			strbuf_printf(out, "\\u%04x", (unsigned int)control);
	}
	return strbuf_putc(out, '\n');
}

/* The table */

/* Appends a value as JavaScript's String() does; null and what is missing are nothing. */
static void ncl_print_cell(const json_t *value, struct strbuf *out)
{
	if (json_is_string(value))
		ncl_print_line(json_string_value(value), json_string_length(value), out);
	else if (value && !json_is_null(value))
		json_append_compact(out, value);
}

/* Columns on a terminal, nearly: emoji take two. As JavaScript counts, so tables look alike. */
static size_t ncl_print_width(const struct strbuf *text)
{
	size_t width = 0;

	for (size_t i = 0; i < text->len;) {
		size_t len = utf8_sequence(text->data + i, text->len - i);

		width += len == 4 ? 2 : 1;
		i += len ? len : 1;
	}
	return width;
}

/* A table is mostly blanks, megabytes of them. */
static void ncl_print_fill(struct strbuf *out, char c, size_t n)
{
	char block[256];

	memset(block, c, sizeof(block));
	for (size_t part; n > 0; n -= part) {
		part = n < sizeof(block) ? n : sizeof(block);
		strbuf_append(out, block, part);
	}
}

struct ncl_print_columns {
	const char **names; /* borrowed from the first row */
	size_t *widths;
	size_t count;
};

static void ncl_print_columns_free(struct ncl_print_columns *columns)
{
	free(columns->names);
	free(columns->widths);
}

/* jansson's iterators want a mutable object, but change nothing. */
static json_t *ncl_print_iterable(const json_t *object)
{
	return (json_t *)(uintptr_t)object;
}

static int ncl_print_columns_find(const json_t *rows, struct ncl_print_columns *columns)
{
	json_t *first = ncl_print_iterable(json_array_get(rows, 0));
	size_t size = json_object_size(first);

	columns->names = calloc(size, sizeof(*columns->names));
	columns->widths = calloc(size, sizeof(*columns->widths));
	if (!columns->names || !columns->widths)
		return -ENOMEM;
	for (void *i = json_object_iter(first); i; i = json_object_iter_next(first, i))
		columns->names[columns->count++] = json_object_iter_key(i);
	return 0;
}

/* What stands in a cell: row NULL is the head. */
static void ncl_print_text(const struct ncl_print_columns *columns, size_t i, const json_t *row,
			   struct strbuf *out)
{
	const char *name = columns->names[i];

	strbuf_reset(out);
	if (row)
		ncl_print_cell(json_object_get(row, name), out);
	else
		ncl_print_line(name, strlen(name), out);
}

static int ncl_print_measure(const json_t *rows, struct ncl_print_columns *columns)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (size_t i = 0; i < columns->count; i++)
		for (size_t row = 0; row <= json_array_size(rows); row++) {
			size_t width;

			/* Behind the last one there is none: that is the head. */
			ncl_print_text(columns, i, json_array_get(rows, row), &text);
			if (text.error)
				return text.error;
			width = ncl_print_width(&text);
			if (width > columns->widths[i])
				columns->widths[i] = width;
		}
	return 0;
}

static void ncl_print_row(const struct ncl_print_columns *columns, const json_t *row,
			  struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (size_t i = 0; i < columns->count; i++) {
		ncl_print_text(columns, i, row, &text);
		strbuf_puts(out, i > 0 ? NCL_PRINT_GAP : "");
		strbuf_append(out, text.data, text.len);
		ncl_print_fill(out, ' ', columns->widths[i] - ncl_print_width(&text));
		if (text.error)
			out->error = text.error;
	}
	strbuf_putc(out, '\n');
}

/* What the table takes on a screen, nearly. */
static size_t ncl_print_size(const json_t *rows, const struct ncl_print_columns *columns)
{
	size_t width = 0;

	for (size_t i = 0; i < columns->count; i++)
		width += columns->widths[i] + strlen(NCL_PRINT_GAP);
	return width * (json_array_size(rows) + 2);
}

static int ncl_print_table(const json_t *rows, struct strbuf *out)
{
	CLEANUP(ncl_print_columns_free)
	struct ncl_print_columns columns = { .count = 0 };
	int r = ncl_print_columns_find(rows, &columns);

	if (r == 0)
		r = ncl_print_measure(rows, &columns);
	if (r < 0)
		return out->error = r;
	if (ncl_print_size(rows, &columns) > NCL_PRINT_TABLE_MAX)
		return ncl_print_json(rows, out);
	ncl_print_row(&columns, NULL, out);
	for (size_t i = 0; i < columns.count; i++) {
		strbuf_puts(out, i > 0 ? NCL_PRINT_GAP : "");
		ncl_print_fill(out, '-', columns.widths[i]);
	}
	strbuf_putc(out, '\n');
	for (size_t i = 0; i < json_array_size(rows); i++)
		ncl_print_row(&columns, json_array_get(rows, i), out);
	return out->error;
}

static bool ncl_print_is_flat(const json_t *row)
{
	json_t *object = ncl_print_iterable(row);

	if (!json_is_object(row))
		return false;
	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
		if (json_is_object(json_object_iter_value(i)) ||
		    json_is_array(json_object_iter_value(i)))
			return false;
	return true;
}

/* A table needs a column. */
static bool ncl_print_is_table(const json_t *data)
{
	size_t columns = json_object_size(json_array_get(data, 0));

	if (columns == 0 || columns > NCL_PRINT_CELLS_MAX / json_array_size(data))
		return false;
	for (size_t i = 0; i < json_array_size(data); i++)
		if (!ncl_print_is_flat(json_array_get(data, i)))
			return false;
	return true;
}

/* Frames */

bool ncl_print_is_ok(const json_t *frame)
{
	return json_member_bool(frame, "ok", false);
}

int ncl_print_frame(const json_t *frame, struct strbuf *out)
{
	return ncl_print_json(frame, out);
}

int ncl_print_data(const json_t *frame, struct strbuf *out)
{
	const json_t *data = json_object_get(frame, "data");

	return ncl_print_is_table(data) ? ncl_print_table(data, out) : ncl_print_json(data, out);
}

/* A message may have lines; each of them is shown as one. */
static void ncl_print_lines(const json_t *text, struct strbuf *out)
{
	const char *p = json_string_value(text), *newline;
	size_t n = json_string_length(text);

	while ((newline = memchr(p, '\n', n)) != NULL) {
		ncl_print_line(p, (size_t)(newline - p), out);
		strbuf_putc(out, '\n');
		n -= (size_t)(newline + 1 - p);
		p = newline + 1;
	}
	ncl_print_line(p, n, out);
}

int ncl_print_error(const json_t *frame, struct strbuf *out)
{
	const json_t *error = json_member(frame, "error");
	const json_t *message = json_member(error, "message");

	strbuf_puts(out, "error (");
	if (json_member(error, "code"))
		ncl_print_cell(json_member(error, "code"), out);
	else
		strbuf_puts(out, "unknown");
	strbuf_puts(out, "): ");
	if (json_is_string(message))
		ncl_print_lines(message, out);
	else
		strbuf_puts(out, "the host did not say why");
	return strbuf_putc(out, '\n');
}

int ncl_print_complaint(const char *text, struct strbuf *out)
{
	cleanup_strbuf struct strbuf valid = STRBUF_EMPTY;

	/* A text that was cut to its buffer may end within a character. */
	if (utf8_append_valid(&valid, text, strlen(text)) < 0)
		return out->error = valid.error;
	strbuf_puts(out, "ncl: ");
	ncl_print_line(valid.data, valid.len, out);
	return strbuf_putc(out, '\n');
}
