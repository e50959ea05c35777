#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The host's answer to a command, as text for a person or a program: {id, ok: true, data} or
 * {id, ok: false, error: {code, message}}. What comes out is valid UTF-8 without characters that
 * drive a terminal, whatever is in the answer.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/strbuf.h"

/* Did the host do what it was asked to? Not if what it answered is no frame. */
bool ncl_print_is_ok(const json_t *frame);

/* Appends the whole frame as indented JSON, and a line break. 0 or -ENOMEM. */
int ncl_print_frame(const json_t *frame, struct strbuf *out);

/*
 * Appends a frame's data: an array of objects that hold no arrays and objects as a table, everything
 * else, and a table of many megabytes, as indented JSON. 0 or -ENOMEM.
 */
int ncl_print_data(const json_t *frame, struct strbuf *out);

/* Appends "error (CODE): MESSAGE", and a line break. 0 or -ENOMEM. */
int ncl_print_error(const json_t *frame, struct strbuf *out);

/* Appends "ncl: TEXT" as one line, and its break: what goes wrong on our side. 0 or -ENOMEM. */
int ncl_print_complaint(const char *text, struct strbuf *out);
