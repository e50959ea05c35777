#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the rows that a look at the inbox found: messages go to the agent, tasks to their
 * scripts first, answers to the tools that wait for them; what can go to nobody is acknowledged, and
 * its sender told. Owns the scripts that run.
 */
#include <stdbool.h>

#include "common/err.h"
#include "runner/conversation.h"
#include "runner/inbox.h"
#include "runner/outbox.h"
#include "runner/pulse.h"
#include "runner/toolbox.h"

struct intake;

/* Everything is borrowed for the life of the intake. */
struct intake_options {
	struct loop *loop;
	struct children *children;
	const char *workspace;
	struct outbound *outbound;
	struct outbox *outbox;
	struct pulse *pulse;
	struct toolbox *toolbox;
	struct conversation *conversation;
	/* A task has ended with its script, outside of any look: there may be nothing left to do. */
	void (*look)(void *userdata);
	/*
	 * Memory ran out where a claim stands already: the loop has to end, and the next one takes the
	 * message up again.
	 */
	void (*broken)(void *userdata);
	void *userdata;
};

/* 0 or -errno. */
int intake_new(const struct intake_options *options, struct intake **ret_intake, struct err *err);
void intake_free(struct intake *intake);

/* Puts into the view what a look has to know of what was taken before. */
void intake_view(struct intake *intake, struct inbox_view *view);

/*
 * Takes what the look found; what it takes over is no longer the look's. <0: something could not be
 * claimed or acknowledged and is still due; look again.
 */
int intake_take(struct intake *intake, struct inbox_look *look, struct err *err);

/* A script runs for a claimed task. */
bool intake_is_busy(const struct intake *intake);
