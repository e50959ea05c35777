#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Tasks whose script decides whether the agent is woken. They are claimed already and wait here,
 * one script at a time, while chat goes on.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "runner/io/child.h"
#include "runner/io/loop.h"
#include "runner/store/inbound.h"

struct gate;

/*
 * The script of a task is done. wake: the row goes to the agent, with data (may be NULL, valid
 * during the call). False: it said so, or failed, which was logged. The callback takes the row over
 * (inbound_row_deinit); it may free the gate. Raised from the loop only.
 */
typedef void gate_fn(void *userdata, struct inbound_row *row, bool wake, const json_t *data);

int gate_new(struct loop *loop, struct children *children, const char *cwd, gate_fn *fn,
	     void *userdata, struct gate **ret_gate);
/* Kills a script that runs. */
void gate_free(struct gate *gate);

/* Queues a claimed row, which it takes over. 0 or -ENOMEM (the row stays the caller's). */
int gate_add(struct gate *gate, struct inbound_row *row);

/* The task of this id waits for its script. */
bool gate_holds(const struct gate *gate, const char *id);

/* A script runs or waits. */
bool gate_is_busy(const struct gate *gate);
