/* SPDX-License-Identifier: MIT */
#include "runner/resume.h"

#include <errno.h>
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
};

static int resume_on_sent(void *userdata, const struct outbound_sent *sent)
{
	struct resume *resume = userdata;
	const struct resume_options *options = resume->options;
	const struct inbound_destination *to =
		route_by_address(options->destinations, sent->channel_type, sent->platform_id);
	cleanup_json json_t *content = NULL;
	const char *text;
	int r = content_parse(sent->content, strlen(sent->content), &content);

	if (r < 0)
		return r;
	text = json_member_string(content, "text");
	if (to && text)
		options->sent(options->userdata, to->name, sent->thread_id, text);
	if (resume->count++ >= RESUME_NAMED_MAX)
		return 0;
	if (resume->named.len > 0)
		strbuf_puts(&resume->named, "; ");
	return note_sent(to ? to->name : NULL, content, &resume->named);
}

int resume_look(const struct resume_options *options, const struct inbound_row *rows, size_t count,
		bool claimed, struct strbuf *note, bool *ret_is_last, struct err *err)
{
	cleanup_strbuf struct strbuf named = STRBUF_EMPTY;
	struct resume resume = { .options = options };
	bool is_resumed = false, is_last = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct outbound_attempt attempt = { .starts = 0 };

		r = outbound_attempt(options->outbound, rows[i].id, &attempt, err);
		if (r < 0)
			break;
		outbound_attempt_deinit(&attempt);
		is_last |= attempt.broken + !claimed >= CONFIG_ATTEMPTS;
		r = 0;
		if (attempt.starts + !claimed <= 1)
			continue;
		is_resumed = true;
		r = outbound_sent_for(options->outbound, rows[i].id, resume_on_sent, &resume, err);
	}
	named = resume.named;
	if (r == 0 && is_resumed)
		r = note_resumed(named.len ? named.data : NULL, resume.count > RESUME_NAMED_MAX,
				 note);
	if (r == 0 && is_resumed)
		r = strbuf_putc(note, '\n');
	if (r < 0)
		return r == -ENOMEM ? err_sys(err, r, "cannot tell of an earlier attempt") : r;
	*ret_is_last = is_last;
	return 0;
}
