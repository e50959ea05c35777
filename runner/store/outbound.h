#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * outbound.db, of which this process is the only writer in the container. Few, small transactions;
 * each function is one of them, and leaves either all of its effect or none.
 *
 * -EAGAIN: somebody holds the file, try again later. -ESTALE: another loop has taken the folder over,
 * nothing may be written any more. -ENOSPC, -EROFS, -EIO, -EBADMSG: as they are.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/store/inbound.h"

struct outbound;

/*
 * How long a commit waits for the host's readers. The loop waits meanwhile, so it is short; what is
 * refused is kept and tried again.
 */
#define OUTBOUND_BUSY_MS  100
#define OUTBOUND_HURRY_MS 30
/* The same at the start, when nothing else would be done meanwhile. */
#define OUTBOUND_START_MS 2000

/*
 * Opens the file, playing back what a killed writer left, and creates the tables and columns that
 * are missing. inbound_path: whose largest seq counts too.
 */
int outbound_open(const char *path, const char *inbound_path, struct outbound **ret_outbound,
		  struct err *err);
void outbound_close(struct outbound *outbound);

/*
 * Why nothing can be written until the file is opened anew, in words; NULL: no such reason. It may
 * have been deleted or replaced, be damaged, or lack a table.
 */
const char *outbound_lost(struct outbound *outbound);

/* The process ends: from here on nobody is waited for any longer than OUTBOUND_HURRY_MS. */
void outbound_hurry(struct outbound *outbound);

/*
 * Many outbound_has_ack() in a row are cheaper, and see one state of the file, between these two.
 * Nothing is written between them. A begin that fails costs only the time; end what was begun.
 */
void outbound_begin_reads(struct outbound *outbound);
void outbound_end_reads(struct outbound *outbound);

/*
 * Reads that wait for no lock, for who can try again later: -EAGAIN then. Ended by another call
 * with false. Nothing is written meanwhile.
 */
void outbound_wait_for_nobody(struct outbound *outbound, bool on);

/* 1: processing_ack bears this id, whatever the status; 0: it does not. */
int outbound_has_ack(struct outbound *outbound, const char *id, struct err *err);

/* A list of message ids; the strings are borrowed. */
struct outbound_ids {
	const char *const *ids;
	size_t count;
};

/*
 * Claims: status processing for all, and the turn's in_reply_to (NULL: unchanged). An attempt at
 * each of them begins.
 */
int outbound_claim(struct outbound *outbound, const struct outbound_ids *ids,
		   const char *in_reply_to, struct err *err);

/*
 * At the start: makes the folder ours, gives back the claims that a killed loop left behind, and
 * clears its tool in flight. Whoever had the folder before gets -ESTALE from now on. is_alone: nobody
 * has it, for certain; then a file in which there is nothing to clear is not written to yet. From
 * then on each statement is patient, until outbound_started(): a start that fails is a container less.
 */
int outbound_take_over(struct outbound *outbound, bool is_alone, struct err *err);
void outbound_started(struct outbound *outbound);

/* Whom to tell, once, that another loop has taken over. From within any call that gives -ESTALE. */
void outbound_on_taken(struct outbound *outbound, void (*lost)(void *userdata), void *userdata);

/* Has another loop taken over? False if it cannot be seen, though it waits as a commit does. */
bool outbound_is_taken(struct outbound *outbound);

/*
 * At an end in order: gives every claim back, so that the messages are taken up again, none of them
 * being to blame, and clears the tool in flight.
 */
int outbound_release(struct outbound *outbound, struct err *err);

/* Room for "msg-<unix ms>-<6 base-36 characters>" with another short prefix, and its NUL. */
#define OUTBOUND_ID_SIZE 48

/* A new id for a row: prefix is "msg", "task", "sys" or "cli", by what the row is about. */
void outbound_make_id(const char *prefix, char id[OUTBOUND_ID_SIZE]);

/* A row to be written to messages_out. NULL strings are null. */
struct outbound_message {
	const char *id;	  /* NULL: a new one with the prefix "msg" */
	const char *kind; /* "chat", … */
	const char *in_reply_to;
	const char *channel_type;
	const char *platform_id;
	const char *thread_id;
	const char *content; /* JSON */
};

/* A key of session_state. value NULL: it is deleted. */
struct outbound_state {
	const char *key;
	const char *value;
};

/* What one transaction writes; everything is borrowed, empty parts are left out. */
struct outbound_commit {
	const struct outbound_message *messages;
	size_t message_count;
	int64_t *ret_seqs; /* of each message, written on success; NULL: nobody asks */
	struct outbound_ids completed;
	struct outbound_ids failed;
	struct outbound_ids given_back; /* claims that end, so that the messages are due again */
	struct outbound_ids excused;	/* the same, where the message is not to blame */
	const struct outbound_state *outputs; /* of scripts, by message id */
	size_t output_count;
	const struct outbound_state *states;
	size_t state_count;
};

int outbound_commit(struct outbound *outbound, const struct outbound_commit *commit,
		    struct err *err);

/*
 * True: nobody is kept out by us. False: after a transaction a lock could not be given up, and the
 * host cannot read; to be called again until it can.
 */
bool outbound_let_go(struct outbound *outbound);

/* session_state: 1 and a heap string of the caller's; 0: no such key. */
int outbound_get_state(struct outbound *outbound, const char *key, char **ret_value,
		       struct err *err);

/*
 * Notes the largest seq that inbound.db has, if none is known: while the file cannot be read, that counts for the seq
 * of our rows. They find it out by themselves when they are written; a start has no other use for it.
 */
void outbound_see_inbound(struct outbound *outbound, struct inbound *inbound);

/*
 * What the turn in progress answers, or the last one did: OUTBOUND_IN_REPLY_TO as it was committed,
 * known without a look at the file. NULL: nothing yet. Borrowed until the next commit.
 */
const char *outbound_in_reply_to(const struct outbound *outbound);

/* The tool in flight, NULL: none. timeout_ms and started_ms (real time): -1 for unknown. */
int outbound_set_tool(struct outbound *outbound, const char *tool, int64_t timeout_ms,
		      int64_t started_ms, struct err *err);

/*
 * The continuation of a provider; adopts the key that older runners used into the provider's own
 * slot if that is empty, and deletes it. 1, 0 or <0 as outbound_get_state().
 */
int outbound_continuation(struct outbound *outbound, const char *provider, char **ret_value,
			  struct err *err);

/* Writes the session_state key of a provider's continuation into key. */
#define OUTBOUND_KEY_MAX 96
void outbound_continuation_key(const char *provider, char key[OUTBOUND_KEY_MAX]);

/* session_state key under which the in_reply_to of the turn in progress stands. */
#define OUTBOUND_IN_REPLY_TO "in_reply_to"
