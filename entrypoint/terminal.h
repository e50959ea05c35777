#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The controlling terminal, if we are in its foreground: handed to the main child, so that ctrl-C
 * and reading work there, and taken back. Call it with SIGTTOU blocked only: tcsetpgrp(3) from the
 * background stops its caller else.
 */
#include <stdbool.h>
#include <sys/types.h>

/* The standard stream that is our controlling terminal with us in the foreground, or -1. */
int terminal_find(void);

/* Is a standard stream our controlling terminal, whoever is in its foreground? */
bool terminal_is_there(void);

/* Makes group the foreground; 0 or -errno. fd -1: does nothing. */
int terminal_give(int fd, pid_t group);

/* Makes our own group the foreground again. */
int terminal_take(int fd);

/*
 * After the terminal's signo (SIGTSTP, SIGTTIN, SIGTTOU) stopped the child, and with the terminal
 * taken back: our own group stops as well, so that the shell above notices. Returns once it was continued, or at once where nobody could do
 * that: as PID 1, or in an orphaned process group.
 */
void terminal_suspend(int signo);
