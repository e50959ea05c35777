/* SPDX-License-Identifier: MIT */
#include "runner/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/group.h"
#include "runner/message/route.h"
#include "runner/notes.h"
#include "runner/notice.h"
#include "runner/prompt.h"
#include "runner/reply.h"
#include "runner/resume.h"

struct turn {
	struct turn_options options;
	struct groups groups; /* unanswered, in order */
	struct reply *reply;
	struct notes notes; /* for the next prompt */
	int retries;
	bool tried_fresh;
};

static bool turn_is_command(const struct turn *turn)
{
	return turn->groups.first && turn->groups.first->is_command;
}

/* Who an answer may be for. */
static const struct inbound_row **turn_rows(void *userdata, size_t *ret_count)
{
	const struct turn *turn = userdata;
	int64_t up_to = GROUP_EVERY_PUSH;

	/* What waits behind a command has no part in its output. */
	if (turn_is_command(turn) && turn->groups.first->push_id > 0)
		up_to = turn->groups.first->push_id;
	return groups_rows(&turn->groups, up_to, ret_count);
}

int turn_new(const struct turn_options *options, struct turn **ret_turn)
{
	struct turn *turn = calloc(1, sizeof(*turn));
	const struct reply_options reply = {
		.loop = options->loop,
		.outbound = options->outbound,
		.outbox = options->outbox,
		.inbound_path = options->inbound_path,
		.destinations = options->destinations,
		.rows = turn_rows,
		.userdata = turn,
	};

	if (!turn)
		return -ENOMEM;
	turn->options = *options;
	if (reply_new(&reply, &turn->reply) < 0) {
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
	groups_deinit(&turn->groups);
	notes_deinit(&turn->notes);
	reply_free(turn->reply);
	free(turn);
}

bool turn_is_active(const struct turn *turn)
{
	return turn->groups.count > 0;
}

bool turn_holds(const struct turn *turn, const char *id)
{
	return groups_hold(&turn->groups, id);
}

bool turn_is_full(const struct turn *turn)
{
	/* A command is alone in its turn, and so is what may be what breaks the agent. */
	return turn->groups.count >= TURN_GROUPS_MAX || turn_is_command(turn) ||
	       (turn->groups.first && turn->groups.first->is_last);
}

/* Taking up */

static int turn_claim(struct turn *turn, const struct group *group, struct err *err)
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

static void turn_on_sent_earlier(void *userdata, const char *to, const char *thread,
				 const char *text)
{
	struct turn *turn = userdata;

	/* What is about to be told may be that it was not delivered: it may be sent again then. */
	if (turn->notes.text.len == 0)
		reply_note_earlier(turn->reply, to, thread, text);
}

/* What earlier attempts at the group left behind. 0; <0: it cannot be found out at present. */
static int turn_recall(struct turn *turn, struct group *group, bool claimed, struct strbuf *note,
		       struct err *err)
{
	const struct resume_options options = {
		.outbound = turn->options.outbound,
		.destinations = turn->options.destinations,
		.sent = turn_on_sent_earlier,
		.userdata = turn,
	};

	return resume_look(&options, group->rows, group->count, claimed, note, &group->is_last,
			   err);
}

static void turn_compose(struct turn *turn, struct group *group, const struct turn_input *input,
			 const struct strbuf *recalled)
{
	const struct prompt_options options = {
		.outbox = turn->options.outbox,
		.destinations = turn->options.destinations,
		.timezone = turn->options.timezone,
		.workspace = turn->options.workspace,
	};

	if (input->command || input->text)
		prompt_use_text(&options, group, recalled,
				input->command ? input->command : input->text,
				input->command != NULL);
	else
		prompt_compose(&options, group, &turn->notes, recalled, input->script_output);
}

int turn_add(struct turn *turn, struct turn_input *input, struct err *err)
{
	struct group *group = group_new(steal_ptr(input->rows), input->count, input->passed_over,
					input->passed_over_count);
	cleanup_strbuf struct strbuf recalled = STRBUF_EMPTY;
	int r;

	if (!group)
		return err_sys(err, -ENOMEM, "cannot take up messages");
	r = turn_recall(turn, group, input->claimed, &recalled, err);
	if (r == 0 && !input->claimed)
		r = turn_claim(turn, group, err);
	if (r < 0 && !input->claimed) {
		group_free(group);
		return r;
	}
	turn_compose(turn, group, input, &recalled);
	for (size_t i = 0; group->count == 0 && i < group->passed_over_count; i++)
		outbox_add_completed(turn->options.outbox, group->passed_over[i]);
	(void)outbox_commit(turn->options.outbox);
	if (group->count == 0)
		group_free(group);
	else
		groups_append(&turn->groups, group);
	return 0;
}

void turn_note(struct turn *turn, const char *text, const struct outbound_state *mark)
{
	notes_add(&turn->notes, text, mark);
}

/* Push */

bool turn_next_push(const struct turn *turn, struct turn_push *ret_push)
{
	const struct group *group = groups_unpushed(&turn->groups);

	/* A task may be woken in the midst of a command, which is alone in its turn. */
	if (!group || (turn_is_command(turn) && group != turn->groups.first))
		return false;
	*ret_push = (struct turn_push){ group->text, group->len, group->is_command };
	return true;
}

void turn_pushed(struct turn *turn, int64_t push_id)
{
	struct group *group = groups_unpushed(&turn->groups);

	if (group)
		group->push_id = push_id;
}

static void turn_rewind_to(struct turn *turn, int64_t up_to)
{
	groups_rewind(&turn->groups, up_to);
	reply_rewind(turn->reply);
}

void turn_rewind(struct turn *turn)
{
	turn_rewind_to(turn, GROUP_EVERY_PUSH);
}

/* What the agent says */

void turn_text(struct turn *turn, const char *text, size_t len)
{
	reply_text(turn->reply, text, len);
}

void turn_send_held(struct turn *turn)
{
	reply_send_held(turn->reply);
}

void turn_aside(struct turn *turn, const char *text)
{
	if (turn_is_active(turn))
		reply_aside(turn->reply, text);
}

void turn_note_sent(struct turn *turn, const char *to, const char *thread, const char *text)
{
	if (turn_is_active(turn))
		reply_note_sent(turn->reply, to, thread, text);
}

/* Commit */

static void turn_acknowledge(struct turn *turn, const struct group *group, bool failed)
{
	void (*add)(struct outbox *, const char *) =
		failed ? outbox_add_failed : outbox_add_completed;

	for (size_t i = 0; i < group->count; i++)
		add(turn->options.outbox, group->rows[i].id);
	for (size_t i = 0; i < group->passed_over_count; i++)
		outbox_add_completed(turn->options.outbox, group->passed_over[i]);
}

/*
 * Acknowledges every group pushed up to this id, and commits it together with all that the outbox
 * holds: the answers among it.
 */
static enum turn_verdict turn_finish(struct turn *turn, int64_t up_to, bool failed)
{
	struct group **link = &turn->groups.first;
	struct group_mark *earlier = NULL; /* of a group that stays */
	struct notes untold = NOTES_EMPTY;
	/* Words about background work answer nothing: what the turn has sent still counts. */
	bool answered = !turn_is_active(turn);

	while (*link) {
		struct group *group = *link;

		if (group->push_id == 0 || group->push_id > up_to) {
			if (!earlier && group->mark.key)
				earlier = &group->mark;
			link = &group->next;
			continue;
		}
		turn_acknowledge(turn, group, failed);
		if (failed)
			notes_untell(&untold, group);
		/* A mark stands for what was told before it, too. */
		if (earlier)
			group_mark_move(earlier, &group->mark);
		else if (group->mark.key)
			outbox_set_state(turn->options.outbox, group->mark.key, group->mark.value);
		groups_drop(&turn->groups, link);
		answered = true;
	}
	notes_put_back(&turn->notes, &untold);
	(void)outbox_commit(turn->options.outbox);
	if (answered) {
		reply_reset(turn->reply);
		turn->retries = 0;
		turn->tried_fresh = false;
	}
	if (!turn_is_active(turn))
		reply_forget_earlier(turn->reply);
	return turn_is_active(turn) ? TURN_GOES_ON : TURN_DONE;
}

/* Tells everybody who waits for these groups why there is no answer, unless a later result may be. */
static void turn_apologise(struct turn *turn, const struct provider_result *result,
			   const struct groups *groups)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	size_t count;
	cleanup_free const struct inbound_row **rows =
		groups_rows(groups, (int64_t)result->answered, &count);

	if (rows && notice_compose(result->error, result->text, result->retry_at_ms, &text) == 0)
		reply_to_senders(turn->reply, rows, count, true, text.data);
}

