/* SPDX-License-Identifier: MIT */
#include "runner/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mend.h"
#include "common/strbuf.h"
#include "runner/folders.h"
#include "runner/gate.h"
#include "runner/io/json.h"
#include "runner/undelivered.h"

struct intake {
	struct intake_options options;
	struct gate *gate;
	struct undelivered *undelivered;
	bool warmed; /* the agent was started once */
};

static void intake_break(const struct intake *intake)
{
	intake->options.broken(intake->options.userdata);
}

/* Hands one row to the agent, as input says, and takes it over. <0: it could not be claimed. */
static int intake_hand_on(struct intake *intake, struct inbound_row *row, struct turn_input *input,
			  struct err *err)
{
	input->rows = malloc(sizeof(*row));
	if (!input->rows) {
		inbound_row_deinit(row);
		intake_break(intake);
		return 0;
	}
	input->rows[0] = *row;
	input->count = 1;
	*row = (struct inbound_row){ .seq = -1 };
	return conversation_take(intake->options.conversation, input, err);
}

/* Tasks with a script */

/*
 * Another attempt at the task goes by the same output: what the script found may be there only once,
 * and the task would end without a word then.
 */
static void intake_keep_output(struct intake *intake, const char *id, const json_t *data)
{
	cleanup_free char *text =
		data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");

	if (text)
		outbox_keep_output(intake->options.outbox, id, text);
	else
		intake_break(intake);
}

static void intake_on_gate(void *userdata, struct inbound_row *row, bool wake, const json_t *data)
{
	struct intake *intake = userdata;
	struct turn_input input = { .script_output = data, .claimed = true };
	struct err err;

	if (wake) {
		/* The claim was of no turn: what tools send from now on answers this row. */
		outbox_set_state(intake->options.outbox, OUTBOUND_IN_REPLY_TO, row->id);
		intake_keep_output(intake, row->id, data);
		if (intake_hand_on(intake, row, &input, &err) < 0)
			intake_break(intake);
		return;
	}
	outbox_add_completed(intake->options.outbox, row->id);
	(void)outbox_commit(intake->options.outbox);
	inbound_row_deinit(row);
	intake->options.look(intake->options.userdata);
}

static int intake_gate_task(struct intake *intake, struct inbound_row *row, struct err *err)
{
	const char *const ids[] = { row->id };
	int r;

	r = outbound_claim(intake->options.outbound, &(struct outbound_ids){ ids, 1 }, NULL, err);
	if (r < 0)
		return r;
	pulse_start(intake->options.pulse);
	/* Its script runs in the agent's folder, which an agent may have closed. */
	(void)mend_workspace(intake->options.workspace, NULL);
	if (gate_add(intake->gate, row) < 0)
		intake_break(intake);
	return 0;
}

/* Rows beside the batch */

static int intake_take_system(struct intake *intake, struct inbound_row *row, bool stops,
			      struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_free char *question = NULL;
	struct turn_input input = { .count = 1 };
	int verdict = toolbox_take(intake->options.toolbox, row, &question, &text, err);

	if (verdict < 0)
		return verdict;
	if (verdict == TOOLBOX_LATE) {
		/* What comes with a /stop would end with it, unread; it stays due, as in a flood. */
		if (stops || conversation_is_full(intake->options.conversation))
			return 0;
		/*
		 * A question was answered when nobody waited any more: the agent is told now. The
		 * question is claimed with its answer, and given back with it, too.
		 */
		input.text = text.data;
		input.passed_over = &question;
		input.passed_over_count = 1;
		return intake_hand_on(intake, row, &input, err);
	}
	if (verdict == TOOLBOX_STRAY)
		log_info("message %s of kind system answers nothing: acknowledged", row->id);
	outbox_add_completed(intake->options.outbox, row->id);
	if (question)
		outbox_add_completed(intake->options.outbox, question);
	return 0;
}

static bool intake_is_stop(const struct inbound_row *row)
{
	/* What was handed on is no row any more. */
	return row->id && inbox_aside_reason(row) == INBOX_STOP;
}

static bool intake_has_stop(const struct inbound_batch *batch)
{
	for (size_t i = 0; i < batch->aside_count; i++)
		if (intake_is_stop(&batch->aside[i]))
			return true;
	return false;
}

/* A question whose late answer it is has its end with it. */
static int intake_give_up(struct intake *intake, const struct inbound_row *row, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_free char *question = NULL;
	int r = 0;

	if (strcmp(row->kind, "system") == 0)
		r = toolbox_take(intake->options.toolbox, row, &question, &text, err);
	if (r < 0)
		return r;
	log_warning("message %s: %d attempts at it broke off: acknowledged as failed", row->id,
		    CONFIG_ATTEMPTS);
	conversation_give_up(intake->options.conversation, row);
	if (question)
		outbox_add_completed(intake->options.outbox, question);
	return 0;
}

/* stops: a /stop came with the row. */
static int intake_set_aside(struct intake *intake, struct inbound_row *row, bool stops,
			    struct err *err)
{
	struct outbox *outbox = intake->options.outbox;
	struct route route;

	switch (inbox_aside_reason(row)) {
	case INBOX_SYSTEM:
		return intake_take_system(intake, row, stops, err);
	case INBOX_TASK:
		return intake_gate_task(intake, row, err);
	case INBOX_STOP:
		break; /* intake_stop_turn() */
	case INBOX_UNKNOWN_KIND:
		log_warning("message %s has the unknown kind \"%s\": acknowledged as failed",
			    row->id, row->kind);
		outbox_add_failed(outbox, row->id);
		break;
	case INBOX_OVERSIZE:
		log_warning("message %s has more than %d bytes: acknowledged as failed", row->id,
			    INBOUND_CONTENT_MAX);
		route_origin(row, &route);
		outbox_add_text(outbox, &route,
				"Your message is too large for me. Please send it as a file.");
		outbox_add_failed(outbox, row->id);
		break;
	case INBOX_GIVEN_UP:
		return intake_give_up(intake, row, err);
	}
	return 0;
}

