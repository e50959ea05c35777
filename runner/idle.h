#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How long there has been nothing to do, and what then: the agent is ended after one time, the
 * container after another. Owns the two timers; ends nothing itself.
 */
#include <stdint.h>

#include "runner/io/loop.h"

struct idle;

/*
 * Time is up. 0: it is seen to. -EBUSY: something has to end first, to be asked for again after as
 * long a time. Raised from the loop only.
 */
typedef int idle_fn(void *userdata);

struct idle_options {
	struct loop *loop;
	int64_t agent_ms; /* 0: never */
	int64_t exit_ms;  /* 0: never */
	idle_fn *agent, *exit;
	void *userdata;
};

/* 0 or -errno. It begins busy. */
int idle_new(const struct idle_options *options, struct idle **ret_idle);
void idle_free(struct idle *idle);

/* There is nothing to do: since now, if it was not so before. */
void idle_begin(struct idle *idle);

/* Something was done that no message had asked for: the times count from now. */
void idle_restart(struct idle *idle);

/* There is something to do. */
void idle_end(struct idle *idle);
