/* SPDX-License-Identifier: MIT */
#include "runner/undelivered.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/number.h"
#include "runner/io/json.h"
#include "runner/message/content.h"
#include "runner/message/note.h"
#include "runner/message/route.h"
#include "runner/store/outbound-lookup.h"

struct undelivered {
	struct outbound *outbound;
	int64_t seen;
};

int undelivered_new(struct outbound *outbound, struct undelivered **ret_undelivered,
		    struct err *err)
{
	struct undelivered *undelivered = calloc(1, sizeof(*undelivered));
	cleanup_free char *text = NULL;
	int r;

	if (!undelivered)
		return err_sys(err, -ENOMEM, "cannot start the session");
	undelivered->outbound = outbound;
	r = outbound_get_state(outbound, UNDELIVERED_STATE, &text, err);
	if (r < 0) {
		free(undelivered);
		return r;
	}
	/* What is no number was not written by us: told again is better than never told. */
	if (r > 0)
		(void)number_parse_int(text, 0, INT64_MAX, &undelivered->seen);
	*ret_undelivered = undelivered;
	return 0;
}

void undelivered_free(struct undelivered *undelivered)
{
	free(undelivered);
}

int64_t undelivered_seen(const struct undelivered *undelivered)
{
	return undelivered->seen;
}

/* Appends the note on the row of this id, a line of its own. 0, also if it is none of ours; <0. */
static int undelivered_compose(const struct undelivered *undelivered, const char *id,
			       const struct inbound_destinations *destinations, struct strbuf *out,
			       struct err *err)
{
	const struct inbound_destination *to;
	cleanup_json json_t *content = NULL;
	struct outbound_row row;
	int r = outbound_read(undelivered->outbound, id, &row, err);

	if (r <= 0)
		return r;
	if (out->len > 0)
		strbuf_putc(out, '\n');
	to = route_by_address(destinations, row.channel_type, row.platform_id);
	r = content_parse(row.content, strlen(row.content), &content);
	if (r == 0)
		r = note_undelivered(row.seq, to ? to->name : NULL, content, out);
	outbound_row_deinit(&row);
	return r < 0 ? err_sys(err, r, "cannot tell of what was not delivered") : 0;
}

/* 0; <0: nothing may be told. */
static int undelivered_compose_all(const struct undelivered *undelivered,
				   const struct inbound_failures *failures,
				   const struct inbound_destinations *destinations,
				   struct strbuf *out, struct err *err)
{
	for (size_t i = failures->count; i > 0; i--) {
		int r = undelivered_compose(undelivered, failures->ids[i - 1], destinations, out,
					    err);

		if (r < 0)
			return r;
	}
	/* Where none of these is ours, of an outbound.db that is no more, the others are not either. */
	if (!failures->more || out->len == 0)
		return 0;
	strbuf_putc(out, '\n');
	if (note_more_undelivered(out) < 0)
		return err_sys(err, -ENOMEM, "cannot tell of what was not delivered");
	return 0;
}

int undelivered_tell(struct undelivered *undelivered, const struct inbound_failures *failures,
		     const struct inbound_destinations *destinations, undelivered_note_fn *note,
		     void *userdata, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	char number[24];
	const struct outbound_state mark = { UNDELIVERED_STATE, number };
	int r;

	if (failures->count == 0)
		return 0;
	r = undelivered_compose_all(undelivered, failures, destinations, &text, err);
	if (r < 0)
		return r;
	/* Nothing can fail from here on: what is told is told once. */
	for (size_t i = failures->count; i > 0; i--)
		log_warning("the host could not deliver the message %s", failures->ids[i - 1]);
	if (failures->more)
		log_warning("the host could not deliver messages before these either");
	undelivered->seen = failures->newest;
	(void)snprintf(number, sizeof(number), "%" PRId64, failures->newest);
	note(userdata, text.len > 0 ? text.data : NULL, &mark);
	return 0;
}
