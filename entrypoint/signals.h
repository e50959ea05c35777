#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Signals as PID 1 needs them: all 64, those that the C library keeps for itself included, so the
 * kernel is called directly. None is ever handled: all are blocked, and waited for.
 */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SIGNALS_LAST 64

/* What PID 1 does with a signal beyond passing it on. */
enum signals_kind {
	SIGNALS_FORWARD,
	SIGNALS_CHILD,	  /* SIGCHLD: ours, never passed on */
	SIGNALS_END,	  /* the end was asked for */
	SIGNALS_SUSPEND,  /* job control: we stop, too */
	SIGNALS_CONTINUE, /* job control: we were continued */
};

/*
 * Blocks every signal and gives every one its default action, whatever was inherited. The first
 * thing to do, and before the first fork: an ignored SIGCHLD makes the kernel reap for us, and
 * statuses are lost. 0 or -errno.
 */
int signals_take(void);

/* In a forked child: unblocks every signal. 0 or -errno. */
int signals_release(void);

/*
 * Waits for a blocked signal, timeout_ms at most; <0: without a limit. One call from its arrival to
 * its data. 1: it is in *ret_info; 0: none came, or the process was stopped meanwhile; or -errno.
 */
int signals_wait(int timeout_ms, siginfo_t *ret_info);

/*
 * Takes a signal that asks for the end, if one waits, before those of lower numbers, which the kernel
 * would give first. 1, 0 or -errno, as signals_wait().
 */
int signals_look_for_end(siginfo_t *ret_info);

/*
 * For who waits for something else, too: a descriptor (signalfd(2)) that is readable while a signal
 * waits for signals_wait(). Non-blocking, CLOEXEC, the caller's. 0 or -errno.
 */
int signals_open(int *ret_fd);

enum signals_kind signals_kind(int signo);

/* Was it sent by this process itself, whose pid self is (SIGPIPE from a log that nobody reads)? */
bool signals_is_own(const siginfo_t *info, pid_t self);

/*
 * Sends the signal on: a queued one (sigqueue(3)) with its value and sender. If the receiver's
 * queue is full it arrives without them. 0; -ESRCH: nobody is there; or -errno.
 */
int signals_forward(const siginfo_t *info, pid_t pid);
