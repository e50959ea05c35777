#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The texts given to an agent and not answered yet: which may be sent now, and which a result
 * answers. Claude Code's results cannot be counted: texts pushed while a tool runs fold into that
 * turn; it names texts by UUID.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A UUID as text, and its NUL. */
#define PUSH_UUID_SIZE 37

struct push {
	struct push *next;
	uint64_t id;
	char uuid[PUSH_UUID_SIZE]; /* the wire's name for it */
	char *text;		   /* NULL once it is sent */
	size_t len;
	bool is_command;
	bool is_sent;
	bool is_replayed; /* the CLI said that it was consumed */
};

struct push_queue {
	struct push *first; /* in the order of their ids */
	uint64_t newest;    /* the highest id ever added */
};

void push_queue_deinit(struct push_queue *queue);

/* Copies the text. 0; -ENOMEM; -EIO: no random numbers for a UUID. */
int push_queue_add(struct push_queue *queue, uint64_t id, const char *text, size_t len,
		   bool is_command);

/*
 * The next push that may be sent now; NULL: none. A slash command is alone: it waits until all
 * before it is answered, and what follows waits for its result.
 */
struct push *push_queue_next(const struct push_queue *queue);
void push_queue_sent(struct push *push);

/* Is something sent and not answered? The newest of it, else 0. */
uint64_t push_queue_in_flight(const struct push_queue *queue);

/* Was something consumed that is not answered? */
bool push_queue_has_begun(const struct push_queue *queue);

/* The CLI consumed the push of this UUID; others are not ours. */
void push_queue_replayed(struct push_queue *queue, const char *uuid);
/* The CLI gave the push of this UUID up, unread. */
void push_queue_cancelled(struct push_queue *queue, const char *uuid);
/* Forgets what was never sent. */
void push_queue_drop_unsent(struct push_queue *queue);

/* The newest push among these UUIDs (an array of strings), 0 if none of them is ours. */
uint64_t push_queue_named(const struct push_queue *queue, const json_t *uuids);

/*
 * The id up to which a result answers that names no push itself: everything replayed, else the
 * oldest sent; 0: nothing was sent.
 */
uint64_t push_queue_guess(const struct push_queue *queue);
/* Removes every push up to this id. */
void push_queue_answered(struct push_queue *queue, uint64_t up_to);
