/* SPDX-License-Identifier: MIT */
#include "runner/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/message/content.h"

/* A list of heap strings. */
struct outbox_ids {
	char **ids;
	size_t count;
};

/* Keys and their values; every string is ours. */
struct outbox_states {
	struct outbound_state *states;
	size_t count;
};

/* Who is told when a row is on disk. */
struct outbox_receipt {
	outbox_written_fn *written; /* NULL: nobody */
	void *userdata;
	int64_t seq;
};

/* What the next transaction writes. */
struct outbox_batch {
	struct outbound_message *messages; /* every string in it is ours */
	struct outbox_receipt *receipts;   /* as many */
	size_t message_count;
	struct outbox_ids completed;
	struct outbox_ids failed;
	struct outbox_ids given_back;
	struct outbox_ids excused;
	struct outbox_states states;
	struct outbox_states outputs;
};

struct outbox {
	struct outbox_batch batch;
	struct outbox_receipt *told; /* on disk, and about to be told */
	size_t told_count;
	struct outbound *outbound;
	struct loop_timer *retry;
	struct loop_timer *soon;
	struct outbox_events events;
	void *userdata;
	bool refused; /* said once, until it works again */
	bool broken;
};

/* The rows hold const strings because outbound.db only reads them. */
static void outbox_free_const(const char *text)
{
	free((char *)(uintptr_t)text);
}

static void outbox_message_deinit(struct outbound_message *message)
{
	outbox_free_const(message->id);
	outbox_free_const(message->kind);
	outbox_free_const(message->in_reply_to);
	outbox_free_const(message->channel_type);
	outbox_free_const(message->platform_id);
	outbox_free_const(message->thread_id);
	outbox_free_const(message->content);
}

static void outbox_ids_deinit(struct outbox_ids *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->ids[i]);
	free(list->ids);
	*list = (struct outbox_ids){ .ids = NULL };
}

static void outbox_states_deinit(struct outbox_states *list)
{
	for (size_t i = 0; i < list->count; i++) {
		outbox_free_const(list->states[i].key);
		outbox_free_const(list->states[i].value);
	}
	free(list->states);
}

static void outbox_clear(struct outbox_batch *batch)
{
	for (size_t i = 0; i < batch->message_count; i++)
		outbox_message_deinit(&batch->messages[i]);
	free(batch->messages);
	free(batch->receipts);
	outbox_ids_deinit(&batch->completed);
	outbox_ids_deinit(&batch->failed);
	outbox_ids_deinit(&batch->given_back);
	outbox_ids_deinit(&batch->excused);
	outbox_states_deinit(&batch->states);
	outbox_states_deinit(&batch->outputs);
	*batch = (struct outbox_batch){ .messages = NULL };
}

/* A lock that could not be given up after a commit, a claim's among them, is tried again. */
static void outbox_let_go(struct outbox *outbox)
{
	if (!outbound_let_go(outbox->outbound))
		loop_timer_arm(outbox->retry, OUTBOX_LOCKED_MS);
}

/* Also armed when somebody else's commit succeeded: `drained` is raised from the loop. */
static void outbox_on_retry(void *userdata)
{
	struct outbox *outbox = userdata;

	if (!outbox_flush(outbox))
		return;
	loop_timer_disarm(outbox->retry);
	outbox_let_go(outbox);
	outbox->events.drained(outbox->userdata);
}

/* Tells who waited for rows that are on disk; they may queue more, and forget each other. */
static void outbox_tell(struct outbox *outbox)
{
	for (size_t i = 0; i < outbox->told_count; i++) {
		const struct outbox_receipt receipt = outbox->told[i];

		if (receipt.written)
			receipt.written(receipt.userdata, receipt.seq);
	}
	outbox->told_count = 0;
}

static void outbox_on_soon(void *userdata)
{
	struct outbox *outbox = userdata;

	(void)outbox_commit(outbox);
	outbox_tell(outbox);
}

int outbox_new(struct loop *loop, struct outbound *outbound, const struct outbox_events *events,
	       void *userdata, struct outbox **ret_outbox)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	int r;

	if (!outbox)
		return -ENOMEM;
	outbox->outbound = outbound;
	outbox->events = *events;
	outbox->userdata = userdata;
	r = loop_timer_new(loop, outbox_on_retry, outbox, &outbox->retry);
	if (r == 0)
		r = loop_timer_new(loop, outbox_on_soon, outbox, &outbox->soon);
	if (r < 0) {
		outbox_free(outbox);
		return r;
	}
	*ret_outbox = outbox;
	return 0;
}

void outbox_free(struct outbox *outbox)
{
	if (!outbox)
		return;
	outbox_clear(&outbox->batch);
	free(outbox->told);
	loop_timer_free(outbox->retry);
	loop_timer_free(outbox->soon);
	free(outbox);
}

