/* SPDX-License-Identifier: MIT */
#include "runner/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "runner/message/content.h"

/* A list of heap strings. */
struct outbox_ids {
	char **ids;
	size_t count;
};

/* What the next transaction writes. */
struct outbox_batch {
	struct outbound_message *messages; /* every string in it is ours */
	size_t message_count;
	struct outbox_ids completed;
	struct outbox_ids failed;
	char *state_key;
	char *state_value;
};

struct outbox {
	struct outbox_batch batch;
	struct outbound *outbound;
	struct loop_timer *retry;
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

static void outbox_clear(struct outbox_batch *batch)
{
	for (size_t i = 0; i < batch->message_count; i++)
		outbox_message_deinit(&batch->messages[i]);
	free(batch->messages);
	outbox_ids_deinit(&batch->completed);
	outbox_ids_deinit(&batch->failed);
	free(batch->state_key);
	free(batch->state_value);
	*batch = (struct outbox_batch){ .messages = NULL };
}

/* Also armed when somebody else's commit succeeded: `drained` is raised from the loop. */
static void outbox_on_retry(void *userdata)
{
	struct outbox *outbox = userdata;

	if (!outbox_commit(outbox))
		return;
	loop_timer_disarm(outbox->retry);
	outbox->events.drained(outbox->userdata);
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
	if (r < 0) {
		free(outbox);
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
	loop_timer_free(outbox->retry);
	free(outbox);
}

bool outbox_is_empty(const struct outbox *outbox)
{
	const struct outbox_batch *batch = &outbox->batch;

	return batch->message_count == 0 && batch->completed.count == 0 &&
	       batch->failed.count == 0 && !batch->state_key;
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

void outbox_add_text(struct outbox *outbox, const struct route *route, const char *text)
{
	struct outbox_batch *batch = &outbox->batch;
	struct outbound_message *messages, message = { .kind = "chat" };
	bool failed = false;
	char *content = NULL;

	messages = reallocarray(batch->messages, batch->message_count + 1, sizeof(*messages));
	if (messages)
		batch->messages = messages;
	if (!messages || content_of_text(text, strlen(text), &content) < 0) {
		outbox_break(outbox);
		return;
	}
	message.content = content;
	message.in_reply_to = outbox_copy(route->in_reply_to, &failed);
	message.channel_type = outbox_copy(route->channel_type, &failed);
	message.platform_id = outbox_copy(route->platform_id, &failed);
	message.thread_id = outbox_copy(route->thread_id, &failed);
	if (failed) {
		outbox_message_deinit(&message);
		outbox_break(outbox);
		return;
	}
	messages[batch->message_count++] = message;
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

void outbox_set_state(struct outbox *outbox, const char *key, const char *value)
{
	struct outbox_batch *batch = &outbox->batch;
	bool failed = false;
	char *new_key = outbox_copy(key, &failed);
	char *new_value = outbox_copy(value, &failed);

	if (failed) {
		free(new_key);
		free(new_value);
		outbox_break(outbox);
		return;
	}
	free(batch->state_key);
	free(batch->state_value);
	batch->state_key = new_key;
	batch->state_value = new_value;
}

bool outbox_commit(struct outbox *outbox)
{
	const struct outbox_batch *batch = &outbox->batch;
	const struct outbound_commit commit = {
		.messages = batch->messages,
		.message_count = batch->message_count,
		.completed = { (const char *const *)batch->completed.ids, batch->completed.count },
		.failed = { (const char *const *)batch->failed.ids, batch->failed.count },
		.state_key = batch->state_key,
		.state_value = batch->state_value,
	};
	struct err err;
	int r;

	if (outbox->broken)
		return false;
	if (outbox_is_empty(outbox))
		return true;
	r = outbound_commit(outbox->outbound, &commit, &err);
	if (r < 0) {
		/* Held by somebody for long is odd; all else is a fault that needs a hand. */
		if (!outbox->refused)
			log_write(r == -EAGAIN ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
				  "%s; kept, and tried again every second", err.text);
		outbox->refused = true;
		loop_timer_arm(outbox->retry, OUTBOX_RETRY_MS);
		return false;
	}
	outbox_clear(&outbox->batch);
	if (outbox->refused) {
		log_info("outbound.db can be written again: nothing was lost");
		loop_timer_arm(outbox->retry, 0);
	}
	outbox->refused = false;
	return true;
}
