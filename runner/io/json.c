/* SPDX-License-Identifier: MIT */
#include "runner/io/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"
#include "runner/io/json-mend.h"

/* Significant digits that tell any two doubles apart. */
#define JSON_DIGITS_MAX 17

/*
 * Deeper than this lines are indented no further: what is nested 2000 deep would cost 4000 blanks for
 * each value, and gigabytes for a message of some hundred kilobytes.
 */
#define JSON_INDENT_DEPTH 32

/* JavaScript's largest array index is 2^32 - 2: members so named come first, in that order. */
#define JSON_INDEX_MAX 4294967294

/* jansson shows the text that it stumbled on; errors are logged, and it may be a secret. */
static void json_hide_text(json_error_t *error)
{
	char *near = strstr(error->text, " near '");

	if (near)
		*near = '\0';
}

/* How many values there may be, told by what stands between them: never less than there are. */
static size_t json_count(const char *text, size_t len)
{
	bool in_string = false;
	size_t count = 1;

	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
			count++;
	}
	return count;
}

int json_parse(const char *text, size_t len, json_t **ret_value, struct err *err)
{
	if (len <= JSON_SIZE_MAX && json_count(text, len) > JSON_VALUES_MAX)
		return err_set(err, -EFBIG, "JSON of more than %d values", JSON_VALUES_MAX);
	return json_parse_trusted(text, len, ret_value, err);
}

int json_parse_trusted(const char *text, size_t len, json_t **ret_value, struct err *err)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY;
	json_error_t error;
	json_t *value;
	int r;

	if (len > JSON_SIZE_MAX)
		return err_set(err, -EFBIG, "JSON of %zu bytes is longer than %d", len,
			       JSON_SIZE_MAX);
	r = json_mend(text, len, &mended);
	if (r < 0)
		return err_set(err, r, "no memory for JSON of %zu bytes", len);
	if (r > 0) {
		text = mended.data;
		len = mended.len;
	}
	value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	/* Where it cannot even begin it says nothing at all. */
	if (!value && (json_error_code(&error) == json_error_out_of_memory || !error.text[0]))
		return err_set(err, -ENOMEM, "no memory for JSON of %zu bytes", len);
	if (!value) {
		json_hide_text(&error);
		return err_set(err, -EINVAL, "line %d, column %d: %s", error.line, error.column,
			       error.text);
	}
	*ret_value = value;
	return 0;
}

