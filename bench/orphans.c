/* SPDX-License-Identifier: MIT */
/*
 * Makes COUNT orphans that die at the same moment, and prints the nanoseconds from then until PID 1
 * of its PID namespace has collected them all:
 *
 *     INIT orphans COUNT      what INIT takes
 *     orphans COUNT           as PID 1 itself: what a bare loop of waitpid takes
 *
 * Exits 1, with a line on stderr, if so many processes cannot be made, or if not all are collected
 * within a minute.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"

#define ORPHANS_MAX	  1000000
#define ORPHANS_PATIENCE  60000000000LL
#define ORPHANS_LOOK_US	  1000
#define ORPHANS_SETTLE_US 100000

/* Their parent, which ends once they are there: each waits for the end of the pipe. */
static _Noreturn void orphans_make(pid_t *pids, long count, const int *fds)
{
	char byte;

	close(fds[1]);
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			fprintf(stderr, "orphans: only %ld processes could be made\n", i);
			_exit(1);
		}
		if (pid == 0) {
			(void)!read(fds[0], &byte, 1);
			_exit(0);
		}
		pids[i] = pid;
	}
	_exit(0);
}

/*
 * Waits until they are gone. One is asked for at a time: kill(-1, 0), or a walk through /proc,
 * would hold the lock that PID 1 needs.
 */
static bool orphans_wait(const pid_t *pids, long count)
{
	long long start = clock_now_ns();

	while (clock_now_ns() - start < ORPHANS_PATIENCE) {
		while (count > 0 && kill(pids[count - 1], 0) < 0 && errno == ESRCH)
			count--;
		if (count == 0)
			return true;
		usleep(ORPHANS_LOOK_US);
	}
	return false;
}

/* As PID 1. */
static bool orphans_collect(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
	return errno == ECHILD;
}

/* Lets them die once they are there; the time that it took. */
static int orphans_run(pid_t *pids, long count)
{
	long long start;
	int fds[2], status;
	pid_t parent;

	if (pipe(fds) < 0 || (parent = fork()) < 0) {
		perror("orphans");
		return 1;
	}
	if (parent == 0)
		orphans_make(pids, count, fds);
	close(fds[0]);
	if (waitpid(parent, &status, 0) < 0 || status != 0)
		return 1;
	usleep(ORPHANS_SETTLE_US);
	start = clock_now_ns();
	close(fds[1]);
	if (!(getpid() == 1 ? orphans_collect() : orphans_wait(pids, count))) {
		fputs("orphans: some were never collected\n", stderr);
		return 1;
	}
	printf("%lld\n", clock_now_ns() - start);
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	struct rlimit limit;
	pid_t *pids;

	if (count < 1 || count > ORPHANS_MAX) {
		fputs("usage: orphans COUNT\n", stderr);
		return 64;
	}
	if (getrlimit(RLIMIT_NPROC, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NPROC, &limit);
	}
	/* The pids, from the process that makes them. */
	pids = mmap(NULL, (size_t)count * sizeof(*pids), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pids == MAP_FAILED) {
		perror("orphans");
		return 1;
	}
	return orphans_run(pids, count);
}
