#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The processes around us, found through /proc without heap: our descendants, the members of a
 * group. Where /proc is missing none is found. The caller is PID 1 or a child subreaper, else who
 * loses its parent is no descendant any more.
 */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* SIGCONT to a process that is stopped: else it would sleep through the signal that it got. */
void family_wake(pid_t pid);

/* Sends signo to every descendant of this process. Returns how many got it. */
size_t family_signal_descendants(int signo);

/* How long family_kill_descendants() takes at most, in milliseconds. */
#define FAMILY_BUSY_MS 20

/*
 * SIGKILL to every descendant, again and again until none is found, so that nobody escapes who forks
 * meanwhile. Reaps them, but never keep (0: none). Who stays ahead of it becomes our child at each
 * fork: the caller repeats this whenever a child has died.
 */
void family_kill_descendants(pid_t keep);

/*
 * Sends signo to everything that ends with us: as PID 1 all processes of the PID namespace (those
 * that "docker exec" brought in, too), else our descendants.
 */
void family_signal_all(int signo);

/* The same with SIGKILL, certain as family_kill_descendants() is. */
void family_kill_all(pid_t keep);

/* Is there still one of these that we may signal? As PID 1 only; else false. */
bool family_has_others(void);

/* Sends the signal on to every member of the group, with its value. 0, or -ESRCH: no member. */
int family_forward_group(const siginfo_t *info, pid_t group);