/* Queues a text that tells the agent that something was not delivered; false: it was told before. */
static bool turn_nudge(struct turn *turn)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct group *group;

	if (turn_is_command(turn))
		return false;
	if (reply_nudge(turn->reply, &text) <= 0)
		return false;
	group = group_new(NULL, 0, NULL, 0);
	if (!group)
		return false;
	group->len = text.len;
	group->text = strbuf_steal(&text);
	if (!group->text) {
		group_free(group);
		return false;
	}
	groups_append(&turn->groups, group);
	return true;
}

/* Its claim ends, so that it is taken up again; excused: what happened is not its fault. */
static void turn_give_back(struct turn *turn, const struct group *group, bool excused)
{
	for (size_t i = 0; i < group->count; i++)
		outbox_give_back(turn->options.outbox, group->rows[i].id, excused);
	for (size_t i = 0; i < group->passed_over_count; i++)
		outbox_give_back(turn->options.outbox, group->passed_over[i], excused);
}

/*
 * The agent broke off while it worked on what was pushed. All of it goes back to the inbox, from
 * where it is taken up again as after the end of a container: in the same conversation, with a word
 * on what was sent already. Only what had its last attempt has failed.
 */
static enum turn_verdict turn_broke_off(struct turn *turn, const struct provider_result *result)
{
	struct notes untold = NOTES_EMPTY;
	struct provider_result failure = *result;
	bool again = false;
	struct group *group;

