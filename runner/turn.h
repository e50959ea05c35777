#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A turn: claim → format → push → dispatch → commit. From the first claimed message until nothing
 * claimed is unanswered. Follow-ups join it; each is answered by the result that consumed it.
 *
 * The turn decides what an agent's words become; it never talks to the agent itself: the session
 * pushes what turn_next_push() gives, and hands the agent's events in.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/config.h"
#include "runner/outbox.h"
#include "runner/provider/provider.h"
#include "runner/store/inbound.h"

/*
 * With this many unanswered texts no more are handed to the agent: a flood of messages stays in the
 * inbox, in order and bounded, where /stop is still seen.
 */
#define TURN_GROUPS_MAX 8

struct turn;

struct turn_options {
	struct loop *loop;
	struct outbound *outbound;
	struct outbox *outbox;
	const struct config *config;
	const char *workspace;
	const char *inbound_path;
	const struct inbound_destinations *destinations; /* as last seen; kept current */
	const char *timezone;
};

int turn_new(const struct turn_options *options, struct turn **ret_turn);
void turn_free(struct turn *turn);

/* Something is claimed and not yet answered. */
bool turn_is_active(const struct turn *turn);
/* The message of this id is claimed and not yet answered. */
bool turn_holds(const struct turn *turn, const char *id);
/* It takes no more at present. */
bool turn_is_full(const struct turn *turn);

/* Messages to be handed to the agent as one text. */
struct turn_input {
	struct inbound_row *rows; /* taken over by turn_add(), also when it fails */
	size_t count;
	char *const *passed_over; /* see struct group */
	size_t passed_over_count;
	const json_t *script_output; /* of the only row; NULL: none */
	const char *command;	     /* the only row is this slash command; NULL: none */
	const char *text; /* what the agent is told instead of the rows; NULL: the rows */
	bool claimed;	  /* the claim stands already */
};

/*
 * Claims the rows and makes their prompt. 0; <0: the claim could not be written, nothing happened
 * and the rows are still due. Rows that cannot be rendered are acknowledged as failed by themselves.
 */
int turn_add(struct turn *turn, struct turn_input *input, struct err *err);

/*
 * A line for the agent, put before the next messages that it is given. mark: what session_state has
 * to say once they are acknowledged, of a constant key; NULL: nothing. Of several marks the last one
 * counts, so there is one key for all. text may be NULL: there is a mark alone.
 */
void turn_note(struct turn *turn, const char *text, const struct outbound_state *mark);

struct turn_push {
	const char *text;
	size_t len;
	bool is_command;
};

/* The next text that the agent has not been given; false: none, or it waits for a command's end. */
bool turn_next_push(const struct turn *turn, struct turn_push *ret_push);
/* It was given to the agent under this id. */
void turn_pushed(struct turn *turn, int64_t push_id);
/* Everything unanswered has to be given again: to another process, or after a failure. */
void turn_rewind(struct turn *turn);

/* What the agent said. */
void turn_text(struct turn *turn, const char *text, size_t len);
/* The agent began something else: what it said before is sent now. */
void turn_send_held(struct turn *turn);
/* One of its tools delivers something; see reply_note_sent(). Between turns nobody keeps count. */
void turn_note_sent(struct turn *turn, const char *to, const char *thread, const char *text);
/* Words of ours to who waits, which are no answer; with the next commit. Between turns nobody does. */
void turn_aside(struct turn *turn, const char *text);

enum turn_verdict {
	TURN_GOES_ON, /* more is unanswered, or was queued for the agent just now */
	TURN_DONE,
	TURN_RETRY,	  /* push again what there is to push, after turn_retry_ms() */
	TURN_RETRY_FRESH, /* at once, in a fresh conversation */
};

enum turn_verdict turn_result(struct turn *turn, const struct provider_result *result);
/* The agent's process ended before it answered. */
enum turn_verdict turn_broken(struct turn *turn, enum provider_error error, const char *detail);
/*
 * The agent hangs, and is about to be stopped: tells everybody who waits, unless it would be the end
 * of their last attempt. turn_broken() follows.
 */
void turn_tell_silence(struct turn *turn, int64_t silent_ms);
/* A row that is not to be tried again: tells its sender, and acknowledges it as failed. */
void turn_give_up(struct turn *turn, const struct inbound_row *row);
int64_t turn_retry_ms(const struct turn *turn);

/*
 * The user stops what was taken up so far; the agent's end of it is awaited. What is added later
 * must not be pushed before that.
 */
void turn_stop(struct turn *turn);
/* It came: every claim of what was stopped is completed, what was delivered stays. */
enum turn_verdict turn_stopped(struct turn *turn);

/* The process ends: the claims are given back, and nothing more may be said about them. */
void turn_end(struct turn *turn);
