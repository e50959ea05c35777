/* SPDX-License-Identifier: MIT */
#include "runner/provider/push-queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void push_free(struct push *push)
{
	free(push->text);
	free(push);
}

void push_queue_deinit(struct push_queue *queue)
{
	push_queue_answered(queue, UINT64_MAX);
}

/* The CLI takes a line whose UUID it has seen, in this run or one before, for a repetition. */
static int push_uuid_make(char uuid[PUSH_UUID_SIZE])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return -EIO;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4, RFC 9562 */
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(uuid, PUSH_UUID_SIZE,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]);
	return 0;
}

int push_queue_add(struct push_queue *queue, uint64_t id, const char *text, size_t len,
		   bool is_command)
{
	struct push *push = calloc(1, sizeof(*push)), **end = &queue->first;
	int r;

	if (!push)
		return -ENOMEM;
	push->id = id;
	push->len = len;
	push->is_command = is_command;
	push->text = malloc(len + 1);
	r = push->text ? push_uuid_make(push->uuid) : -ENOMEM;
	if (r < 0) {
		push_free(push);
		return r;
	}
	memcpy(push->text, text, len);
	push->text[len] = '\0';
	while (*end)
		end = &(*end)->next;
	*end = push;
	queue->newest = id;
	return 0;
}

struct push *push_queue_next(const struct push_queue *queue)
{
	struct push *push = queue->first;
	bool is_held_by_command = false;

	while (push && push->is_sent) {
		is_held_by_command |= push->is_command;
		push = push->next;
	}
	if (!push || is_held_by_command || (push->is_command && push != queue->first))
		return NULL;
	return push;
}

void push_queue_sent(struct push *push)
{
	push->is_sent = true;
	free(push->text);
	push->text = NULL;
}

uint64_t push_queue_in_flight(const struct push_queue *queue)
{
	uint64_t newest = 0;

	for (const struct push *push = queue->first; push; push = push->next)
		if (push->is_sent)
			newest = push->id;
	return newest;
}

bool push_queue_has_begun(const struct push_queue *queue)
{
	for (const struct push *push = queue->first; push; push = push->next)
		if (push->is_replayed)
			return true;
	return false;
}

static struct push *push_queue_by_uuid(const struct push_queue *queue, const char *uuid)
{
	for (struct push *push = queue->first; push; push = push->next)
		if (push->is_sent && strcmp(push->uuid, uuid) == 0)
			return push;
	return NULL;
}

void push_queue_replayed(struct push_queue *queue, const char *uuid)
{
	struct push *push = push_queue_by_uuid(queue, uuid);

	if (push)
		push->is_replayed = true;
}

static void push_queue_remove(struct push_queue *queue, struct push *push)
{
	struct push **link = &queue->first;

	while (*link != push)
		link = &(*link)->next;
	*link = push->next;
	push_free(push);
}

void push_queue_cancelled(struct push_queue *queue, const char *uuid)
{
	struct push *push = push_queue_by_uuid(queue, uuid);

	if (push)
		push_queue_remove(queue, push);
}

void push_queue_drop_unsent(struct push_queue *queue)
{
	struct push *push = queue->first;

	while (push) {
		struct push *next = push->next;

		if (!push->is_sent)
			push_queue_remove(queue, push);
		push = next;
	}
}

uint64_t push_queue_named(const struct push_queue *queue, const json_t *uuids)
{
	const json_t *uuid;
	uint64_t newest = 0;
	size_t i;

	json_array_foreach(uuids, i, uuid)
	{
		const char *text = json_string_value(uuid);
		const struct push *push = text ? push_queue_by_uuid(queue, text) : NULL;

		if (push && push->id > newest)
			newest = push->id;
	}
	return newest;
}

uint64_t push_queue_guess(const struct push_queue *queue)
{
	uint64_t replayed = 0;

	for (const struct push *push = queue->first; push; push = push->next)
		if (push->is_replayed)
			replayed = push->id;
	if (replayed > 0 || push_queue_in_flight(queue) == 0)
		return replayed;
	return queue->first->id;
}

void push_queue_answered(struct push_queue *queue, uint64_t up_to)
{
	while (queue->first && queue->first->id <= up_to)
		push_queue_remove(queue, queue->first);
}
