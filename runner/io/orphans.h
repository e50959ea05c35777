#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What runs below this process, a child subreaper, and is nobody's: found through /proc. The list of
 * our own children (proc_pid_children(5), a kernel option) is quick to read, that of all processes
 * leaves none out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How long one call takes at most, in milliseconds; the loop waits meanwhile. */
#define ORPHANS_BUSY_MS 20

/*
 * Sends SIGKILL to each descendant but the children that is_known() knows, and theirs, and reaps
 * those that are our children. Looks again until there is none: from the moment that it has its
 * SIGKILL a process forks no more, so each look leaves fewer. Returns how many were signalled.
 *
 * A process that forks and exits faster than it can be looked for may stay ahead of one call, but
 * each of its parents becomes our child and dies: the caller repeats this at each such SIGCHLD.
 */
size_t orphans_kill(bool (*is_known)(void *userdata, pid_t pid), void *userdata);
