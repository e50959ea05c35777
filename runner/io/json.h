#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * jansson with our rules: text from outside is mended before it is parsed (invalid UTF-8 and lone
 * surrogates become U+FFFD, \u0000 is kept), depth and size are limited, and members are read by
 * the type that is wanted.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/strbuf.h"

/*
 * Parses exactly one JSON value of any type. The caller owns the reference.
 * 0; -EINVAL: not JSON (err says line and column); -ENOMEM.
 */
int json_parse(const char *text, size_t len, json_t **ret_value, struct err *err);

/* Member of an object by name; NULL if value is no object, or the member is missing or null. */
json_t *json_member(const json_t *value, const char *name);

/* The member if it is a string, else NULL. Borrowed. May hold NUL bytes: see json_string_length. */
const char *json_member_string(const json_t *value, const char *name);
int64_t json_member_int(const json_t *value, const char *name, int64_t fallback);
bool json_member_bool(const json_t *value, const char *name, bool fallback);

/* Appends value as JSON.stringify(value) prints it. 0 or -ENOMEM. */
int json_append_compact(struct strbuf *out, const json_t *value);

/* Appends value as JSON.stringify(value, null, 2) prints it. 0 or -ENOMEM. */
int json_append_pretty(struct strbuf *out, const json_t *value);

/* Appends text as a JSON string, quotes included. 0 or -ENOMEM. */
int json_append_string(struct strbuf *out, const char *text, size_t len);

CLEANUP_DEFINE(json, json_t *, json_decref);
#define cleanup_json CLEANUP(cleanup_json_fn)
