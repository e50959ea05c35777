#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The processes around us, found through /proc without heap: our descendants, the members of a
 * group. Where /proc is missing none is found. The caller is PID 1 or a child subreaper, else who
 * loses its parent is no descendant any more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/types.h>

/* SIGCONT to a process that is stopped: else it would sleep through the signal that it got. */
void family_wake(pid_t pid);

/* Sends signo to every descendant of this process. Returns how many got it. */
size_t family_signal_descendants(int signo);

/*
 * Sends signo to everything that ends with us: as PID 1 all processes of the PID namespace (those
 * that "docker exec" brought in, too), else our descendants.
 */
void family_signal_all(int signo);

/* Is there still one of these that we may signal? As PID 1 only; else false. */
bool family_has_others(void);

/* Sends the signal on to every member of the group, with its value. 0, or -ESRCH: no member. */
int family_forward_group(const struct signalfd_siginfo *info, pid_t group);
