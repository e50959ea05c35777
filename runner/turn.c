/* SPDX-License-Identifier: MIT */
#include "runner/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/delivered.h"
#include "runner/message/dispatch.h"
#include "runner/message/format.h"
#include "runner/message/instructions.h"
#include "runner/message/route.h"
#include "runner/notice.h"

/* One push: messages and the text made of them; without messages it is a nudge of ours. */
struct turn_group {
	struct turn_group *next;
	struct inbound_row *rows;
	size_t count;
	char **passed_over;
	size_t passed_over_count;
	char *text;
	size_t len;
	bool is_command;
	int64_t push_id; /* 0: not given to the agent */
};

struct turn {
	struct turn_options options;
	struct turn_group *groups; /* unanswered, in order */
	struct loop_timer *hold;
	struct strbuf held; /* the last text, not yet dispatched */
	bool holds;
	struct delivered *delivered; /* blocks sent since the last answer */
	size_t sent;
	struct strbuf scratch;	/* the last text that stood outside of blocks */
	struct strbuf unknown;	/* bodies of blocks for unknown destinations */
	struct strbuf stranger; /* the first such name */
	bool nudged;
	size_t sent_at_nudge;
	int retries;
	bool tried_fresh;
};

static void turn_group_free(struct turn_group *group)
{
	for (size_t i = 0; i < group->count; i++)
		inbound_row_deinit(&group->rows[i]);
	for (size_t i = 0; i < group->passed_over_count; i++)
		free(group->passed_over[i]);
	free(group->rows);
	free(group->passed_over);
	free(group->text);
	free(group);
}

static void turn_on_hold(void *userdata)
{
	turn_send_held(userdata);
}

int turn_new(const struct turn_options *options, struct turn **ret_turn)
{
	struct turn *turn = calloc(1, sizeof(*turn));

	if (!turn)
		return -ENOMEM;
	turn->options = *options;
	turn->delivered = delivered_new();
	if (!turn->delivered ||
	    loop_timer_new(options->loop, turn_on_hold, turn, &turn->hold) < 0) {
		turn_free(turn);
		return -ENOMEM;
	}
	*ret_turn = turn;
	return 0;
}

void turn_free(struct turn *turn)
{
	if (!turn)
		return;
	while (turn->groups) {
		struct turn_group *group = turn->groups;

		turn->groups = group->next;
		turn_group_free(group);
	}
	loop_timer_free(turn->hold);
	delivered_free(turn->delivered);
	strbuf_deinit(&turn->held);
	strbuf_deinit(&turn->scratch);
	strbuf_deinit(&turn->unknown);
	strbuf_deinit(&turn->stranger);
	free(turn);
}

bool turn_is_active(const struct turn *turn)
{
	return turn->groups != NULL;
}

/* Claim and format */

/* Says to the sender of one row why it was not handed to the agent. */
static void turn_reject(struct turn *turn, const struct inbound_row *row, const char *text)
{
	struct route route;

	route_origin(row, &route);
	log_warning("message %s cannot be handed to the agent", row->id);
	outbox_add_text(turn->options.outbox, &route, text);
	outbox_add_failed(turn->options.outbox, row->id);
}

static int turn_claim(struct turn *turn, const struct turn_group *group, struct err *err)
{
	cleanup_free const char **ids =
		calloc(group->count + group->passed_over_count, sizeof(*ids));
	struct outbound_ids list = { .ids = ids };

	if (!ids)
		return err_sys(err, -ENOMEM, "cannot claim messages");
	for (size_t i = 0; i < group->count; i++)
		ids[list.count++] = group->rows[i].id;
	for (size_t i = 0; i < group->passed_over_count; i++)
		ids[list.count++] = group->passed_over[i];
	return outbound_claim(turn->options.outbound, &list, group->rows[0].id, err);
}

/* The destinations as they are now; a look that fails leaves the list empty. */
static struct inbound *turn_look(const struct turn *turn, struct inbound_destinations *ret)
{
	struct inbound *inbound = NULL;
	struct err err;

	*ret = (struct inbound_destinations){ .rows = NULL };
	if (inbound_open(turn->options.inbound_path, &inbound, &err) < 0 ||
	    inbound_destinations(inbound, ret, &err) < 0)
		log_warning("cannot read destinations: %s", err.text);
	return inbound;
}

