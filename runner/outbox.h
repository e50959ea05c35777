#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What is to be written to outbound.db as one transaction: answers, acknowledgements, state.
 * Collected here while a turn goes on; kept, joined by what comes later and tried again by a timer
 * while the disk refuses. Nothing in it is lost before it is committed.
 *
 * If memory runs out while something is added, the outbox is broken: it commits nothing any more,
 * and the session loop has to end, so that the messages are taken up again by the next one.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "runner/io/loop.h"
#include "runner/message/route.h"
#include "runner/store/outbound.h"

/* How often a refused commit is tried again: where the disk is at fault, or only a lock is held. */
#define OUTBOX_RETRY_MS	 1000
#define OUTBOX_LOCKED_MS 100

struct outbox;

struct outbox_events {
	/* What had been refused is now written. Raised from the loop, once. */
	void (*drained)(void *userdata);
	void (*broken)(void *userdata); /* out of memory */
	/* A commit was refused, and is kept; may be NULL. */
	void (*refused)(void *userdata);
};

int outbox_new(struct loop *loop, struct outbound *outbound, const struct outbox_events *events,
	       void *userdata, struct outbox **ret_outbox);
void outbox_free(struct outbox *outbox);

/* Told once, from the loop, when the row is on disk, with its seq. */
typedef void outbox_written_fn(void *userdata, int64_t seq);

/* All of them copy what they are given; nothing is written before outbox_commit(). */
void outbox_add_text(struct outbox *outbox, const struct route *route, const char *text);
/* Any row. written may be NULL: nobody is told. */
void outbox_add_message(struct outbox *outbox, const struct outbound_message *message,
			outbox_written_fn *written, void *userdata);
/* Whoever asked for this with outbox_add_message() is not to be told any more. */
void outbox_forget(struct outbox *outbox, const void *userdata);
void outbox_add_completed(struct outbox *outbox, const char *id);
void outbox_add_failed(struct outbox *outbox, const char *id);
/* Its claim ends, so that it is due again; excused: the message is not to blame for it. */
void outbox_give_back(struct outbox *outbox, const char *id, bool excused);
/* What the script of this task put out, a JSON text, until the task is acknowledged. */
void outbox_keep_output(struct outbox *outbox, const char *id, const char *output);
/* It was added as completed, and waits to be written. */
bool outbox_has_completed(const struct outbox *outbox, const char *id);
/* Of one key the last value counts; NULL deletes it. */
void outbox_set_state(struct outbox *outbox, const char *key, const char *value);

/*
 * True: written, or nothing was there. False: refused; it is tried again by itself, and not before:
 * each try may have to wait for a lock.
 */
bool outbox_commit(struct outbox *outbox);
/* The same, and tried at once: the process is about to end. */
bool outbox_flush(struct outbox *outbox);

/* Commits when the loop comes round: what several clients ask for at once is one transaction. */
void outbox_commit_soon(struct outbox *outbox);

/* Nothing waits to be written. */
bool outbox_is_empty(const struct outbox *outbox);
