#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the agent's words: the blocks in them are sent to their destinations, each once
 * and in order; what stands outside is scratchpad. Remembers what reached nobody until the answer
 * is complete, so that the agent can be told, and so that no answer is lost.
 *
 * Fills the outbox; it commits only what it says it commits.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/strbuf.h"
#include "runner/outbox.h"
#include "runner/store/inbound.h"

/*
 * A complete text of the agent waits this long for the result, so that both are one transaction;
 * a tool call or the next text sends it off at once.
 */
#define REPLY_HOLD_MS 100

struct reply;

struct reply_options {
	struct loop *loop;
	struct outbound *outbound;
	struct outbox *outbox;
	const char *inbound_path;
	const struct inbound_destinations *destinations; /* as last seen; kept current */
	/* The messages being answered, in order: a heap array of the callee's, NULL out of memory. */
	const struct inbound_row **(*rows)(void *userdata, size_t *ret_count);
	void *userdata;
};

/* 0 or -ENOMEM. */
int reply_new(const struct reply_options *options, struct reply **ret_reply);
void reply_free(struct reply *reply);

/* The agent completed a text, and works on. */
void reply_text(struct reply *reply, const char *text, size_t len);
/* The process ends, and the answer with it: what is not sent yet never is. */
void reply_drop_held(struct reply *reply);
/* It began something else: what it said before is sent and committed. */
void reply_send_held(struct reply *reply);
/* What is held goes to the outbox, to be committed with what follows. */
void reply_release_held(struct reply *reply);
/* The result's text, which repeats blocks of the texts before. */
void reply_final(struct reply *reply, const char *text, size_t len);

/*
 * A tool delivers something: it counts as sent, and no block of this answer repeats its words in the
 * same place. to: the destination's name; thread: there; text: the words. NULL: there is none.
 */
void reply_note_sent(struct reply *reply, const char *to, const char *thread, const char *text);

/*
 * Something was delivered in an attempt that broke off, at messages that are taken up again: a block
 * that replies to one of these does not repeat it. Each is worth one block. to NULL: to no
 * destination of today.
 */
void reply_note_earlier(struct reply *reply, const char *to, const char *thread, const char *text);

/* All of these messages are acknowledged. */
void reply_forget_earlier(struct reply *reply);

/* Words without an address: they go to where the newest message of the turn came from. */
void reply_to_origin(struct reply *reply, const char *text);
/* The same, for words that are no answer: they don't count as sent. */
void reply_aside(struct reply *reply, const char *text);

/*
 * The same words, ours, to everybody who sent one of the rows, once each; if none of them has an
 * address, to the session's own. is_answer: the last that is said about these rows; else an aside,
 * which replies to nothing, so that nobody takes it for words of the agent.
 */
void reply_to_senders(struct reply *reply, const struct inbound_row *const *rows, size_t count,
		      bool is_answer, const char *text);

/* Has anything been sent since reply_reset()? */
bool reply_has_sent(const struct reply *reply);
/* Is every message one that is taken up again, and had something been sent for them? */
bool reply_was_answered(const struct reply *reply);
/* Was something said, since then or since the last nudge, that reached nobody? */
bool reply_has_undelivered(const struct reply *reply);

/*
 * Appends the note that tells the agent so, once an answer: 1; 0: it was told already. -ENOMEM.
 */
int reply_nudge(struct reply *reply, struct strbuf *out);
/* It is all asked for again: what reached nobody is forgotten, and another agent may be told. */
void reply_rewind(struct reply *reply);
/* Sends what reached nobody to where the message came from. */
void reply_rescue(struct reply *reply);

/* The answer is complete: forgets what belongs to it. */
void reply_reset(struct reply *reply);
