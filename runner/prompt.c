/* SPDX-License-Identifier: MIT */
#include "runner/prompt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/message/format.h"
#include "runner/message/route.h"

/* Says to the sender of one row, if it was addressed to us, why the agent does not get it. */
static void prompt_reject(const struct prompt_options *options, const struct inbound_row *row,
			  const char *text)
{
	struct route route;

	route_origin(row, &route);
	log_warning("message %s cannot be handed to the agent", row->id);
	if (row->wakes)
		outbox_add_text(options->outbox, &route, text);
	outbox_add_failed(options->outbox, row->id);
}

static void prompt_reject_all(const struct prompt_options *options, struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		prompt_reject(options, &group->rows[i], "I could not read your message.");
		inbound_row_deinit(&group->rows[i]);
	}
	group->count = 0;
}

/* Makes the group's prompt; rows that cannot be rendered leave the group. 0 or -ENOMEM. */
static int prompt_format(const struct prompt_options *options, struct group *group,
			 const struct notes *notes, const struct strbuf *recalled,
			 const json_t *script_output)
{
	cleanup_free struct format_item *items = calloc(group->count, sizeof(*items));
	cleanup_free bool *failed = calloc(group->count, sizeof(*failed));
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	const struct format_context context = {
		.destinations = options->destinations,
		.timezone = options->timezone,
		.workspace = options->workspace,
		.passed_over = group->passed_over_count,
	};
	size_t kept = 0;
	int r = -ENOMEM;

	strbuf_append(&text, notes->text.data, notes->text.len);
	strbuf_append(&text, recalled->data, recalled->len);
	for (size_t i = 0; items && i < group->count; i++)
		items[i] = (struct format_item){ &group->rows[i], script_output };
	if (items && failed)
		r = format_prompt(&context, items, group->count, failed, &text, NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < group->count; i++) {
		struct inbound_row row = group->rows[i];

		if (!failed[i]) {
			group->rows[kept++] = row;
			continue;
		}
		prompt_reject(options, &row, "I could not read your message, so it was left out.");
		inbound_row_deinit(&row);
	}
	group->count = kept;
	group->len = text.len;
	group->text = strbuf_steal(&text);
	return group->text ? 0 : -ENOMEM;
}

void prompt_compose(const struct prompt_options *options, struct group *group, struct notes *notes,
		    const struct strbuf *recalled, const json_t *script_output)
{
	if (prompt_format(options, group, notes, recalled, script_output) < 0)
		prompt_reject_all(options, group);
	else if (group->count > 0)
		notes_give(notes, group);
}

void prompt_use_text(const struct prompt_options *options, struct group *group,
		     const struct strbuf *recalled, const char *text, bool is_command)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	/* A command is one only if nothing stands before it. */
	if (!is_command)
		strbuf_append(&out, recalled->data, recalled->len);
	strbuf_puts(&out, text);
	group->len = out.len;
	group->text = strbuf_steal(&out);
	group->is_command = is_command;
	if (!group->text)
		prompt_reject_all(options, group);
}
