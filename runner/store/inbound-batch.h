#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The batch rule: which of the due rows go to the agent together. The oldest rows that wake it, at
 * most limit; what room is left goes to the most recent context rows before the last of them. No
 * row that wakes is skipped, starved or reordered by it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/store/inbound.h"

/* What the caller makes of a due row that may wake the agent, in order. */
enum inbound_pick {
	INBOUND_TAKE,	   /* into the batch */
	INBOUND_TAKE_ONLY, /* the batch is this row alone: no context, and nothing behind it */
	INBOUND_ASIDE,	   /* into the list beside the batch; does not count against the limit */
	INBOUND_LEAVE,	   /* not now */
};

struct inbound_choice {
	bool first_look; /* rows with on_wake are due too */
	size_t limit;	 /* rows of the batch, at least 1 */
	void *userdata;
	inbound_acked_fn *is_acked;
	inbound_acked_fn *is_begun; /* was it claimed before, and is it not acknowledged? */
	enum inbound_pick (*pick)(void *userdata, struct inbound_row *row);
};

struct inbound_batch {
	struct inbound_row *rows; /* in order; empty: nothing wakes the agent */
	size_t count;
	struct inbound_row *aside;
	size_t aside_count;
	char **passed_over; /* ids of context rows that found no room; to be acknowledged too */
	size_t passed_over_count;
	bool more;	     /* further rows that wake are due already */
	int64_t next_due_ms; /* real time at which a row falls due; -1: none is scheduled */
};

/* 0 with *ret_batch to be released, or <0 as the functions of inbound.h, and of is_acked. */
int inbound_batch_read(struct inbound *inbound, const struct inbound_choice *choice,
		       struct inbound_batch *ret_batch, struct err *err);
void inbound_batch_deinit(struct inbound_batch *batch);
