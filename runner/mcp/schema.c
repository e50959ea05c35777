/* SPDX-License-Identifier: MIT */
#include "runner/mcp/schema.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/number.h"
#include "common/quote.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/message/blank.h"
#include "runner/store/seq.h"

#define SCHEMA_TEXT_(x) #x
#define SCHEMA_TEXT(x)	SCHEMA_TEXT_(x)

/* Room for what an error calls a part of an argument: options[2].label, env["NAME"]. */
#define SCHEMA_NAME_SIZE (QUOTE_SIZE + 32)

/* What is checked: an argument, or a part of one. */
struct schema_part {
	const char *name;
	const json_t *value;
	bool is_required;
};

/* What was found, in words; of a secret that stands in the wrong place nothing is shown. */
static const char *schema_found(const json_t *value)
{
	static const char *const words[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",	[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null",
	};

	return words[json_typeof(value)];
}

static int schema_refuse(const struct schema_part *part, const char *expected, struct err *err)
{
	return err_set(err, -EINVAL, "The argument `%s` must be %s, not %s.", part->name, expected,
		       schema_found(part->value));
}

static int schema_check_string(const struct schema_part *part, struct err *err)
{
	const char *text = json_string_value(part->value);
	size_t len = json_string_length(part->value);

	if (!text)
		return schema_refuse(part, "a string", err);
	/* Others, the host among them, would see its beginning only. */
	if (memchr(text, '\0', len))
		return err_set(err, -EINVAL, "The argument `%s` must not contain NUL characters.",
			       part->name);
	blank_trim(&text, &len);
	if (part->is_required && len == 0)
		return err_set(err, -EINVAL, "The argument `%s` must not be empty.", part->name);
	return 0;
}

/* 0: the value is no number of a message. */
static json_int_t schema_to_seq(const json_t *value)
{
	double real = json_real_value(value);
	int64_t seq = 0;

	if (json_is_string(value)) {
		const char *text = json_string_value(value);

		if (strlen(text) != json_string_length(value) ||
		    number_parse_int(text, 1, SEQ_MAX, &seq) < 0)
			return 0;
	} else if (json_is_integer(value)) {
		seq = json_integer_value(value);
	} else if (real >= 1 && real <= (double)SEQ_MAX && floor(real) >= real) {
		seq = (int64_t)real;
	}
	return seq >= 1 && seq <= SEQ_MAX ? seq : 0;
}

static int schema_check_seq(const struct schema_part *part, struct err *err)
{
	char found[QUOTE_SIZE];

	if (schema_to_seq(part->value) > 0)
		return 0;
	if (json_is_string(part->value))
		return err_set(err, -EINVAL,
			       "The argument `%s` must be the id of a message, a positive integer, "
			       "not %s.",
			       part->name,
			       quote(found, json_string_value(part->value),
				     json_string_length(part->value)));
	return schema_refuse(part, "the id of a message, a positive integer", err);
}

static int schema_check_seconds(const struct schema_part *part, struct err *err)
{
	double seconds = json_number_value(part->value);

	if (!json_is_number(part->value))
		return schema_refuse(part, "a number of seconds", err);
	if (seconds > 0 && seconds <= SCHEMA_SECONDS_MAX)
		return 0;
	return err_set(err, -EINVAL,
		       "The argument `%s` must be above 0 and at most %d seconds, not %g.",
		       part->name, SCHEMA_SECONDS_MAX, seconds);
}

static int schema_check_object(const struct schema_part *part, struct err *err)
{
	return json_is_object(part->value) ? 0 : schema_refuse(part, "an object", err);
}

/* Is it an array of at most SCHEMA_ITEMS_MAX? */
static int schema_check_array(const struct schema_part *part, const char *expected, struct err *err)
{
	if (!json_is_array(part->value))
		return schema_refuse(part, expected, err);
	if (json_array_size(part->value) > SCHEMA_ITEMS_MAX)
		return err_set(err, -EINVAL,
			       "The argument `%s` must have at most %d items, not %zu.", part->name,
			       SCHEMA_ITEMS_MAX, json_array_size(part->value));
	return 0;
}

static int schema_check_strings(const struct schema_part *part, struct err *err)
{
	int r = schema_check_array(part, "an array of strings", err);

	for (size_t i = 0; r == 0 && i < json_array_size(part->value); i++) {
		char name[SCHEMA_NAME_SIZE];
		const struct schema_part item = { name, json_array_get(part->value, i), false };

		(void)snprintf(name, sizeof(name), "%s[%zu]", part->name, i);
		r = schema_check_string(&item, err);
	}
	return r;
}

/* An environment is handed to a program as NAME=value. */
static int schema_check_variable(const struct schema_part *part, const char *variable,
				 const json_t *value, struct err *err)
{
	char name[SCHEMA_NAME_SIZE], quoted[QUOTE_SIZE];
	const struct schema_part item = { name, value, false };

	quote(quoted, variable, strlen(variable));
	if (!variable[0] || strchr(variable, '='))
		return err_set(err, -EINVAL,
			       "The argument `%s` has a variable named %s: a name must not be "
			       "empty, nor contain \"=\".",
			       part->name, quoted);
	(void)snprintf(name, sizeof(name), "%s[%s]", part->name, quoted);
	return schema_check_string(&item, err);
}