/* Makes the group's prompt; rows that cannot be rendered leave the group. 0 or -ENOMEM. */
static int turn_format(struct turn *turn, struct turn_group *group, const json_t *script_output,
		       struct err *err)
{
	cleanup_free struct format_item *items = calloc(group->count, sizeof(*items));
	cleanup_free bool *failed = calloc(group->count, sizeof(*failed));
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound_destinations destinations;
	cleanup_inbound struct inbound *inbound = turn_look(turn, &destinations);
	const struct format_context context = {
		.destinations = &destinations,
		.timezone = turn->options.timezone,
		.workspace = turn->options.workspace,
		.passed_over = group->passed_over_count,
	};
	size_t kept = 0;
	int r = -ENOMEM;

	for (size_t i = 0; items && i < group->count; i++)
		items[i] = (struct format_item){ &group->rows[i], script_output };
	if (items && failed)
		r = format_prompt(&context, items, group->count, failed, &text, err);
	inbound_destinations_deinit(&destinations);
	if (r < 0)
		return r;
	for (size_t i = 0; i < group->count; i++) {
		struct inbound_row row = group->rows[i];

		if (!failed[i]) {
			group->rows[kept++] = row;
			continue;
		}
		turn_reject(turn, &row, "I could not read your message, so it was left out.");
		inbound_row_deinit(&row);
	}
	group->count = kept;
	group->len = text.len;
	group->text = strbuf_steal(&text);
	return group->text ? 0 : -ENOMEM;
}

static void turn_append(struct turn *turn, struct turn_group *group)
{
	struct turn_group **end = &turn->groups;

	while (*end)
		end = &(*end)->next;
	*end = group;
}

static struct turn_group *turn_group_new(struct turn_input *input)
{
	struct turn_group *group = calloc(1, sizeof(*group));

	if (!group) {
		for (size_t i = 0; i < input->count; i++)
			inbound_row_deinit(&input->rows[i]);
		free(steal_ptr(input->rows));
		return NULL;
	}
	group->rows = steal_ptr(input->rows);
	group->count = input->count;
	group->passed_over = calloc(input->passed_over_count + 1, sizeof(char *));
	for (size_t i = 0; group->passed_over && i < input->passed_over_count; i++) {
		group->passed_over[i] = strdup(input->passed_over[i]);
		if (group->passed_over[i])
			group->passed_over_count++;
	}
	if (!group->passed_over || group->passed_over_count < input->passed_over_count) {
		turn_group_free(group);
		return NULL;
	}
	return group;
}

int turn_add(struct turn *turn, struct turn_input *input, struct err *err)
{
	struct turn_group *group = turn_group_new(input);
	int r = 0;

	if (!group)
		return err_sys(err, -ENOMEM, "cannot take up messages");
	if (!input->claimed)
		r = turn_claim(turn, group, err);
	if (r < 0) {
		turn_group_free(group);
		return r;
	}
	if (input->command) {
		group->text = strdup(input->command);
		group->len = strlen(input->command);
		group->is_command = true;
		r = group->text ? 0 : -ENOMEM;
	} else {
		r = turn_format(turn, group, input->script_output, err);
	}
	if (r < 0) {
		/* Claimed, but it cannot be handed on: nobody may wait for it in vain. */
		for (size_t i = 0; i < group->count; i++)
			turn_reject(turn, &group->rows[i], "I could not read your message.");
		group->count = 0;
	}
	for (size_t i = 0; group->count == 0 && i < group->passed_over_count; i++)
		outbox_add_completed(turn->options.outbox, group->passed_over[i]);
	(void)outbox_commit(turn->options.outbox);
	if (group->count == 0)
		turn_group_free(group);
	else
		turn_append(turn, group);
	return 0;
}

/* Push */

bool turn_next_push(const struct turn *turn, struct turn_push *ret_push)
{
	for (const struct turn_group *g = turn->groups; g; g = g->next)
		if (g->push_id == 0) {
			*ret_push = (struct turn_push){ g->text, g->len, g->is_command };
			return true;
		}
	return false;
}

void turn_pushed(struct turn *turn, int64_t push_id)
{
	for (struct turn_group *g = turn->groups; g; g = g->next)
		if (g->push_id == 0) {
			g->push_id = push_id;
			return;
		}
}