static int intake_set_aside_all(struct intake *intake, struct inbound_batch *batch, struct err *err)
{
	bool stops = intake_has_stop(batch);
	int r = 0;

	for (size_t i = 0; r == 0 && i < batch->aside_count; i++)
		r = intake_set_aside(intake, &batch->aside[i], stops, err);
	/* A failed row must be on disk before what follows it. */
	if (!outbox_commit(intake->options.outbox))
		return err_set(err, -EAGAIN, "outbound.db cannot be written yet");
	return r;
}

/* A /stop ends what came before it, also what was taken up in the same look. */
static void intake_stop_turn(struct intake *intake, const struct inbound_batch *batch)
{
	for (size_t i = 0; i < batch->aside_count; i++)
		if (intake_is_stop(&batch->aside[i]))
			conversation_interrupt(intake->options.conversation, &batch->aside[i]);
}

/* The batch */

static void intake_on_note(void *userdata, const char *text, const struct outbound_state *mark)
{
	const struct intake *intake = userdata;

	conversation_note(intake->options.conversation, text, mark);
}

/* Hands the batch on. <0: it could not be claimed, and is still due. */
static int intake_take_batch(struct intake *intake, struct inbox_look *look, struct err *err)
{
	struct conversation *conversation = intake->options.conversation;
	struct inbound_batch *batch = &look->batch;
	cleanup_json json_t *output = NULL;
	struct turn_input input = {
		.rows = batch->rows,
		.count = batch->count,
		.passed_over = batch->passed_over,
		.passed_over_count = batch->passed_over_count,
		.command = look->command_text,
	};
	int r;

	/* An answer of the same look that came late has begun a turn: a command waits for its end. */
	if (look->command != COMMAND_NONE && conversation_is_active(conversation))
		return 0;
	if (look->command == COMMAND_CLEAR) {
		conversation_clear(conversation, &batch->rows[0]);
		return 0;
	}
	r = undelivered_tell(intake->undelivered, &look->failures,
			     conversation_destinations(conversation), intake_on_note, intake, err);
	if (r < 0)
		return r;
	if (look->script_output &&
	    json_parse(look->script_output, strlen(look->script_output), &output, NULL) == 0 &&
	    !json_is_null(output))
		input.script_output = output;
	batch->rows = NULL;
	batch->count = 0;
	return conversation_take(conversation, &input, err);
}

int intake_take(struct intake *intake, struct inbox_look *look, struct err *err)
{
	struct conversation *conversation = intake->options.conversation;
	int r = conversation_set_destinations(conversation, &look->destinations);
	bool handed_on = false;

	if (r < 0) {
		intake_break(intake);
		return 0;
	}
	r = intake_set_aside_all(intake, &look->batch, err);
	if (r == 0 && look->batch.count > 0) {
		r = intake_take_batch(intake, look, err);
		handed_on = r == 0;
	}
	/*
	 * The agent starts before there is anything for it, and again, if it ended meanwhile and what
	 * waits may be a command that only it knows. What there is starts it by itself, once it is
	 * claimed.
	 */
	if (!handed_on &&
	    (!intake->warmed || (look->batch.more && !conversation_is_active(conversation))))
		conversation_warm(conversation);
	intake->warmed = true;
	if (r == 0)
		intake_stop_turn(intake, &look->batch);
	return r;
}

static bool intake_holds(void *userdata, const char *id)
{
	const struct intake *intake = userdata;

	return conversation_holds(intake->options.conversation, id) || gate_holds(intake->gate, id);
}

void intake_view(struct intake *intake, struct inbox_view *view)
{
	struct conversation *conversation = intake->options.conversation;

	view->turn_is_active = conversation_is_active(conversation);
	view->turn_is_full = conversation_is_full(conversation);
	view->commands_known = intake->warmed && conversation_knows_commands(conversation);
	view->known = conversation_has_command;
	view->userdata = conversation;
	view->is_awaited = toolbox_is_awaited;
	view->awaited_userdata = intake->options.toolbox;
	view->is_held = intake_holds;
	view->held_userdata = intake;
	view->failures_seen = undelivered_seen(intake->undelivered);
}

bool intake_is_busy(const struct intake *intake)
{
	return gate_is_busy(intake->gate);
}

/* Its life */

static int intake_make_gate(struct intake *intake)
{
	const struct intake_options *o = &intake->options;
	cleanup_free char *cwd = folders_find_working(o->workspace, FOLDERS_AGENT);

	return cwd ? gate_new(o->loop, o->children, cwd, intake_on_gate, intake, &intake->gate)
		   : -ENOMEM;
}

int intake_new(const struct intake_options *options, struct intake **ret_intake, struct err *err)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	int r;

	if (!intake)
		return err_sys(err, -ENOMEM, "cannot start the session");
	intake->options = *options;
	r = intake_make_gate(intake);
	if (r < 0)
		err_sys(err, r, "cannot start the session");
	else
		r = undelivered_new(options->outbound, &intake->undelivered, err);
	if (r < 0) {
		intake_free(intake);
		return r;
	}
	*ret_intake = intake;
	return 0;
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	gate_free(intake->gate);
	undelivered_free(intake->undelivered);
	free(intake);
}
