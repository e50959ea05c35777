#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The content column: JSON that hosts write in many shapes, read with JavaScript's idea of what
 * is there and what is not. Nothing that a host can write there is an error.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/strbuf.h"

/*
 * The row's content, owned by the caller. What is not JSON is a text: {"text": content}.
 * 0 or -ENOMEM.
 */
int content_parse(const char *content, size_t len, json_t **ret_value);

/* Does value count as there? Missing, null, false, 0 and "" do not, as in JavaScript. */
bool content_is_truthy(const json_t *value);

/*
 * The first of value's members in names (NULL-terminated) that is truthy, or NULL. Borrowed.
 * value may be of any type or NULL.
 */
json_t *content_first(const json_t *value, const char *const *names);

/*
 * Appends value as text: a string itself, a number or a boolean as JavaScript prints it, an object
 * or an array as compact JSON, NULL as nothing. 0 or -ENOMEM.
 */
int content_append_text(struct strbuf *out, const json_t *value);

/*
 * Appends what a person wrote: the first truthy member in names of an object. Content that is no
 * object is the text itself; null is none. 0 or -ENOMEM.
 */
int content_append_first(struct strbuf *out, const json_t *content, const char *const *names);

/*
 * The content of an outgoing chat row, {"text": "…"}, as a heap string owned by the caller.
 * Invalid UTF-8 is mended. 0 or -ENOMEM.
 */
int content_of_text(const char *text, size_t len, char **ret_content);
