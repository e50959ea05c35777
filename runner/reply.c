/* SPDX-License-Identifier: MIT */
#include "runner/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/delivered.h"
#include "runner/message/blank.h"
#include "runner/message/dispatch.h"
#include "runner/message/instructions.h"
#include "runner/message/route.h"

struct reply {
	struct reply_options options;
	struct loop_timer *hold;
	struct strbuf held; /* the last text, not yet dispatched */
	bool holds;
	struct delivered *delivered; /* blocks sent in this answer */
	struct delivered *earlier;   /* what was sent in attempts that broke off */
	bool has_earlier;
	size_t sent;
	struct strbuf scratch;	/* the last text that stood outside of blocks */
	struct strbuf unknown;	/* bodies of blocks for unknown destinations */
	struct strbuf stranger; /* the first such name */
	bool nudged;
	size_t sent_at_nudge;
};

static void reply_on_hold(void *userdata)
{
	reply_send_held(userdata);
}

int reply_new(const struct reply_options *options, struct reply **ret_reply)
{
	struct reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return -ENOMEM;
	reply->options = *options;
	reply->delivered = delivered_new();
	reply->earlier = delivered_new();
	if (!reply->delivered || !reply->earlier ||
	    loop_timer_new(options->loop, reply_on_hold, reply, &reply->hold) < 0) {
		reply_free(reply);
		return -ENOMEM;
	}
	*ret_reply = reply;
	return 0;
}

void reply_free(struct reply *reply)
{
	if (!reply)
		return;
	loop_timer_free(reply->hold);
	delivered_free(reply->delivered);
	delivered_free(reply->earlier);
	strbuf_deinit(&reply->held);
	strbuf_deinit(&reply->scratch);
	strbuf_deinit(&reply->unknown);
	strbuf_deinit(&reply->stranger);
	free(reply);
}

/* A look at the inbox of our own, made only where what is known does not suffice. */
struct reply_look {
	struct inbound *inbound; /* NULL: not looked, or it failed */
	struct inbound_destinations destinations;
	bool looked;
};

static void reply_look(const struct reply *reply, struct reply_look *look)
{
	struct err err;

	if (look->looked)
		return;
	look->looked = true;
	if (inbound_open(reply->options.inbound_path, &look->inbound, &err) < 0 ||
	    inbound_destinations(look->inbound, &look->destinations, &err) < 0)
		log_warning("cannot look for a destination: %s", err.text);
}

static void reply_look_deinit(struct reply_look *look)
{
	inbound_close(look->inbound);
	inbound_destinations_deinit(&look->destinations);
}

static const struct inbound_row **reply_rows(const struct reply *reply, size_t *ret_count)
{
	const struct inbound_row **rows;

	*ret_count = 0;
	rows = reply->options.rows(reply->options.userdata, ret_count);
	if (!rows)
		*ret_count = 0;
	return rows;
}

/* Blocks */

static int reply_is_acked(void *userdata, const char *id)
{
	const struct reply *reply = userdata;

	return outbound_has_ack(reply->options.outbound, id, NULL);
}

/* The newest message from there that was claimed before this turn; false: none. */
static bool reply_find_older(struct reply *reply, const struct inbound_destination *to,
			     struct reply_look *look, struct inbound_row *ret_row)
{
	if (to->is_agent || !to->channel_type || !to->platform_id)
		return false;
	reply_look(reply, look);
	return look->inbound &&
	       inbound_newest_from(look->inbound, to->channel_type, to->platform_id, reply_is_acked,
				   reply, ret_row, NULL) > 0;
}

/*
 * Was it sent before the attempt at its message broke off? An answer to a new message may well have
 * the same words.
 */
static bool reply_repeats_earlier(struct reply *reply, const struct inbound_destination *to,
				  const struct route *route, const char *body,
				  const struct inbound_row *const *rows, size_t count)
{
	for (size_t i = 0; route->in_reply_to && i < count; i++)
		if (rows[i]->resumed && strcmp(rows[i]->id, route->in_reply_to) == 0)
			return delivered_take_sent(reply->earlier, to->name, route->thread_id,
						   body);
	return false;
}

static void reply_send_block(struct reply *reply, const struct inbound_destination *to,
			     const char *body, struct reply_look *look)
{
	struct inbound_row older = { .seq = -1 };
	cleanup_free const struct inbound_row **rows = NULL;
	bool has_older = false;
	struct route route;
	size_t count;

	rows = reply_rows(reply, &count);
	if (!route_newest(to, rows, count))
		has_older = reply_find_older(reply, to, look, &older);
	route_reply(to, rows, count, has_older ? &older : NULL, count ? rows[0]->id : NULL, &route);
	if (!delivered_was_sent(reply->delivered, to->name, route.thread_id, body) &&
	    !reply_repeats_earlier(reply, to, &route, body, rows, count))
		outbox_add_text(reply->options.outbox, &route, body);
	/* Also what is there already is an answer. */
	reply->sent++;
	inbound_row_deinit(&older);
}

