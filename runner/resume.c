/* SPDX-License-Identifier: MIT */
#include "runner/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "runner/config.h"
#include "runner/io/json.h"
#include "runner/message/content.h"
#include "runner/message/note.h"
#include "runner/message/route.h"
#include "runner/store/outbound-lookup.h"

/* So many are named; an agent that has sent more knows what it was about. */
#define RESUME_NAMED_MAX 20

struct resume {
	const struct resume_options *options;
	struct strbuf named;
	size_t count;
	char *turn; /* of the row before; NULL: there was none */
	bool is_resumed, is_last;
};

static int resume_on_sent(void *userdata, const struct outbound_sent *sent)
{
	static const char *const operation[] = { "operation", NULL };
	struct resume *resume = userdata;
	const struct resume_options *options = resume->options;
	const struct inbound_destination *to =
		route_by_address(options->destinations, sent->channel_type, sent->platform_id);
	cleanup_json json_t *content = NULL;
	const char *text;
	int r = content_parse(sent->content, strlen(sent->content), &content);

	/* An edit or a reaction is no message, and harmless if it is made again. */
	if (r < 0 || content_first(content, operation))
		return r;
	text = json_member_string(content, "text");
	if (text)
		options->sent(options->userdata, to ? to->name : NULL, sent->thread_id, text);
	resume->count++;
	if (resume->named.len > 0)
		strbuf_puts(&resume->named, "; ");
	return note_sent(to ? to->name : NULL, content, &resume->named);
}

_Static_assert(CONFIG_ATTEMPTS > 1, "the first attempt at a new row is not the last one");

/* Looks at one row. Those of one turn share what was sent: it is told once. */
static int resume_look_at(struct resume *resume, struct inbound_row *row, bool claimed,
			  struct err *err)
{
	__attribute__((cleanup(
		outbound_attempt_deinit))) struct outbound_attempt attempt = { .starts = 0 };
	bool is_same;
	int r;

	/* The look that found it has asked already, and nobody but us begins an attempt. */
	if (row->is_new && !claimed)
		return 0;
	r = outbound_attempt(resume->options->outbound, row->id, &attempt, err);
	if (r < 0)
		return r;
	resume->is_last |= attempt.broken + !claimed >= CONFIG_ATTEMPTS;
	row->resumed = attempt.starts + !claimed > 1;
	if (!row->resumed)
		return 0;
	is_same = resume->turn && attempt.turn && strcmp(resume->turn, attempt.turn) == 0;
	resume->is_resumed = true;
	free(resume->turn);
	resume->turn = steal_ptr(attempt.turn);
	return is_same ? 0
		       : outbound_sent_for(resume->options->outbound, row->id, RESUME_NAMED_MAX,
					   resume_on_sent, resume, err);
}

int resume_look(const struct resume_options *options, struct inbound_row *rows, size_t count,
		bool claimed, struct strbuf *note, bool *ret_is_last, struct err *err)
{
	struct resume resume = { .options = options };
	int r = 0;

	/* Context rides along with one message after the other: nothing is said of it. */
	for (size_t i = 0; r == 0 && i < count; i++)
		if (rows[i].wakes)
			r = resume_look_at(&resume, &rows[i], claimed, err);
	if (r == 0 && resume.is_resumed) {
		r = note_resumed(resume.named.len ? resume.named.data : NULL,
				 resume.count >= RESUME_NAMED_MAX, note);
		r = r < 0 ? r : strbuf_putc(note, '\n');
		if (r < 0)
			err_sys(err, r, "cannot tell of an earlier attempt");
	}
	strbuf_deinit(&resume.named);
	free(resume.turn);
	*ret_is_last = resume.is_last;
	return r;
}
