#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Starts one program in a session (setsid) of its own, with pipes to its three streams, default
 * signal dispositions and nothing else of ours. What becomes of it is child.c's affair.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

/* More words than this are refused: those of the confinement and a command of ours are fewer. */
#define PROCESS_ARGV_MAX 512

enum process_stream {
	PROCESS_STDIN,
	PROCESS_STDOUT,
	PROCESS_STDERR,
	PROCESS_STREAMS,
};

struct process_spec {
	const char *self; /* our binary, which confines the program; NULL: executed directly */
	const char *role; /* of the confinement */
	const char *const *confine_words; /* more options for it, NULL-terminated; may be NULL */
	const char *const *argv;	  /* argv[0] is looked up in PATH unless it has a slash */
	const char *const *env; /* "NAME=value" to add or replace, "NAME" to remove; may be NULL */
	const char *cwd;	/* NULL: ours */
	bool has_stdin;		/* false: stdin is /dev/null */
	int notify_fd; /* through which it sends who is to hear of denied calls; 0: nobody */
};

/*
 * 0 with the pid, which dies with us (PR_SET_PDEATHSIG), and our ends of the pipes, non-blocking
 * and close-on-exec, owned by the caller (-1 for a stdin that is /dev/null); or -errno. A program
 * that cannot be executed exits with 127 (missing) or 126, and says why on its stderr.
 */
int process_start(const struct process_spec *spec, pid_t *ret_pid, int ret_fds[PROCESS_STREAMS],
		  struct err *err);
