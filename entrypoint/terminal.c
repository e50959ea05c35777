/* SPDX-License-Identifier: MIT */
#include "entrypoint/terminal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

int terminal_find(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (tcgetpgrp(fd) == getpgrp())
			return fd;
	return -1;
}

bool terminal_is_there(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (tcgetpgrp(fd) >= 0)
			return true;
	return false;
}

int terminal_give(int fd, pid_t group)
{
	if (fd < 0)
		return 0;
	return tcsetpgrp(fd, group) < 0 ? -errno : 0;
}

int terminal_take(int fd)
{
	return terminal_give(fd, getpgrp());
}

void terminal_suspend(int signo)
{
	sigset_t set;

	/* The members of a pipeline stop together. */
	(void)kill(0, signo);
	/*
	 * Its default action, not SIGSTOP: the kernel leaves it out where it would be for ever. It
	 * takes place in the first of these calls.
	 */
	sigemptyset(&set);
	sigaddset(&set, signo);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}
