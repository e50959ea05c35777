#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * From fork to exec. The child leads a process group of its own, has the terminal if it is to, no
 * signal blocked, and every signal's default action (signals_take() was called before).
 */
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct spawn_spec {
	const char *name; /* the process's name, at most 15 bytes; NULL: unchanged */
	int terminal;	  /* terminal to be handed over, or -1 */
	/*
	 * run() executes something at once, and changes no memory of ours before that our own code
	 * relies on: then the child borrows ours (vfork(2)) instead of getting a copy, and we wait
	 * for its exec. Not if it gets a terminal: Ctrl-Z in between would stop us both.
	 */
	bool executes;
	/* Runs in the child and returns its exit code; userdata is the caller's. */
	int (*run)(void *userdata);
	void *userdata;
};

/* 0, or -errno of fork(2). Only the parent returns. */
int spawn_child(const struct spawn_spec *spec, pid_t *ret_pid, struct err *err);

/* Is there a file of this name at all: at this path, or in one of PATH's folders? */
bool spawn_exists(const char *name);

/*
 * Executes argv, argv[0] looked up in PATH unless it has a slash. LISTEN_PID and WATCHDOG_PID, if
 * they named the process parent, then name this one. Returns only if it failed, after having
 * logged why: EXIT_CODE_NOT_FOUND or EXIT_CODE_NOT_EXECUTABLE.
 */
int spawn_exec(char *const *argv, pid_t parent);

/*
 * Lets the kernel kill this process when parent ends. A change of ids undoes it: call it after.
 * 0; -ESRCH: parent is gone already; or -errno.
 */
int spawn_bind_to_parent(pid_t parent);
