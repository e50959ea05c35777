#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A copy of a regular file, made by the loop a chunk at a time, so that a large one keeps nothing
 * else waiting. It has its name only once all of it is on disk; a failed or cancelled one leaves
 * nothing behind, and what a killed one leaves can be swept. A source that changes while it is
 * copied is an error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "runner/io/loop.h"

/* How much is copied between two looks of the loop at everything else. */
#define COPY_CHUNK (1024 * 1024)

struct copy;

/* Everything is borrowed; name until copy_start() returns, the descriptors until copy_free(). */
struct copy_job {
	int source;	  /* a regular file, open for reading; its offset does not matter */
	int folder;	  /* open for reading: where the copy goes */
	const char *name; /* what it is called there, of the caller's making: no '/' */
	mode_t mode;	  /* the copy's permissions, less the umask */
};

struct copy_events {
	/* Once, from the loop: 0, or -errno and err says why. The copy may be freed there. */
	void (*done)(void *userdata, int result, const struct err *err);
	/* After each chunk; NULL: nobody wants to know. The copy may be freed there. */
	void (*progress)(void *userdata, int64_t bytes, int64_t total);
};

/*
 * Starts it; a file of this name is replaced at its end, and a symbolic link is never followed.
 * events is copied. 0; -EINVAL: the source is no regular file; or -errno: nothing was begun.
 */
int copy_start(struct loop *loop, const struct copy_job *job, const struct copy_events *events,
	       void *userdata, struct copy **ret_copy, struct err *err);

/* Cancels what is not done. Accepts NULL. */
void copy_free(struct copy *copy);

/* Is it what a copy is called before it has its name? No other file may be. */
bool copy_is_temporary(const char *name);

/*
 * Removes from a folder what copies have left there whose process was killed: how many. One that is
 * under way, in this process or in another one, stays. So does a file that is among many.
 */
size_t copy_sweep(int folder);
