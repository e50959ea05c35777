#pragma once
/* SPDX-License-Identifier: MIT */
/* Collects dead children, ours and those that the kernel gave us, and says how they ended. */
#include <sys/types.h>

struct reap {
	pid_t pid;
	int signo; /* what killed it; 0: it exited by itself */
	int code;  /* its exit code, or 128 + signo, as shells have it */
};

/*
 * The next dead child. A child that is stopped or traced is not dead. Never waits.
 * 1: *ret_reap holds it; REAP_ALIVE: one stopped since we trace it without knowing, and goes on
 * now; 0: none is dead now; -ECHILD: there is no child at all; or -errno.
 */
#define REAP_ALIVE 2
int reap_next(struct reap *ret_reap);

/*
 * The terminal's signal that stopped this child since this was asked last: SIGTSTP (ctrl-Z), SIGTTIN
 * or SIGTTOU (it is in the background); 0: none. It is not reaped if it is dead.
 */
int reap_suspension(pid_t pid);
