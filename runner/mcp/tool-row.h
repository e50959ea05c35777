#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How most tools end: a row for the host, and once it is on disk an answer that was made before.
 * The call is over or waits for the disk when these return.
 */
#include <jansson.h>

#include "runner/mcp/call.h"

/*
 * Writes message with content, which is taken over. NULL: there was no memory for it, and the call
 * ends with that.
 */
void tool_row_write(struct call *call, const struct outbound_message *message, json_t *content,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for a message that the model may name later: the answer goes on with its number. */
void tool_row_send(struct call *call, const struct outbound_message *message, json_t *content,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));