static int schema_check_variables(const struct schema_part *part, struct err *err)
{
	/* jansson's iterators want a mutable object, but change nothing. */
	json_t *members = (json_t *)(uintptr_t)part->value;
	const char *name;
	json_t *value;

	if (!json_is_object(part->value))
		return schema_refuse(part, "an object of strings", err);
	if (json_object_size(part->value) > SCHEMA_ITEMS_MAX)
		return err_set(err, -EINVAL,
			       "The argument `%s` must have at most %d variables, not %zu.",
			       part->name, SCHEMA_ITEMS_MAX, json_object_size(part->value));
	json_object_foreach(members, name, value)
	{
		int r = schema_check_variable(part, name, value, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int schema_check_option(const struct schema_part *part, struct err *err)
{
	static const char *const members[] = { "label", "selectedLabel", "value" };

	if (json_is_string(part->value))
		return schema_check_string(part, err);
	if (!json_is_object(part->value))
		return schema_refuse(part, "a string, or an object with a label", err);
	if (!json_member(part->value, "label"))
		return err_set(err, -EINVAL, "The argument `%s` has no label.", part->name);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		char name[SCHEMA_NAME_SIZE];
		const struct schema_part member = { name, json_member(part->value, members[i]),
						    i == 0 };
		int r;

		if (!member.value)
			continue;
		(void)snprintf(name, sizeof(name), "%s.%s", part->name, members[i]);
		r = schema_check_string(&member, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int schema_check_options(const struct schema_part *part, struct err *err)
{
	int r = schema_check_array(part, "an array of choices", err);

	if (r == 0 && json_array_size(part->value) == 0)
		return err_set(err, -EINVAL, "The argument `%s` must have at least one choice.",
			       part->name);
	for (size_t i = 0; r == 0 && i < json_array_size(part->value); i++) {
		char name[SCHEMA_NAME_SIZE];
		const struct schema_part item = { name, json_array_get(part->value, i), true };

		(void)snprintf(name, sizeof(name), "%s[%zu]", part->name, i);
		r = schema_check_option(&item, err);
	}
	return r;
}

static const struct {
	int (*check)(const struct schema_part *part, struct err *err);
	const char *expected; /* of one that is missing */
	const char *json;     /* what a model is told, without the braces around it */
} schema_types[] = {
	[SCHEMA_STRING] = { schema_check_string, "a string", "\"type\":\"string\"" },
	[SCHEMA_SEQ] = { schema_check_seq, "the id of a message",
			 "\"type\":\"integer\",\"minimum\":1" },
	[SCHEMA_SECONDS] = { schema_check_seconds, "a number of seconds",
			     "\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":" SCHEMA_TEXT(
				     SCHEMA_SECONDS_MAX) },
	[SCHEMA_OBJECT] = { schema_check_object, "an object", "\"type\":\"object\"" },
	[SCHEMA_STRINGS] = { schema_check_strings, "an array of strings",
			     "\"type\":\"array\",\"items\":{\"type\":\"string\"},"
			     "\"maxItems\":" SCHEMA_TEXT(SCHEMA_ITEMS_MAX) },
	[SCHEMA_VARIABLES] = { schema_check_variables, "an object of strings",
			       "\"type\":\"object\",\"additionalProperties\":"
			       "{\"type\":\"string\"}" },
	[SCHEMA_OPTIONS] = { schema_check_options, "an array of choices",
			     "\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"string\"},"
			     "{\"type\":\"object\",\"properties\":{"
			     "\"label\":{\"type\":\"string\"},"
			     "\"selectedLabel\":{\"type\":\"string\"},"
			     "\"value\":{\"type\":\"string\"}},\"required\":[\"label\"]}]},"
			     "\"minItems\":1,\"maxItems\":" SCHEMA_TEXT(SCHEMA_ITEMS_MAX) },
};
TABLE_COVERS(schema_types, SCHEMA_TYPES);

int schema_check(const struct schema_field *fields, size_t count, const json_t *arguments,
		 struct err *err)
{
	if (arguments && !json_is_object(arguments) && !json_is_null(arguments))
		return err_set(err, -EINVAL, "The arguments must be an object, not %s.",
			       schema_found(arguments));
	for (size_t i = 0; i < count; i++) {
		const struct schema_part part = { fields[i].name,
						  json_member(arguments, fields[i].name),
						  fields[i].is_required };
		int r = 0;

		if (part.value)
			r = schema_types[fields[i].type].check(&part, err);
		else if (part.is_required)
			r = err_set(err, -EINVAL, "The argument `%s` is missing: it must be %s.",
				    part.name, schema_types[fields[i].type].expected);
		if (r < 0)
			return r;
	}
	return 0;
}

json_int_t schema_seq(const json_t *arguments, const char *name)
{
	return schema_to_seq(json_member(arguments, name));
}

int schema_append(const struct schema_field *fields, size_t count, struct strbuf *out)
{
	bool first = true;

	strbuf_puts(out, "{\"type\":\"object\",\"properties\":{");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strbuf_putc(out, ',');
		json_append_string(out, fields[i].name, strlen(fields[i].name));
		strbuf_printf(out, ":{%s,\"description\":", schema_types[fields[i].type].json);
		json_append_string(out, fields[i].description, strlen(fields[i].description));
		strbuf_putc(out, '}');
	}
	strbuf_putc(out, '}');
	for (size_t i = 0; i < count; i++) {
		if (!fields[i].is_required)
			continue;
		strbuf_puts(out, first ? ",\"required\":[" : ",");
		json_append_string(out, fields[i].name, strlen(fields[i].name));
		first = false;
	}
	return strbuf_puts(out, first ? "}" : "]}");
}
