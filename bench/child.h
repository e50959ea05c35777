#pragma once
/* SPDX-License-Identifier: MIT */
/* Children whose time is taken: started by a plain fork, so that nothing is between us and exec. */
#include <stdbool.h>
#include <sys/types.h>

struct child_options {
	uid_t uid;     /* whom the command runs as, if we are root */
	bool is_pid1;  /* of a new PID namespace */
	int stdout_fd; /* -1: ours */
};

/* Its pid, or -1 with errno. The child exits with 125 or 127 if it cannot execute the command. */
pid_t child_start(char **command, const struct child_options *options);

/* Waits for its end: 0 if it ended with 0, else -1 with errno, ECANCELED if it ended otherwise. */
int child_wait(pid_t pid);
