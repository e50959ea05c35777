/* SPDX-License-Identifier: MIT */
#include "runner/inbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "runner/config.h"
#include "runner/store/outbound-lookup.h"
#include "runner/task/script.h"

/* Answers a tool of the agent. */
#define INBOX_SYSTEM_KIND "system"

/* Kinds that are handed to the agent. */
static const char *const inbox_kinds[] = { "chat", "chat-sdk", "task", "webhook" };

/* The state of one walk through the due rows. */
struct inbox_walk {
	const struct inbox_view *view;
	struct inbox_look *look;
	size_t taken;
	bool blocked;	  /* a command waits, or the turn is full: what comes after it waits too */
	int error;	  /* <0: what a row is could not be found out, and the look fails */
	bool is_outbound; /* what failed is outbound.db */
};

static bool inbox_kind_is_known(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(inbox_kinds); i++)
		if (strcmp(kind, inbox_kinds[i]) == 0)
			return true;
	return false;
}

enum inbox_aside inbox_aside_reason(const struct inbound_row *row)
{
	if (row->given_up)
		return INBOX_GIVEN_UP;
	if (strcmp(row->kind, INBOX_SYSTEM_KIND) == 0)
		return INBOX_SYSTEM;
	if (!inbox_kind_is_known(row->kind))
		return INBOX_UNKNOWN_KIND;
	if (row->oversize)
		return INBOX_OVERSIZE;
	return strcmp(row->kind, "task") == 0 ? INBOX_TASK : INBOX_STOP;
}

static int inbox_is_acked(void *userdata, const char *id)
{
	struct inbox_walk *walk = userdata;
	int r = outbound_has_ack(walk->view->outbound, id, NULL);

	if (r == 0 && walk->view->is_held(walk->view->held_userdata, id))
		r = 1;
	walk->is_outbound = r < 0;
	return r;
}

static int inbox_is_begun(void *userdata, const char *id)
{
	struct outbound_attempt attempt = { .starts = 0 };
	struct inbox_walk *walk = userdata;
	int r = outbound_attempt(walk->view->outbound, id, &attempt, NULL);

	walk->is_outbound = r < 0;
	outbound_attempt_deinit(&attempt);
	return r;
}

/* 1: a script decides about this row; 0: none does; -ENOMEM. */
static int inbox_has_script(const struct inbound_row *row)
{
	cleanup_free char *script = NULL;

	if (strcmp(row->kind, "task") != 0)
		return 0;
	return script_text(row->content, row->content_len, &script);
}

/* A command is alone in its turn: it waits for the running one, and ends the batch before it. */
static enum inbound_pick inbox_pick_command(struct inbox_walk *walk, enum command command,
					    char **text)
{
	if (walk->view->turn_is_active || walk->taken > 0) {
		walk->blocked = true;
		return INBOUND_LEAVE;
	}
	walk->blocked = true;
	walk->look->command = command;
	walk->look->command_text = steal_ptr(*text);
	return INBOUND_TAKE_ONLY;
}

static enum inbound_pick inbox_fail(struct inbox_walk *walk, int r)
{
	walk->error = r;
	walk->blocked = true;
	return INBOUND_LEAVE;
}

/* 0, and the caller releases *ret_attempt: all zero if there was none. <0: the look has failed. */
static int inbox_attempt(struct inbox_walk *walk, struct inbound_row *row,
			 struct outbound_attempt *ret_attempt)
{
	int r;

	*ret_attempt = (struct outbound_attempt){ .starts = 0 };
	r = outbound_attempt(walk->view->outbound, row->id, ret_attempt, NULL);
	if (r < 0) {
		walk->is_outbound = true;
		(void)inbox_fail(walk, r);
		return r;
	}
	row->given_up = ret_attempt->broken >= CONFIG_ATTEMPTS;
	row->is_new = r == 0;
	return 0;
}

/* What nobody waits for may have to be handed to the agent, which takes nothing if it is full. */
static enum inbound_pick inbox_pick_system(struct inbox_walk *walk, struct inbound_row *row)
{
	__attribute__((cleanup(outbound_attempt_deinit))) struct outbound_attempt attempt;
	const struct inbox_view *view = walk->view;

	if (inbox_attempt(walk, row, &attempt) < 0)
		return INBOUND_LEAVE;
	return view->turn_is_full && !row->given_up &&
			       !view->is_awaited(view->awaited_userdata, row)
		       ? INBOUND_LEAVE
		       : INBOUND_ASIDE;
}

/*
 * A row that comes in its turn. One at which the last attempt begins is alone in it, so that it
 * takes no other message with it if it is what breaks the agent.
 */
static enum inbound_pick inbox_pick_next(struct inbox_walk *walk, const struct inbound_row *row,
					 struct outbound_attempt *attempt)
{
	bool is_last = attempt->broken == CONFIG_ATTEMPTS - 1;
	int r = 0;

