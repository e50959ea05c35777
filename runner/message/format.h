#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Rows to prompt. The agents' instructions and memories know these shapes: nothing in them changes
 * without need. Whatever a row holds is text in the prompt: it can neither close its tag nor open
 * another one.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"
#include "runner/store/inbound.h"

/* A row whose rendering is longer becomes a file (overflow.h); its beginning stays in the prompt. */
#define FORMAT_ROW_MAX	   (64 * 1024)
#define FORMAT_PREVIEW_MAX (2 * 1024)

struct format_context {
	const struct inbound_destinations *destinations;
	const char *timezone;  /* name of the process's zone: timezone_init() */
	const char *workspace; /* where attachments and long texts are, as the agent sees it */
	size_t passed_over;    /* context rows left out: told in the header if > 0 */
};

struct format_item {
	const struct inbound_row *row;
	const json_t *script_output; /* what a pre-task script handed on; NULL: none */
};

/*
 * Appends the prompt for count rows, valid UTF-8 without a NUL. Sections stand in the order
 * chat, task, webhook, system; within one the rows keep their order. With passed_over a line
 * of ours follows on the first: <omitted count="7" reason="older messages not addressed to you" />
 *
 * ret_failed has count entries; true: the row could not be rendered and was left out, because its
 * kind is unknown or its text could not be written to a file (err then says why, for the last one).
 * 0 or -ENOMEM.
 */
int format_prompt(const struct format_context *context, const struct format_item *items,
		  size_t count, bool *ret_failed, struct strbuf *out, struct err *err);