void turn_rewind(struct turn *turn)
{
	struct turn_group **link = &turn->groups;

	while (*link) {
		struct turn_group *group = *link;

		group->push_id = 0;
		if (group->count > 0) {
			link = &group->next;
			continue;
		}
		/* A nudge speaks of an answer that the next agent never gave. */
		*link = group->next;
		turn_group_free(group);
	}
	turn->nudged = false;
}

/* Dispatch */

/* The turn's rows, newest last; the array is the caller's to free. */
static const struct inbound_row **turn_rows(const struct turn *turn, size_t *ret_count)
{
	const struct inbound_row **rows;
	size_t count = 0, used = 0;

	for (const struct turn_group *g = turn->groups; g; g = g->next)
		count += g->count;
	rows = calloc(count + 1, sizeof(struct inbound_row *));
	for (const struct turn_group *g = turn->groups; rows && g; g = g->next)
		for (size_t i = 0; i < g->count; i++)
			rows[used++] = &g->rows[i];
	*ret_count = used;
	return rows;
}

static bool turn_is_acked(void *userdata, const char *id)
{
	const struct turn *turn = userdata;

	return outbound_has_ack(turn->options.outbound, id, NULL) > 0;
}

static void turn_send_block(struct turn *turn, struct inbound *inbound,
			    const struct inbound_destination *to, const char *body)
{
	const struct inbound_choice acked = { .userdata = turn, .is_acked = turn_is_acked };
	struct inbound_row older = { .seq = -1 };
	cleanup_free const struct inbound_row **rows = NULL;
	bool has_older = false;
	struct route route;
	size_t count;

	rows = turn_rows(turn, &count);
	if (inbound && to->channel_type && to->platform_id)
		has_older = inbound_newest_from(inbound, &acked, to->channel_type, to->platform_id,
						&older, NULL) > 0;
	route_reply(to, rows, rows ? count : 0, has_older ? &older : NULL,
		    rows && count ? rows[0]->id : NULL, &route);
	outbox_add_text(turn->options.outbox, &route, body);
	inbound_row_deinit(&older);
	turn->sent++;
}

/*
 * Turns a text of the agent into rows. is_final: the result's text, which repeats blocks that were
 * delivered with the message that held them.
 */
static void turn_dispatch(struct turn *turn, const char *text, size_t len, bool is_final)
{
	struct inbound_destinations destinations;
	cleanup_inbound struct inbound *inbound = NULL;
	struct dispatch parts;

	if (dispatch_parse(text, len, &parts) < 0)
		return;
	if (is_final)
		delivered_expect(turn->delivered);
	inbound = turn_look(turn, &destinations);
	for (size_t i = 0; i < parts.count; i++) {
		const struct dispatch_block *block = &parts.blocks[i];
		const struct inbound_destination *to = route_by_name(&destinations, block->to);

		if (delivered_repeats(turn->delivered, block->to, block->body))
			continue;
		delivered_add(turn->delivered, block->to, block->body);
		if (to) {
			turn_send_block(turn, inbound, to, block->body);
			continue;
		}
		log_warning("the agent addressed an unknown destination");
		if (turn->stranger.len == 0)
			strbuf_puts(&turn->stranger, block->to);
		if (turn->unknown.len > 0)
			strbuf_puts(&turn->unknown, "\n\n");
		strbuf_puts(&turn->unknown, block->body);
	}
	if (*parts.scratch) {
		log_debug("scratchpad: %s", parts.scratch);
		strbuf_reset(&turn->scratch);
		strbuf_puts(&turn->scratch, parts.scratch);
	}
	dispatch_deinit(&parts);
	inbound_destinations_deinit(&destinations);
}

/* Dispatches what is held, without writing it yet. */
static void turn_release_held(struct turn *turn)
{
	loop_timer_disarm(turn->hold);
	if (!turn->holds)
		return;
	turn->holds = false;
	turn_dispatch(turn, turn->held.data, turn->held.len, false);
	strbuf_reset(&turn->held);
}

void turn_send_held(struct turn *turn)
{
	turn_release_held(turn);
	(void)outbox_commit(turn->options.outbox);
}