	failure.answered = GROUP_EVERY_PUSH;
	/* It gets everything in order: where it has nothing yet, its start is what they share. */
	if (turn->groups.first->push_id == 0)
		groups_include_unpushed(&turn->groups);
	while ((group = groups_shift(&turn->groups)) != NULL) {
		if (group->is_last && group->push_id > 0) {
			turn_apologise(turn, &failure, &(struct groups){ group, 1 });
			turn_acknowledge(turn, group, true);
		} else {
			turn_give_back(turn, group, group->push_id == 0);
			again |= group->count > 0;
		}
		notes_untell(&untold, group);
		group_free(group);
	}
	notes_put_back(&turn->notes, &untold);
	(void)outbox_commit(turn->options.outbox);
	reply_reset(turn->reply);
	reply_forget_earlier(turn->reply);
	turn->tried_fresh = false;
	if (!again)
		turn->retries = 0;
	else if (turn->retries < CONFIG_RETRIES)
		turn->retries++;
	return again ? TURN_RETRY : TURN_DONE;
}

/* May what failed this way be tried again, and how? */
static const struct turn_recovery {
	bool later;   /* in the same conversation, after a pause */
	bool fresh;   /* at once, in a fresh conversation, one time */
	bool attempt; /* as an attempt that broke off, of which there are CONFIG_ATTEMPTS */
} turn_recoveries[] = {
	[PROVIDER_TRANSIENT] = { .later = true },
	[PROVIDER_CRASHED] = { .attempt = true },
	[PROVIDER_OUT_OF_MEMORY] = { .attempt = true },
	[PROVIDER_INVALID_SESSION] = { .fresh = true },
	[PROVIDER_TOO_LONG] = { .fresh = true },
	[PROVIDER_ERROR_COUNT - 1] = { .later = false },
};
TABLE_COVERS(turn_recoveries, PROVIDER_ERROR_COUNT);

static enum turn_verdict turn_failed(struct turn *turn, const struct provider_result *result)
{
	const struct turn_recovery *recovery = &turn_recoveries[result->error];
	int64_t answered = (int64_t)result->answered;

