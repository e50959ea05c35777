#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Processes that try to outrun whoever kills them. They hold the end of a pipe, so that its end tells
 * that all of them are gone; by themselves they give up after RACER_S seconds.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RACER_S 20

static inline int64_t racer_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Forks, and its parent is gone: no process of the line lives for longer than a fork takes. */
static inline void __attribute__((noreturn)) racer_line(void)
{
	int64_t end = racer_now() + RACER_S;

	while (racer_now() < end) {
		if (fork() > 0)
			_exit(0);
		(void)setsid();
	}
	_exit(0);
}

/* Keeps who is below it to itself, and makes one anew for each that is killed. */
static inline void __attribute__((noreturn)) racer_subreaper(void)
{
	int64_t end = racer_now() + RACER_S;

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)setsid();
	while (racer_now() < end) {
		if (fork() == 0) {
			(void)setsid();
			(void)alarm(RACER_S);
			for (;;)
				(void)pause();
		}
		(void)usleep(500);
	}
	_exit(0);
}

static inline void *racer_thread(void *data)
{
	(void)alarm(RACER_S);
	for (;;)
		(void)pause();
	return data;
}

/* Its first thread has ended, so it looks like a zombie. */
static inline void __attribute__((noreturn)) racer_headless(void)
{
	pthread_t thread;

	(void)setsid();
	if (pthread_create(&thread, NULL, racer_thread, NULL) == 0)
		(void)syscall(SYS_exit, 0);
	_exit(1);
}

/* Starts some of each kind as orphans: the caller is gone, or reaps one child that is. */
static inline void racer_start_all(int lines)
{
	for (int i = 0; i < lines; i++)
		if (fork() == 0)
			racer_line();
	if (fork() == 0)
		racer_subreaper();
	if (fork() == 0)
		racer_headless();
}