/* Keeps a block whose destination does not exist. */
static void reply_keep_unknown(struct reply *reply, const struct dispatch_block *block)
{
	log_warning("the agent addressed an unknown destination");
	if (reply->stranger.len == 0)
		strbuf_puts(&reply->stranger, block->to);
	if (reply->unknown.len > 0)
		strbuf_puts(&reply->unknown, "\n\n");
	strbuf_puts(&reply->unknown, block->body);
}

/* A destination that is not known yet: the host may have added it a moment ago. */
static const struct inbound_destination *reply_find_new(const struct reply *reply, const char *name,
							struct reply_look *look)
{
	reply_look(reply, look);
	return route_by_name(&look->destinations, name);
}

static void reply_dispatch(struct reply *reply, const char *text, size_t len)
{
	__attribute__((cleanup(reply_look_deinit))) struct reply_look look = { .inbound = NULL };
	struct dispatch parts;

	if (dispatch_parse(text, len, &parts) < 0)
		return;
	for (size_t i = 0; i < parts.count; i++) {
		const struct dispatch_block *block = &parts.blocks[i];
		const struct inbound_destination *to =
			route_by_name(reply->options.destinations, block->to);
		/* Names may be written in several ways; the ledger knows one. */
		const char *name = to ? to->name : block->to;

		if (delivered_repeats(reply->delivered, name, block->body))
			continue;
		delivered_add(reply->delivered, name, block->body);
		if (!to)
			to = reply_find_new(reply, block->to, &look);
		if (to)
			reply_send_block(reply, to, block->body, &look);
		else
			reply_keep_unknown(reply, block);
	}
	if (*parts.scratch) {
		log_debug("scratchpad: %s", parts.scratch);
		strbuf_reset(&reply->scratch);
		strbuf_puts(&reply->scratch, parts.scratch);
	}
	dispatch_deinit(&parts);
}

void reply_release_held(struct reply *reply)
{
	loop_timer_disarm(reply->hold);
	if (!reply->holds)
		return;
	reply->holds = false;
	reply_dispatch(reply, reply->held.data, reply->held.len);
	strbuf_reset(&reply->held);
}

void reply_drop_held(struct reply *reply)
{
	loop_timer_disarm(reply->hold);
	reply->holds = false;
	strbuf_reset(&reply->held);
}

void reply_send_held(struct reply *reply)
{
	/* Nothing to send is nothing to commit: what others queued is theirs. */
	if (!reply->holds)
		return;
	reply_release_held(reply);
	(void)outbox_commit(reply->options.outbox);
}

void reply_text(struct reply *reply, const char *text, size_t len)
{
	if (reply->holds)
		reply_send_held(reply);
	if (strbuf_append(&reply->held, text, len) < 0) {
		strbuf_reset(&reply->held);
		reply_dispatch(reply, text, len);
		return;
	}
	reply->holds = true;
	loop_timer_arm(reply->hold, REPLY_HOLD_MS);
}

void reply_final(struct reply *reply, const char *text, size_t len)
{
	reply_release_held(reply);
	if (len == 0)
		return;
	delivered_expect(reply->delivered);
	reply_dispatch(reply, text, len);
	/* What it did not repeat may be said again on purpose. */
	delivered_expect_none(reply->delivered);
}

/* Words without an address */

/* The newest message of the turn that wakes the agent and has an address, NULL if there is none. */
static const struct inbound_row *reply_newest(const struct inbound_row *const *rows, size_t count)
{
	for (size_t i = count; i > 0; i--)
		if (rows[i - 1]->wakes && (rows[i - 1]->channel_type || rows[i - 1]->platform_id))
			return rows[i - 1];
	return NULL;
}

/* The session's own address; false: it has none. The caller deinits *ret_address either way. */
static bool reply_session_address(const struct reply *reply, struct inbound_address *ret_address)
{
	__attribute__((cleanup(reply_look_deinit))) struct reply_look look = { .inbound = NULL };

	reply_look(reply, &look);
	return look.inbound && inbound_session_address(look.inbound, ret_address, NULL) > 0 &&
	       (ret_address->channel_type || ret_address->platform_id);
}

/* To the session's own address, else to the only destination that there is. */
static void reply_to_home(struct reply *reply, const char *in_reply_to, const char *text)
{
	const struct inbound_destinations *known = reply->options.destinations;
	struct inbound_address address = { .channel_type = NULL };
	struct route route = { .in_reply_to = in_reply_to };

	if (reply_session_address(reply, &address)) {
		route.channel_type = address.channel_type;
		route.platform_id = address.platform_id;
		route.thread_id = address.thread_id;
	} else if (known->count == 1) {
		route_reply(&known->rows[0], NULL, 0, NULL, in_reply_to, &route);
	}
	outbox_add_text(reply->options.outbox, &route, text);
	inbound_address_deinit(&address);
}