const char *json_type_name(const json_t *value)
{
	if (!value)
		return "null";
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

json_t *json_member(const json_t *value, const char *name)
{
	json_t *member = json_object_get(value, name);

	return json_is_null(member) ? NULL : member;
}

const char *json_member_string(const json_t *value, const char *name)
{
	return json_string_value(json_member(value, name));
}

const char *json_member_name(const json_t *value, const char *name)
{
	const json_t *member = json_member(value, name);
	const char *text = json_string_value(member);

	return text && strlen(text) == json_string_length(member) ? text : NULL;
}

int64_t json_member_int(const json_t *value, const char *name, int64_t fallback)
{
	const json_t *member = json_member(value, name);
	double real;

	if (json_is_integer(member))
		return json_integer_value(member);
	if (!json_is_real(member))
		return fallback;
	/* Below 2^63 in size the conversion is defined. */
	real = json_real_value(member);
	return fabs(real) < 9.2e18 && floor(real) >= real ? (int64_t)real : fallback;
}

bool json_member_bool(const json_t *value, const char *name, bool fallback)
{
	const json_t *member = json_member(value, name);

	return json_is_boolean(member) ? json_is_true(member) : fallback;
}

int json_append_string(struct strbuf *out, const char *text, size_t len)
{
	static const char escapes[32] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	size_t start = 0;

	strbuf_putc(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		utf8_append_valid(out, text + start, i - start);
		start = i + 1;
		if (c >= 0x20)
			strbuf_printf(out, "\\%c", c);
		else if (escapes[c])
			strbuf_printf(out, "\\%c", escapes[c]);
		else
			strbuf_printf(out, "\\u%04x", c);
	}
	utf8_append_valid(out, text + start, len - start);
	return strbuf_putc(out, '"');
}

static bool json_reads_as(const char *text, double value)
{
	double again = strtod(text, NULL);

	return again >= value && again <= value;
}

/* Writes the shortest digits that read back as value (> 0), in the form d.ddde±dd. */
static void json_shortest(double value, char text[32])
{
	for (int precision = 0; precision < JSON_DIGITS_MAX; precision++) {
		char *last;

		snprintf(text, 32, "%.*e", precision, value);
		if (json_reads_as(text, value))
			return;
		/*
		 * Doubles stand wider above a power of two than below it: the decimal above may
		 * still read back where the nearest one, below, does not (2^-44).
		 */
		last = strchr(text, 'e') - 1;
		if (*last == '9')
			continue;
		(*last)++;
		if (json_reads_as(text, value))
			return;
	}
}

/*
 * ECMA-262, Number::toString: the shortest digits that read back the same, in plain notation for
 * -6 < n <= 21, where n is how many digits stand before the decimal point.
 */
static int json_append_real(struct strbuf *out, double value)
{
	char text[32], digits[JSON_DIGITS_MAX + 1];
	int count = 0, exponent, point;

	if (!isfinite(value))
		return strbuf_puts(out, "null");
	if (fabs(value) <= 0)
		return strbuf_putc(out, '0');
	json_shortest(fabs(value), text);
	for (const char *p = text; *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			digits[count++] = *p;
	exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	point = exponent + 1; /* the decimal point stands behind this many digits */
	if (value < 0)
		strbuf_putc(out, '-');
	if (point > 21 || point <= -6) {
		strbuf_putc(out, digits[0]);
		if (count > 1)
			strbuf_printf(out, ".%.*s", count - 1, digits + 1);
		return strbuf_printf(out, "e%+d", exponent);
	}
	if (point <= 0)
		return strbuf_printf(out, "0.%.*s%.*s", -point, "000000", count, digits);
	if (point >= count)
		return strbuf_printf(out, "%.*s%.*s", count, digits, point - count,
				     "000000000000000000000");
	return strbuf_printf(out, "%.*s.%.*s", point, digits, count - point, digits + point);
}

/* Is the name an array index in its canonical form ("0", "10", not "01")? */
static bool json_name_index(const char *name, uint64_t *ret_index)
{
	uint64_t index = 0;
	size_t n = strspn(name, "0123456789");

	if (n == 0 || n > 10 || name[n] || (n > 1 && name[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++)
		index = index * 10 + (uint64_t)(name[i] - '0');
	*ret_index = index;
	return index <= JSON_INDEX_MAX;
}

struct json_indexed {
	uint64_t index;
	const char *name;
	json_t *value;
};

static int json_indexed_compare(const void *a, const void *b)
{
	const struct json_indexed *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* jansson's iterators want a mutable object, but change nothing. */
static json_t *json_iterable(const json_t *object)
{
	return (json_t *)(uintptr_t)object;
}

/* Members named like array indices, sorted; NULL if there are none. */
static int json_collect_indexed(const json_t *object, struct json_indexed **ret_rows,
				size_t *ret_count)
{
	json_t *members = json_iterable(object);
	struct json_indexed *rows = NULL;
	size_t count = 0;
	uint64_t index;

	for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i))
		count += json_name_index(json_object_iter_key(i), &index);
	if (count > 0) {
		rows = calloc(count, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
	}
	count = 0;
	for (void *i = json_object_iter(members); rows && i; i = json_object_iter_next(members, i))
		if (json_name_index(json_object_iter_key(i), &index))
			rows[count++] = (struct json_indexed){ index, json_object_iter_key(i),
							       json_object_iter_value(i) };
	if (rows)
		qsort(rows, count, sizeof(*rows), json_indexed_compare);
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}

static int json_append(struct strbuf *out, const json_t *value, bool pretty, size_t depth);

static void json_append_break(struct strbuf *out, bool pretty, size_t depth)
{
	if (!pretty)
		return;
	if (depth > JSON_INDENT_DEPTH)
		depth = JSON_INDENT_DEPTH;
	strbuf_printf(out, "\n%*s", (int)(2 * depth), "");
}

static void json_append_member(struct strbuf *out, const char *name, const json_t *value,
			       bool pretty, size_t depth)
{
	char last = out->len ? out->data[out->len - 1] : '\0';

	/* Only the first name stands directly behind a brace: a value never ends with one. */
	if (last != '{')
		strbuf_putc(out, ',');
	json_append_break(out, pretty, depth);
	json_append_string(out, name, strlen(name));
	strbuf_puts(out, pretty ? ": " : ":");
	json_append(out, value, pretty, depth);
}

static int json_append_object(struct strbuf *out, const json_t *object, bool pretty, size_t depth)
{
	cleanup_free struct json_indexed *rows = NULL;
	json_t *members = json_iterable(object);
	size_t count;
	uint64_t index;

	if (json_object_size(object) == 0)
		return strbuf_puts(out, "{}");
	if (json_collect_indexed(object, &rows, &count) < 0)
		return out->error = -ENOMEM;
	strbuf_putc(out, '{');
	for (size_t i = 0; i < count; i++)
		json_append_member(out, rows[i].name, rows[i].value, pretty, depth + 1);
	for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i))
		if (!json_name_index(json_object_iter_key(i), &index))
			json_append_member(out, json_object_iter_key(i), json_object_iter_value(i),
					   pretty, depth + 1);
	json_append_break(out, pretty, depth);
	return strbuf_putc(out, '}');
}

static int json_append_array(struct strbuf *out, const json_t *array, bool pretty, size_t depth)
{
	size_t count = json_array_size(array);

	if (count == 0)
		return strbuf_puts(out, "[]");
	for (size_t i = 0; i < count; i++) {
		strbuf_putc(out, i == 0 ? '[' : ',');
		json_append_break(out, pretty, depth + 1);
		json_append(out, json_array_get(array, i), pretty, depth + 1);
	}
	json_append_break(out, pretty, depth);
	return strbuf_putc(out, ']');
}

static int json_append(struct strbuf *out, const json_t *value, bool pretty, size_t depth)
{
	if (out->error)
		return out->error;
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_OBJECT:
		return json_append_object(out, value, pretty, depth);
	case JSON_ARRAY:
		return json_append_array(out, value, pretty, depth);
	case JSON_STRING:
		return json_append_string(out, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return strbuf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL:
		return json_append_real(out, json_real_value(value));
	case JSON_TRUE:
		return strbuf_puts(out, "true");
	case JSON_FALSE:
		return strbuf_puts(out, "false");
	case JSON_NULL:
		break;
	}
	return strbuf_puts(out, "null");
}

int json_append_compact(struct strbuf *out, const json_t *value)
{
	return json_append(out, value, false, 0);
}

int json_append_pretty(struct strbuf *out, const json_t *value)
{
	return json_append(out, value, true, 0);
}
