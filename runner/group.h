#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Messages that are given to the agent as one text, until they are answered: a group for each push.
 * A group without messages is a nudge of ours. Knows nothing of the agent or of what is written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/store/inbound.h"

/* Of a push in the eyes of a result that answers everything. */
#define GROUP_EVERY_PUSH INT64_MAX

/*
 * A key of session_state, to be set when messages are acknowledged and not before: what they told
 * the agent is told again where they are taken up again. key NULL: there is none.
 */
struct group_mark {
	const char *key; /* a constant of whoever made the mark */
	char *value;
};

struct group {
	struct group *next;
	struct inbound_row *rows;
	size_t count;
	/*
	 * Ids that are claimed and acknowledged with the rows, but not told: context that found no
	 * room, the question that a row answers.
	 */
	char **passed_over;
	size_t passed_over_count;
	char *text;
	size_t len;
	size_t note_len; /* of what the text tells besides: its beginning */
	bool is_command;
	bool is_last;		/* the last attempt at it */
	struct group_mark mark; /* of that beginning */
	int64_t push_id;	/* 0: not given to the agent */
};

/* A list, in order; { NULL, 0 } is an empty one. Owns its groups. */
struct groups {
	struct group *first;
	size_t count;
};

void groups_deinit(struct groups *groups);

/*
 * A group without a text, owned by the caller until groups_append(). Takes the rows over, also when
 * it fails; the ids are copied. NULL out of memory.
 */
struct group *group_new(struct inbound_row *rows, size_t count, char *const *passed_over,
			size_t passed_over_count);
void group_free(struct group *group);

/* *from takes the place of *to, if there is one. */
void group_mark_move(struct group_mark *to, struct group_mark *from);
void group_mark_deinit(struct group_mark *mark);

void groups_append(struct groups *groups, struct group *group);
/* Takes the first group out, for the caller; NULL: there is none. */
struct group *groups_shift(struct groups *groups);
/* Takes the group at link (&groups->first, or a group's &next) out, and frees it. */
void groups_drop(struct groups *groups, struct group **link);

/* Is the message of this id among the rows, or passed over for them? */
bool groups_hold(const struct groups *groups, const char *id);

/*
 * The rows pushed up to this id (GROUP_EVERY_PUSH: all there are), newest last: a heap array of the
 * caller's that borrows them. NULL out of memory, *ret_count is 0 then.
 */
const struct inbound_row **groups_rows(const struct groups *groups, int64_t up_to,
				       size_t *ret_count);

/* The first group that the agent was not given, NULL if there is none. */
struct group *groups_unpushed(const struct groups *groups);
/* Forgets that pushes up to this id were made; a nudge among them is dropped. */
void groups_rewind(struct groups *groups, int64_t up_to);
/* What was never pushed shares the fate of what was. */
void groups_include_unpushed(struct groups *groups);
