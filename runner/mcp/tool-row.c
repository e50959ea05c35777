/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-row.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runner/io/json.h"

static void tool_row_on_written(struct call *call, int64_t seq)
{
	(void)seq;
	call_answer(call, "%s", (const char *)call_state(call));
}

static void tool_row_on_sent(struct call *call, int64_t seq)
{
	call_answer(call, "%s Its message id is %" PRId64 ".", (const char *)call_state(call), seq);
}

/* answer is taken over; NULL: out of memory. */
static void tool_row_end(struct call *call, const struct outbound_message *message, json_t *content,
			 char *answer, call_written_fn *written)
{
	cleanup_json json_t *owned = content;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct outbound_message row = *message;

	if (!owned || !answer || json_append_compact(&text, owned) < 0) {
		free(answer);
		call_answer_text(call, NULL);
		return;
	}
	row.content = text.data;
	call_hold(call, answer, free);
	call_write(call, &row, written);
}

void tool_row_write(struct call *call, const struct outbound_message *message, json_t *content,
		    const char *format, ...)
{
	va_list arguments;
	char *answer;

	va_start(arguments, format);
	if (vasprintf(&answer, format, arguments) < 0)
		answer = NULL;
	va_end(arguments);
	tool_row_end(call, message, content, answer, tool_row_on_written);
}

void tool_row_send(struct call *call, const struct outbound_message *message, json_t *content,
		   const char *format, ...)
{
	va_list arguments;
	char *answer;

	va_start(arguments, format);
	if (vasprintf(&answer, format, arguments) < 0)
		answer = NULL;
	va_end(arguments);
	tool_row_end(call, message, content, answer, tool_row_on_sent);
}
