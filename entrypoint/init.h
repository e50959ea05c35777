#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * PID 1's loop, or that of a child subreaper where PID 1 is somebody else: starts the main child,
 * passes signals on, reaps everything, starts a crashed session loop again, and brings everything
 * to an end. Once a child runs it warns and goes on, whatever fails. Sleeps until something happens.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* A job's exit code that means: nothing to do here, go on with the next job. No process of ours
 * ends with it otherwise. */
#define INIT_NEXT 79

struct init_job {
	const char *what; /* "the session loop", for the log */
	const char *name; /* its process's name; NULL: unchanged */
	/* Runs in the forked child and returns the exit code. NULL: there is no main child. */
	int (*run)(void *userdata);
	bool restarts; /* after a crash it is started again */
	/* Before that, if SIGKILL ended it: nobody of ours sent it, so memory ran out. In PID 1 itself,
	 * without heap. May be NULL. */
	void (*make_room)(void *userdata);
	/* It makes ready for the next one: its processes end with it, and within a second if they are
	 * told to. */
	bool prepares;
	bool gets_terminal;	     /* it is for a person */
	bool executes;		     /* as spawn_spec's */
	bool awaits_input;	     /* it starts when stdin has something, or ended */
	const struct init_job *next; /* what follows INIT_NEXT; may be NULL */
};

struct init_spec {
	const struct init_job *job;
	void *userdata;	  /* for job->run */
	int64_t grace_ms; /* from SIGTERM to SIGKILL; <0: no limit */
	bool to_group;	  /* signals go to the main child's process group */
};

/*
 * Runs the job to its end. signals_take() was called before. Returns the exit code: the main
 * child's, 128 + signal, or one of common/exit-code.h; or -errno with a text if not even the first
 * step was possible.
 */
int init_run(const struct init_spec *spec, struct err *err);
