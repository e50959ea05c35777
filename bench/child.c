/* SPDX-License-Identifier: MIT */
#include "bench/child.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child_run(char **command, const struct child_options *options)
{
	uid_t uid = options->uid;

	/* Root enters the namespaces, an ordinary user runs the command. */
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
			       setresuid(uid, uid, uid) < 0))
		_exit(125);
	if (options->stdout_fd >= 0 && dup2(options->stdout_fd, STDOUT_FILENO) < 0)
		_exit(125);
	(void)execvp(command[0], command);
	_exit(127);
}

pid_t child_start(char **command, const struct child_options *options)
{
	unsigned long flags = SIGCHLD;
	long pid;

	if (options->is_pid1)
		flags |= CLONE_NEWPID | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
	pid = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	if (pid == 0)
		child_run(command, options);
	return (pid_t)pid;
}

int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	errno = ECANCELED;
	return status == 0 ? 0 : -1;
}
