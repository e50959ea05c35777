#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The tasks that are scheduled. A task that repeats has a row for each time, all of one series, of
 * which one is alive: pending or paused. Fails as the functions of inbound.h do.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/store/inbound.h"

/* The longest content of a task, in bytes as they are stored, that a list is worth reading. */
#define INBOUND_TASK_CONTENT_MAX (64 * 1024)

/* The live row of a series, the one with the highest seq if there are several. */
struct inbound_task {
	int64_t rowid;	     /* for inbound_read_row() */
	char *id;	     /* of the series; of the row where it has none; never NULL */
	char *status;	     /* "pending" or "paused" */
	char *process_after; /* NULL: at once */
	char *recurrence;    /* NULL: once */
	bool is_long;	     /* its content is longer than INBOUND_TASK_CONTENT_MAX */
};

struct inbound_tasks {
	struct inbound_task *rows; /* the next one first */
	size_t count;
	int64_t total; /* what there is, which may be more than was read */
};

/* Reads no contents. At most limit of the tasks with this status; NULL: with any. */
int inbound_tasks(struct inbound *inbound, const char *status, size_t limit,
		  struct inbound_tasks *ret_tasks, struct err *err);
void inbound_tasks_deinit(struct inbound_tasks *tasks);