void turn_text(struct turn *turn, const char *text, size_t len)
{
	if (turn->holds)
		turn_send_held(turn);
	if (strbuf_append(&turn->held, text, len) < 0) {
		strbuf_reset(&turn->held);
		turn_dispatch(turn, text, len, false);
		return;
	}
	turn->holds = true;
	loop_timer_arm(turn->hold, TURN_HOLD_MS);
}

/* Commit */

/*
 * Where words go that bear no address: to the newest message of the turn that has one, else to the
 * session's own address, else to the only destination there is. The strings live in *keep.
 */
struct turn_origin {
	struct inbound_address address;
	struct inbound_destinations destinations;
};

static void turn_find_origin(struct turn *turn, struct turn_origin *keep, struct route *ret_route)
{
	cleanup_inbound struct inbound *inbound = turn_look(turn, &keep->destinations);
	const struct inbound_row *newest = NULL;
	size_t count;
	cleanup_free const struct inbound_row **rows = turn_rows(turn, &count);

	keep->address = (struct inbound_address){ .channel_type = NULL };
	for (size_t i = 0; rows && i < count; i++)
		if (rows[i]->wakes && (rows[i]->channel_type || rows[i]->platform_id))
			newest = rows[i];
	*ret_route = (struct route){ .in_reply_to = rows && count ? rows[0]->id : NULL };
	if (newest) {
		route_origin(newest, ret_route);
	} else if (inbound && inbound_session_address(inbound, &keep->address, NULL) > 0 &&
		   (keep->address.channel_type || keep->address.platform_id)) {
		ret_route->channel_type = keep->address.channel_type;
		ret_route->platform_id = keep->address.platform_id;
		ret_route->thread_id = keep->address.thread_id;
	} else if (keep->destinations.count == 1) {
		ret_route->channel_type = keep->destinations.rows[0].channel_type;
		ret_route->platform_id = keep->destinations.rows[0].platform_id;
	}
}

static void turn_send_to_origin(struct turn *turn, const char *text)
{
	struct turn_origin keep;
	struct route route;

	turn_find_origin(turn, &keep, &route);
	outbox_add_text(turn->options.outbox, &route, text);
	inbound_address_deinit(&keep.address);
	inbound_destinations_deinit(&keep.destinations);
	turn->sent++;
}

/* Forgets what belongs to the answer just given. */
static void turn_reset(struct turn *turn)
{
	delivered_clear(turn->delivered);
	strbuf_reset(&turn->scratch);
	strbuf_reset(&turn->unknown);
	strbuf_reset(&turn->stranger);
	turn->sent = 0;
	turn->nudged = false;
	turn->sent_at_nudge = 0;
	turn->retries = 0;
	turn->tried_fresh = false;
}

/* Acknowledges every group pushed up to this id, and writes all there is in one transaction. */
static enum turn_verdict turn_finish(struct turn *turn, int64_t up_to, bool failed)
{
	void (*add)(struct outbox *, const char *) =
		failed ? outbox_add_failed : outbox_add_completed;
	struct turn_group **link = &turn->groups;
	/* Words about background work answer nothing: what the turn has sent still counts. */
	bool answered = !turn->groups;

	while (*link) {
		struct turn_group *group = *link;

		if (group->push_id == 0 || group->push_id > up_to) {
			link = &group->next;
			continue;
		}
		for (size_t i = 0; i < group->count; i++)
			add(turn->options.outbox, group->rows[i].id);
		for (size_t i = 0; i < group->passed_over_count; i++)
			outbox_add_completed(turn->options.outbox, group->passed_over[i]);
		*link = group->next;
		turn_group_free(group);
		answered = true;
	}
	(void)outbox_commit(turn->options.outbox);
	if (answered)
		turn_reset(turn);
	return turn->groups ? TURN_GOES_ON : TURN_DONE;
}

/* Queues a text that tells the agent that something was not delivered. */
static bool turn_nudge(struct turn *turn)
{
	struct inbound_destinations destinations;
	cleanup_inbound struct inbound *inbound = turn_look(turn, &destinations);
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct turn_group *group = calloc(1, sizeof(*group));

	if (group &&
	    instructions_nudge(&destinations, turn->stranger.len ? turn->stranger.data : NULL,
			       &text) == 0) {
		group->len = text.len;
		group->text = strbuf_steal(&text);
	}
	inbound_destinations_deinit(&destinations);
	if (!group || !group->text) {
		free(group);
		return false;
	}
	turn_append(turn, group);
	turn->nudged = true;
	turn->sent_at_nudge = turn->sent;
	/* Asked to say it again, the agent may repeat what had arrived too. */
	delivered_expect(turn->delivered);
	return true;
}