bool outbox_is_empty(const struct outbox *outbox)
{
	const struct outbox_batch *batch = &outbox->batch;

	return batch->message_count == 0 && batch->completed.count == 0 &&
	       batch->failed.count == 0 && batch->given_back.count == 0 &&
	       batch->excused.count == 0 && batch->states.count == 0 && batch->outputs.count == 0;
}

static void outbox_break(struct outbox *outbox)
{
	if (outbox->broken)
		return;
	outbox->broken = true;
	outbox->events.broken(outbox->userdata);
}

/* A copy of a string that may be NULL; *failed is set when memory ran out. */
static char *outbox_copy(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

/* A deep copy; on failure what was copied is freed. */
static int outbox_copy_message(const struct outbound_message *message,
			       struct outbound_message *ret_copy)
{
	bool failed = false;
	struct outbound_message copy = {
		.id = outbox_copy(message->id, &failed),
		.kind = outbox_copy(message->kind, &failed),
		.in_reply_to = outbox_copy(message->in_reply_to, &failed),
		.channel_type = outbox_copy(message->channel_type, &failed),
		.platform_id = outbox_copy(message->platform_id, &failed),
		.thread_id = outbox_copy(message->thread_id, &failed),
		.content = outbox_copy(message->content, &failed),
	};

	if (failed) {
		outbox_message_deinit(&copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

/* Makes room for one message more. 0 or -ENOMEM. */
static int outbox_grow(struct outbox_batch *batch)
{
	size_t n = batch->message_count + 1;
	struct outbound_message *messages = reallocarray(batch->messages, n, sizeof(*messages));
	struct outbox_receipt *receipts;

	if (!messages)
		return -ENOMEM;
	batch->messages = messages;
	receipts = reallocarray(batch->receipts, n, sizeof(*receipts));
	if (!receipts)
		return -ENOMEM;
	batch->receipts = receipts;
	return 0;
}

void outbox_add_message(struct outbox *outbox, const struct outbound_message *message,
			outbox_written_fn *written, void *userdata)
{
	struct outbox_batch *batch = &outbox->batch;
	size_t i = batch->message_count;

	if (outbox_grow(batch) < 0 || outbox_copy_message(message, &batch->messages[i]) < 0) {
		outbox_break(outbox);
		return;
	}
	batch->receipts[i] = (struct outbox_receipt){ written, userdata, 0 };
	batch->message_count++;
}

void outbox_add_text(struct outbox *outbox, const struct route *route, const char *text)
{
	cleanup_free char *content = NULL;
	struct outbound_message message = {
		.kind = "chat",
		.in_reply_to = route->in_reply_to,
		.channel_type = route->channel_type,
		.platform_id = route->platform_id,
		.thread_id = route->thread_id,
	};

	if (content_of_text(text, strlen(text), &content) < 0) {
		outbox_break(outbox);
		return;
	}
	message.content = content;
	outbox_add_message(outbox, &message, NULL, NULL);
}

static void outbox_forget_in(struct outbox_receipt *receipts, size_t count, const void *userdata)
{
	for (size_t i = 0; i < count; i++)
		if (receipts[i].userdata == userdata)
			receipts[i].written = NULL;
}

void outbox_forget(struct outbox *outbox, const void *userdata)
{
	outbox_forget_in(outbox->batch.receipts, outbox->batch.message_count, userdata);
	outbox_forget_in(outbox->told, outbox->told_count, userdata);
}

static void outbox_add_id(struct outbox *outbox, struct outbox_ids *list, const char *id)
{
	char **ids = reallocarray(list->ids, list->count + 1, sizeof(*ids));
	char *copy = strdup(id);

	if (ids)
		list->ids = ids;
	if (!ids || !copy) {
		free(copy);
		outbox_break(outbox);
		return;
	}
	ids[list->count++] = copy;
}

void outbox_add_completed(struct outbox *outbox, const char *id)
{
	outbox_add_id(outbox, &outbox->batch.completed, id);
}

void outbox_add_failed(struct outbox *outbox, const char *id)
{
	outbox_add_id(outbox, &outbox->batch.failed, id);
}

void outbox_give_back(struct outbox *outbox, const char *id, bool excused)
{
	outbox_add_id(outbox, excused ? &outbox->batch.excused : &outbox->batch.given_back, id);
}

bool outbox_has_completed(const struct outbox *outbox, const char *id)
{
	const struct outbox_ids *list = &outbox->batch.completed;

	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->ids[i], id) == 0)
			return true;
	return false;
}

/* The place of this key, a new one if it has none. NULL out of memory. */
static struct outbound_state *outbox_find_state(struct outbox_states *list, const char *key)
{
	struct outbound_state *states;
	char *copy;

	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->states[i].key, key) == 0)
			return &list->states[i];
	states = reallocarray(list->states, list->count + 1, sizeof(*states));
	if (!states)
		return NULL;
	list->states = states;
	copy = strdup(key);
	if (!copy)
		return NULL;
	states[list->count] = (struct outbound_state){ .key = copy };
	return &states[list->count++];
}