	log_warning("the agent failed (%s)%s%s", provider_error_name(result->error),
		    result->text_len ? ": " : "", result->text_len ? result->text : "");
	/* A late failure of something that was stopped: there is nothing to try again. */
	if (!turn_is_active(turn))
		return TURN_DONE;
	if (recovery->attempt)
		return turn_broke_off(turn, result);
	if (!reply_has_sent(turn->reply)) {
		if (recovery->later && turn->retries < CONFIG_RETRIES) {
			turn->retries++;
			turn_rewind_to(turn, answered);
			return TURN_RETRY;
		}
		if (recovery->fresh && !turn->tried_fresh) {
			turn->tried_fresh = true;
			turn_rewind(turn);
			return TURN_RETRY_FRESH;
		}
	}
	turn_apologise(turn, result, &turn->groups);
	return turn_finish(turn, answered, true);
}

enum turn_verdict turn_result(struct turn *turn, const struct provider_result *result)
{
	reply_release_held(turn->reply);
	if (result->error != PROVIDER_OK && result->answered == 0) {
		/* Work in the background failed; no message waits for it, and none may pay for it. */
		log_warning("the agent failed in the background (%s)",
			    provider_error_name(result->error));
		return turn_is_active(turn) ? TURN_GOES_ON : TURN_DONE;
	}
	if (result->error != PROVIDER_OK)
		return turn_failed(turn, result);
	reply_final(turn->reply, result->text, result->text_len);
	if (result->missing && !reply_has_sent(turn->reply) && !reply_was_answered(turn->reply) &&
	    !reply_has_undelivered(turn->reply)) {
		/* The agent may keep silent, but then it says so by a result: this is a loss. */
		turn_apologise(turn, result, &turn->groups);
		return turn_finish(turn, (int64_t)result->answered, true);
	}
	if (!result->interrupted && reply_has_undelivered(turn->reply)) {
		if (turn_nudge(turn)) {
			(void)outbox_commit(turn->options.outbox);
			return TURN_GOES_ON;
		}
		reply_rescue(turn->reply);
	}
	return turn_finish(turn, (int64_t)result->answered, false);
}

enum turn_verdict turn_broken(struct turn *turn, enum provider_error error, const char *detail)
{
	const struct provider_result result = {
		.error = error,
		.text = detail,
		.text_len = strlen(detail),
		.answered = GROUP_EVERY_PUSH,
	};

	reply_release_held(turn->reply);
	/* Of what breaks off only what was pushed is suspect; else all of it shares the failure. */
	if (!turn_recoveries[error].attempt)
		groups_include_unpushed(&turn->groups);
	return turn_failed(turn, &result);
}

void turn_give_up(struct turn *turn, const struct inbound_row *row)
{
	reply_to_senders(turn->reply, &row, 1, true, notice_given_up);
	outbox_add_failed(turn->options.outbox, row->id);
}

void turn_tell_silence(struct turn *turn, int64_t silent_ms)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	size_t count;
	cleanup_free const struct inbound_row **rows = turn_rows(turn, &count);

	if (!rows || !turn_is_active(turn) || turn->groups.first->is_last ||
	    notice_compose_silence(silent_ms, &text) < 0)
		return;
	reply_to_senders(turn->reply, rows, count, false, text.data);
	(void)outbox_commit(turn->options.outbox);
}

int64_t turn_retry_ms(const struct turn *turn)
{
	int n = turn->retries > 0 ? turn->retries - 1 : 0;

	return turn->options.config->retry_ms[n];
}

void turn_stop(struct turn *turn)
{
	groups_include_unpushed(&turn->groups);
}

enum turn_verdict turn_stopped(struct turn *turn)
{
	reply_release_held(turn->reply);
	return turn_finish(turn, GROUP_EVERY_PUSH, false);
}

void turn_end(struct turn *turn)
{
	/* The next container's answer says it again; words that no message waits for, nobody. */
	if (turn_is_active(turn))
		reply_drop_held(turn->reply);
	else
		reply_send_held(turn->reply);
}