/* To where the newest message came from. */
static void reply_to_newest(struct reply *reply, bool is_answer, const char *text)
{
	size_t count;
	cleanup_free const struct inbound_row **rows = reply_rows(reply, &count);
	const struct inbound_row *newest = reply_newest(rows, count);
	struct route route;

	if (!newest) {
		reply_to_home(reply, is_answer && count ? rows[0]->id : NULL, text);
		return;
	}
	route_origin(newest, &route);
	if (!is_answer)
		route.in_reply_to = NULL;
	outbox_add_text(reply->options.outbox, &route, text);
}

void reply_aside(struct reply *reply, const char *text)
{
	reply_to_newest(reply, false, text);
}

void reply_to_origin(struct reply *reply, const char *text)
{
	reply_to_newest(reply, true, text);
	reply->sent++;
}

static bool reply_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool reply_same_place(const struct inbound_row *a, const struct inbound_row *b)
{
	return reply_same(a->channel_type, b->channel_type) &&
	       reply_same(a->platform_id, b->platform_id) && reply_same(a->thread_id, b->thread_id);
}

void reply_to_senders(struct reply *reply, const struct inbound_row *const *rows, size_t count,
		      bool is_answer, const char *text)
{
	bool told = false;

	for (size_t i = 0; i < count; i++) {
		struct route route;
		size_t j = 0;

		if (!rows[i]->wakes || !(rows[i]->channel_type || rows[i]->platform_id))
			continue;
		while (j < i && !(rows[j]->wakes && reply_same_place(rows[i], rows[j])))
			j++;
		if (j < i)
			continue;
		route_origin(rows[i], &route);
		if (!is_answer)
			route.in_reply_to = NULL;
		outbox_add_text(reply->options.outbox, &route, text);
		told = true;
	}
	if (!told)
		reply_to_home(reply, is_answer && count ? rows[0]->id : NULL, text);
}

/* As the body of a block is. */
static void reply_remember(struct delivered *delivered, const char *to, const char *thread,
			   const char *text)
{
	cleanup_free char *body = NULL;
	size_t len = strlen(text);

	blank_trim(&text, &len);
	body = strndup(text, len);
	if (body)
		delivered_add_sent(delivered, to, thread, body);
}

void reply_note_earlier(struct reply *reply, const char *to, const char *thread, const char *text)
{
	reply->has_earlier = true;
	if (to)
		reply_remember(reply->earlier, to, thread, text);
}

void reply_forget_earlier(struct reply *reply)
{
	delivered_clear(reply->earlier);
	reply->has_earlier = false;
}

void reply_note_sent(struct reply *reply, const char *to, const char *thread, const char *text)
{
	reply->sent++;
	if (to && text)
		reply_remember(reply->delivered, to, thread, text);
}

bool reply_has_sent(const struct reply *reply)
{
	return reply->sent > 0;
}

bool reply_was_answered(const struct reply *reply)
{
	size_t count;
	cleanup_free const struct inbound_row **rows = reply_rows(reply, &count);

	for (size_t i = 0; i < count; i++)
		if (rows[i]->wakes && !rows[i]->resumed)
			return false;
	return reply->has_earlier && count > 0;
}

bool reply_has_undelivered(const struct reply *reply)
{
	if (reply->nudged && reply->sent > reply->sent_at_nudge)
		return false;
	return reply->unknown.len > 0 ||
	       (reply->sent == 0 && reply->scratch.len > 0 && !reply_was_answered(reply));
}

int reply_nudge(struct reply *reply, struct strbuf *out)
{
	int r;

	if (reply->nudged)
		return 0;
	r = instructions_nudge(reply->options.destinations,
			       reply->stranger.len ? reply->stranger.data : NULL, out);
	if (r < 0)
		return r;
	reply->nudged = true;
	reply->sent_at_nudge = reply->sent;
	/* Asked to say it again, the agent may repeat what had arrived too. */
	delivered_expect(reply->delivered);
	return 1;
}

void reply_rescue(struct reply *reply)
{
	const struct strbuf *words = reply->unknown.len > 0 ? &reply->unknown : &reply->scratch;

	if (words->len > 0)
		reply_to_origin(reply, words->data);
	strbuf_reset(&reply->unknown);
	strbuf_reset(&reply->scratch);
}

void reply_reset(struct reply *reply)
{
	delivered_clear(reply->delivered);
	strbuf_reset(&reply->scratch);
	strbuf_reset(&reply->unknown);
	strbuf_reset(&reply->stranger);
	reply->sent = 0;
	reply->nudged = false;
	reply->sent_at_nudge = 0;
}

void reply_rewind(struct reply *reply)
{
	if (reply->sent == 0)
		reply_reset(reply);
	reply->nudged = false;
}
