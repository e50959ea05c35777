#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * --install-deps: what the project in the workspace needs, installed by the package manager that
 * its lock file is for, before the command runs. Looks at the names of files only, never into them.
 * Whether something is installed already is not asked: the agent writes where that could be seen,
 * and nothing there tells of another Node.js in the image.
 */
#include <sys/types.h>

#include "common/err.h"
#include "entrypoint/privileges.h"

/* The process that waits for the package manager; the health check looks for it. */
#define DEPENDENCIES_NAME      "agent-install"

#define DEPENDENCIES_WORDS_MAX 4

struct dependencies {
	const char *lock_file;
	const char *beside; /* the row counts only if this file is there, too; NULL: always */
	const char *words[DEPENDENCIES_WORDS_MAX]; /* the package manager's; NULL-terminated */
};

/*
 * The first row whose files the project has, as user sees them. Several lock files are warned of.
 * 0 with *ret_row, or with NULL and a text that says why nothing is to be installed; or
 * EXIT_CODE_UNAVAILABLE with a text: the package manager is not in PATH. Other exit codes: nobody
 * could look.
 */
int dependencies_find(const char *workspace, const struct privileges_user *user,
		      const struct dependencies **ret_row, struct err *err);

/*
 * In a child of PID 1: has run, in a process of its own, become the user and execute the words, and
 * waits for its end. run and all that it becomes end with this process.
 * INIT_NEXT: it is done; EXIT_CODE_UNAVAILABLE: it failed, and the log says how.
 */
int dependencies_install(const struct dependencies *row, const char *workspace,
			 int (*run)(void *userdata), void *userdata);

/*
 * In that process, with the rights that it shall have: executes the words in the workspace, without
 * input and with all output on standard error. Returns an exit code; has logged why.
 */
int dependencies_exec(const struct dependencies *row, const char *workspace, pid_t parent);