static bool turn_is_command(const struct turn *turn)
{
	return turn->groups && turn->groups->is_command;
}

/* Was something said since the last nudge that reached nobody? */
static bool turn_has_undelivered(const struct turn *turn)
{
	if (turn->nudged && turn->sent > turn->sent_at_nudge)
		return false;
	return turn->unknown.len > 0 || (turn->sent == 0 && turn->scratch.len > 0);
}

static enum turn_verdict turn_failed(struct turn *turn, const struct provider_result *result)
{
	static const bool is_retried[PROVIDER_ERROR_COUNT] = {
		[PROVIDER_TRANSIENT] = true,
		[PROVIDER_CRASHED] = true,
	};
	static const bool is_retried_fresh[PROVIDER_ERROR_COUNT] = {
		[PROVIDER_INVALID_SESSION] = true,
		[PROVIDER_TOO_LONG] = true,
	};
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	log_warning("the agent failed (%s)%s%s", provider_error_name(result->error),
		    result->text_len ? ": " : "", result->text_len ? result->text : "");
	/* A late failure of something that was stopped: there is nothing to try again. */
	if (!turn->groups)
		return TURN_DONE;
	if (turn->sent == 0 && is_retried[result->error] && turn->retries < CONFIG_RETRIES) {
		turn->retries++;
		return TURN_RETRY;
	}
	if (turn->sent == 0 && is_retried_fresh[result->error] && !turn->tried_fresh) {
		turn->tried_fresh = true;
		return TURN_RETRY_FRESH;
	}
	if (notice_compose(result->error, result->text, result->retry_at_ms, &text) == 0)
		turn_send_to_origin(turn, text.data);
	return turn_finish(turn, (int64_t)result->answered, true);
}

enum turn_verdict turn_result(struct turn *turn, const struct provider_result *result)
{
	turn_release_held(turn);
	if (result->error != PROVIDER_OK && result->answered == 0) {
		/* Work in the background failed; no message waits for it, and none may pay for it. */
		log_warning("the agent failed in the background (%s)",
			    provider_error_name(result->error));
		return turn->groups ? TURN_GOES_ON : TURN_DONE;
	}
	if (result->error != PROVIDER_OK)
		return turn_failed(turn, result);
	if (result->text_len > 0)
		turn_dispatch(turn, result->text, result->text_len, true);
	if (result->interrupted)
		return turn_finish(turn, (int64_t)result->answered, false);
	if (turn_has_undelivered(turn)) {
		if (!turn->nudged && !turn_is_command(turn) && turn_nudge(turn)) {
			(void)outbox_commit(turn->options.outbox);
			return TURN_GOES_ON;
		}
		turn_send_to_origin(turn, turn->unknown.len > 0 ? turn->unknown.data
								: turn->scratch.data);
		strbuf_reset(&turn->unknown);
		strbuf_reset(&turn->scratch);
	}
	return turn_finish(turn, (int64_t)result->answered, false);
}

enum turn_verdict turn_broken(struct turn *turn, enum provider_error error, const char *detail)
{
	const struct provider_result result = {
		.error = error,
		.text = detail,
		.text_len = strlen(detail),
		.answered = INT64_MAX,
	};

	turn_release_held(turn);
	if (!turn->groups)
		return TURN_DONE;
	/* A group that was never pushed fails with the rest: there is no agent to push it to. */
	for (struct turn_group *g = turn->groups; g; g = g->next)
		if (g->push_id == 0)
			g->push_id = INT64_MAX;
	return turn_failed(turn, &result);
}

int64_t turn_retry_ms(const struct turn *turn)
{
	int n = turn->retries > 0 ? turn->retries - 1 : 0;

	return turn->options.config->retry_ms[n];
}

void turn_stopped(struct turn *turn)
{
	turn_release_held(turn);
	for (struct turn_group *g = turn->groups; g; g = g->next)
		if (g->push_id == 0)
			g->push_id = INT64_MAX;
	(void)turn_finish(turn, INT64_MAX, false);
}