static void outbox_set(struct outbox *outbox, struct outbox_states *list, const char *key,
		       const char *value)
{
	bool failed = false;
	char *copy = outbox_copy(value, &failed);
	struct outbound_state *state = failed ? NULL : outbox_find_state(list, key);

	if (!state) {
		free(copy);
		outbox_break(outbox);
		return;
	}
	outbox_free_const(state->value);
	state->value = copy;
}

void outbox_set_state(struct outbox *outbox, const char *key, const char *value)
{
	outbox_set(outbox, &outbox->batch.states, key, value);
}

void outbox_keep_output(struct outbox *outbox, const char *id, const char *output)
{
	outbox_set(outbox, &outbox->batch.outputs, id, output);
}

/* Puts the receipts of the batch, which is on disk, where they are told from. */
static void outbox_note_written(struct outbox *outbox, const int64_t *seqs)
{
	const struct outbox_batch *batch = &outbox->batch;

	for (size_t i = 0; i < batch->message_count; i++) {
		struct outbox_receipt receipt = batch->receipts[i], *told;

		if (!receipt.written)
			continue;
		receipt.seq = seqs[i];
		told = reallocarray(outbox->told, outbox->told_count + 1, sizeof(*told));
		if (!told) {
			outbox_break(outbox);
			return;
		}
		outbox->told = told;
		told[outbox->told_count++] = receipt;
		/* Not from within: whoever commits is in the midst of something else. */
		loop_timer_arm(outbox->soon, 0);
	}
}

static struct outbound_ids outbox_borrow(const struct outbox_ids *list)
{
	return (struct outbound_ids){ (const char *const *)list->ids, list->count };
}

/* One transaction of the batch. 0, -ENOMEM, or as outbound_commit(). */
static int outbox_write(struct outbox *outbox, struct err *err)
{
	const struct outbox_batch *batch = &outbox->batch;
	cleanup_free int64_t *seqs = calloc(batch->message_count + 1, sizeof(*seqs));
	const struct outbound_commit commit = {
		.messages = batch->messages,
		.message_count = batch->message_count,
		.ret_seqs = seqs,
		.completed = outbox_borrow(&batch->completed),
		.failed = outbox_borrow(&batch->failed),
		.given_back = outbox_borrow(&batch->given_back),
		.excused = outbox_borrow(&batch->excused),
		.states = batch->states.states,
		.state_count = batch->states.count,
		.outputs = batch->outputs.states,
		.output_count = batch->outputs.count,
	};
	int r;

	if (!seqs)
		return err_sys(err, -ENOMEM, "cannot write outbound.db");
	r = outbound_commit(outbox->outbound, &commit, err);
	if (r == 0)
		outbox_note_written(outbox, seqs);
	return r;
}

bool outbox_commit(struct outbox *outbox)
{
	return !outbox->refused && outbox_flush(outbox);
}

bool outbox_flush(struct outbox *outbox)
{
	struct err err;
	int r;

	if (outbox->broken)
		return false;
	if (outbox_is_empty(outbox)) {
		outbox_let_go(outbox);
		return true;
	}
	r = outbox_write(outbox, &err);
	/* The folder is another loop's; ours ends. */
	if (r == -ESTALE)
		return false;
	if (r < 0) {
		/* Held by somebody for long is odd; all else is a fault that needs a hand. */
		if (!outbox->refused)
			log_write(r == -EAGAIN ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
				  "%s; kept, and tried again", err.text);
		outbox->refused = true;
		if (outbox->events.refused)
			outbox->events.refused(outbox->userdata);
		loop_timer_arm(outbox->retry, r == -EAGAIN ? OUTBOX_LOCKED_MS : OUTBOX_RETRY_MS);
		return false;
	}
	if (outbox->refused) {
		log_info("outbound.db can be written again: nothing was lost");
		loop_timer_arm(outbox->retry, 0);
	}
	outbox->refused = false;
	outbox_clear(&outbox->batch);
	outbox_let_go(outbox);
	return true;
}

void outbox_commit_soon(struct outbox *outbox)
{
	/* While the disk refuses, the retry has its own pace. */
	if (!outbox->refused)
		loop_timer_arm(outbox->soon, 0);
}