	if ((is_last && walk->view->turn_is_active) ||
	    ((is_last || attempt->script_output) && walk->taken > 0)) {
		walk->blocked = true;
		return INBOUND_LEAVE;
	}
	if (!attempt->script_output)
		r = inbox_has_script(row);
	if (r < 0)
		return inbox_fail(walk, r);
	if (r > 0)
		return INBOUND_ASIDE;
	walk->taken++;
	if (!is_last && !attempt->script_output)
		return INBOUND_TAKE;
	walk->blocked = true;
	walk->look->script_output = steal_ptr(attempt->script_output);
	return INBOUND_TAKE_ONLY;
}

/* Rows with a word that may be a command, and the others, unless something before them waits. */
static enum inbound_pick inbox_pick_in_order(struct inbox_walk *walk, struct inbound_row *row,
					     enum command command, char **text)
{
	__attribute__((cleanup(outbound_attempt_deinit))) struct outbound_attempt attempt;

	if (inbox_attempt(walk, row, &attempt) < 0)
		return INBOUND_LEAVE;
	if (row->given_up)
		return INBOUND_ASIDE;
	if (command == COMMAND_CLEAR || command == COMMAND_AGENT)
		return inbox_pick_command(walk, command, text);
	/* It may be a command that the agent is about to announce. */
	if (!walk->view->commands_known && command_is_candidate(row)) {
		walk->blocked = true;
		return INBOUND_LEAVE;
	}
	return inbox_pick_next(walk, row, &attempt);
}

static enum inbound_pick inbox_pick(void *userdata, struct inbound_row *row)
{
	struct inbox_walk *walk = userdata;
	cleanup_free char *text = NULL;
	enum command command;
	int r;

	if (strcmp(row->kind, INBOX_SYSTEM_KIND) == 0)
		return inbox_pick_system(walk, row);
	if (!inbox_kind_is_known(row->kind) || row->oversize)
		return INBOUND_ASIDE;
	r = command_classify(row, walk->view->known, walk->view->userdata, &command, &text);
	if (r < 0)
		return inbox_fail(walk, r);
	if (command == COMMAND_STOP && walk->view->turn_is_active) {
		/* What follows it must not be stopped with the rest. */
		walk->blocked = true;
		return INBOUND_ASIDE;
	}
	return walk->blocked ? INBOUND_LEAVE : inbox_pick_in_order(walk, row, command, &text);
}

static int inbox_read(struct inbound *inbound, struct inbox_walk *walk, struct inbox_look *look,
		      struct err *err)
{
	const struct inbox_view *view = walk->view;
	const struct inbound_choice choice = {
		.first_look = view->first_look,
		.limit = view->limit,
		.userdata = walk,
		.is_acked = inbox_is_acked,
		.is_begun = inbox_is_begun,
		.pick = inbox_pick,
	};
	int r;

	r = inbound_destinations(inbound, &look->destinations, err);
	if (r == 0) {
		outbound_begin_reads(view->outbound);
		if (view->settled)
			settled_apply(view->settled, inbound, view->outbound);
		r = inbound_batch_read(inbound, &choice, &look->batch, err);
		if (r == 0 && view->settled)
			settled_advance(view->settled, inbound, view->outbound,
					look->batch.count > 0 || look->batch.aside_count > 0);
		outbound_end_reads(view->outbound);
	}
	if (r == 0 && look->batch.count > 0)
		r = inbound_failures(inbound, view->failures_seen, &look->failures, err);
	if (r == 0 && walk->error)
		r = err_sys(err, walk->error, "cannot read messages");
	if (r >= 0)
		return r;
	return err_prefix(err, r, "%s", walk->is_outbound ? "outbound.db" : view->inbound_path);
}

int inbox_look(const struct inbox_view *view, struct inbox_look *ret_look, struct err *err)
{
	struct inbox_look look = { .command = COMMAND_NONE };
	struct inbox_walk walk = { .view = view, .look = &look, .blocked = view->turn_is_full };
	int r;

	r = inbound_resume(view->inbound_path, view->inbound, err);
	if (r == 0)
		r = inbox_read(*view->inbound, &walk, &look, err);
	/* What has to be claimed does not wait for it: another look follows. */
	if (r == 0 && view->first_look && look.batch.count == 0)
		outbound_see_inbound(view->outbound, *view->inbound);
	/* A failure may lie in what is kept. And at a start a claim would wait while it is made ready. */
	if (r < 0 || view->first_look)
		inbound_close(steal_ptr(*view->inbound));
	else
		inbound_rest(view->inbound);
	if (r < 0) {
		inbox_look_deinit(&look);
		return r;
	}
	*ret_look = look;
	return 0;
}

void inbox_look_deinit(struct inbox_look *look)
{
	inbound_batch_deinit(&look->batch);
	inbound_destinations_deinit(&look->destinations);
	inbound_failures_deinit(&look->failures);
	free(steal_ptr(look->command_text));
	free(steal_ptr(look->script_output));
}
