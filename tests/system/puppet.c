/* SPDX-License-Identifier: MIT */
/*
 * A child for init, for what shells and Python cannot do: every signal by the kernel's number, with
 * its value; many orphans; a tracee of whoever is its parent.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* signals N: tells the next N signals, a line each: number, code, value, sender. */
static int tell_signals(int count)
{
	const uint64_t all = ~UINT64_C(0);
	siginfo_t info;

	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all)) < 0)
		return 1;
	(void)printf("ready %d\n", (int)getpid());
	for (int i = 0; i < count; i++) {
		if (syscall(SYS_rt_sigtimedwait, &all, &info, NULL, sizeof(all)) < 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		(void)printf("%d %s %d %d\n", info.si_signo,
			     info.si_code == SI_QUEUE ? "queued" : "plain",
			     info.si_code == SI_QUEUE ? info.si_value.sival_int : 0,
			     (int)info.si_pid);
	}
	return 0;
}

/* orphans N: leaves N processes behind that die at once, all together, and ends after them. */
static int leave_orphans(int count)
{
	int start[2], alive[2];
	char byte;

	if (pipe(start) < 0 || pipe(alive) < 0)
		return 1;
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			if (fork() == 0) {
				(void)close(start[1]);
				(void)!read(start[0], &byte, 1);
			}
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
	}
	(void)close(start[1]);
	(void)close(alive[1]);
	return read(alive[0], &byte, 1) == 0 ? 0 : 1;
}

/* traceme: an orphan that has init trace it. Tells when it came through. */
static int trace_me(void)
{
	int done[2];
	char byte = '?';

	if (pipe(done) < 0)
		return 1;
	if (fork() == 0) {
		pid_t parent = getpid();

		if (fork() > 0)
			_exit(0);
		while (getppid() == parent)
			(void)usleep(1000);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		(void)raise(SIGWINCH);
		(void)!write(done[1], "x", 1);
		_exit(0);
	}
	(void)wait(NULL);
	(void)close(done[1]);
	return read(done[0], &byte, 1) == 1 && byte == 'x' ? 0 : 1;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "signals") == 0)
		return tell_signals(count);
	if (argc > 1 && strcmp(argv[1], "orphans") == 0)
		return leave_orphans(count);
	if (argc > 1 && strcmp(argv[1], "traceme") == 0)
		return trace_me();
	return 64;
}
