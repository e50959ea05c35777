#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Code whose traces stay in a process of its own: signal masks, children, terminals. cmocka's
 * asserts jump, and must not be used there: CHECK instead.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

/* In the forked function: says what is wrong, and ends it with a failure. */
#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			(void)dprintf(STDERR_FILENO, "%s:%d: not %s\n", __FILE__, __LINE__, \
				      #condition);                                          \
			return 255;                                                         \
		}                                                                           \
	} while (0)

/* Runs fn in a child and returns its wait status as shells have it. */
static inline int forked(int (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
