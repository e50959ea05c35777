#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * jansson with our rules: what jansson refuses and JavaScript takes is mended before it is parsed,
 * depth and size are limited, and members are read by the type that is wanted.
 *
 * Mended: invalid UTF-8 and lone surrogates become U+FFFD; \u0000 is kept in a value and becomes
 * U+FFFD in a member's name; an integer that does not fit 64 bits becomes the nearest double; a
 * number beyond the doubles becomes null (which is how JSON.stringify prints Infinity).
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/strbuf.h"

/* The longest text that is parsed, in bytes: a line of an agent is no longer either. */
#define JSON_SIZE_MAX (64 * 1024 * 1024)

/*
 * The most values in one text: a small one costs a hundred times the bytes that it is written in,
 * and whoever writes them must not use up the memory of the container.
 */
#define JSON_VALUES_MAX 250000

/* The deepest nesting that is parsed: jansson's own limit. */
#define JSON_DEPTH_MAX 2048

/*
 * Parses exactly one JSON value of any type. The caller owns the reference.
 * 0; -EINVAL: not JSON, or deeper than JSON_DEPTH_MAX (err says line and column, and shows nothing
 * of the text, which may hold secrets); -EFBIG: longer than JSON_SIZE_MAX, or of more than
 * JSON_VALUES_MAX values; -ENOMEM.
 */
int json_parse(const char *text, size_t len, json_t **ret_value, struct err *err);

/* The same for who is trusted not to use up the memory: any number of values. */
int json_parse_trusted(const char *text, size_t len, json_t **ret_value, struct err *err);

/* "an object", "a string", …: what was found, for an error. NULL counts as null. */
const char *json_type_name(const json_t *value);

/* Member of an object by name; NULL if value is no object, or the member is missing or null. */
json_t *json_member(const json_t *value, const char *name);

/*
 * The member if it is a string, else NULL. Borrowed. May hold NUL bytes: where that matters, take
 * json_member() and json_string_length().
 */
const char *json_member_string(const json_t *value, const char *name);
/* The same for what is compared with names: NULL also if it holds a NUL byte. */
const char *json_member_name(const json_t *value, const char *name);

/* The member if it has that type (an integer may be written 5.0), else fallback. */
int64_t json_member_int(const json_t *value, const char *name, int64_t fallback);
bool json_member_bool(const json_t *value, const char *name, bool fallback);

/*
 * Appends value as JSON.stringify(value) prints it: numbers by the shortest digits that read back
 * the same, members named like array indices first. One difference: integers that fit 64 bits keep
 * all their digits, where JavaScript rounds above 2^53. 0 or -ENOMEM.
 */
int json_append_compact(struct strbuf *out, const json_t *value);

/*
 * Appends value as JSON.stringify(value, null, 2) prints it, but that beyond 32 levels lines are
 * indented no further: the text is never much longer than the compact one. 0 or -ENOMEM.
 */
int json_append_pretty(struct strbuf *out, const json_t *value);

/* Appends text as a JSON string, quotes included, mended to valid UTF-8. 0 or -ENOMEM. */
int json_append_string(struct strbuf *out, const char *text, size_t len);

CLEANUP_DEFINE(json, json_t *, json_decref);
#define cleanup_json CLEANUP(cleanup_json_fn)
