#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Child processes of the loop: started through "agent-runner confine" in a session (setsid) of
 * their own, spoken to over non-blocking pipes, reaped here and nowhere else.
 *
 * The loop's process is a child subreaper, so what an agent's tools leave behind comes back to us;
 * children_kill_orphans() ends it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "runner/io/denied.h"
#include "runner/io/loop.h"

struct children; /* all children of one loop: SIGCHLD, reaping, orphans */
struct child;

/*
 * self: our binary, which confines each of them; NULL: they are executed directly. confine_words:
 * what it is told besides the role, NULL-terminated, borrowed; may be NULL. 0 or -errno.
 */
int children_new(struct loop *loop, const char *self, const char *const *confine_words,
		 struct children **ret_children, struct err *err);
void children_free(struct children *children);

/*
 * From now on the system calls that are denied to a child are told of: see denied.h. Where the
 * kernel cannot do it they are denied in silence.
 */
void children_tell_denied(struct children *children, denied_name_fn *name);
/* Logs how many there were since it was called last. */
void children_report_denied(struct children *children);

/*
 * Kills with SIGKILL what runs below us and is no struct child, nor below one; from now on until the
 * next child_start(), however fast it forks. The same happens by itself when the last child has ended.
 * Returns how many were signalled.
 */
size_t children_kill_orphans(struct children *children);

/* The longest that children_end() takes: hosts give the whole container half a second. */
#define CHILDREN_END_MS 100

/*
 * At the end of the process: kills all children, known or not, and all below them, and does not
 * return before they are gone, unless the kernel keeps one. No callback is called any more.
 */
void children_end(struct children *children);

struct child_events {
	/* So many bytes of stdout were read, before any line of them is handed out. May be NULL. */
	void (*output)(void *userdata, size_t n);
	/* A complete line of stdout, without its newline, NUL-terminated; valid during the call. */
	void (*line)(void *userdata, const char *line, size_t len);
	/* A line longer than line_max, of len bytes, was dropped: told at its end. May be NULL. */
	void (*overlong)(void *userdata, size_t len);
	/*
	 * It closed stdout, or stdin while bytes waited for it: unless it is about to exit it is of
	 * no use any more. May be NULL.
	 */
	void (*closed)(void *userdata);
	/*
	 * The process is gone and all its output was delivered. status as of waitpid(2). The callback
	 * may free the child. Never called from within child_start().
	 */
	void (*exited)(void *userdata, int status);
};

struct child_spec {
	const char *const *argv; /* argv[0] is looked up in PATH unless it has a slash */
	const char *const *env;	 /* "NAME=value" to add or replace, "NAME" to remove; may be NULL */
	const char *cwd;
	const char *role; /* "agent" */
	size_t line_max;  /* longest line of stdout in bytes */
	bool has_stdin;	  /* false: stdin is /dev/null */
};

#define CHILD_STDERR_TAIL (8 * 1024)

/* 0 or -errno. A program that is missing is noticed later: status 127 (126: not executable). */
int child_start(struct children *children, const struct child_spec *spec,
		const struct child_events *events, void *userdata, struct child **ret_child,
		struct err *err);

/* With so many bytes waiting no more are queued: who asks without end reads no answers. */
#define CHILD_OUTGOING_MAX (64 * 1024 * 1024)

/* Queues bytes for stdin. 0; -EPIPE: closed or gone; -ENOBUFS: it does not read; -ENOMEM. */
int child_write(struct child *child, const void *bytes, size_t n);

/* -errno with which a write to its stdin failed, for a reason that is not its own; 0: none did. */
int child_write_error(const struct child *child);

/* Closes stdin as soon as what was queued is written. */
void child_close_stdin(struct child *child);

/* Sends signo to the child's process group. */
void child_signal(struct child *child, int signo);

pid_t child_pid(const struct child *child);

/* The last CHILD_STDERR_TAIL bytes of stderr, valid UTF-8, no trailing newline; never NULL. */
const char *child_stderr_tail(const struct child *child);

/* Kills the process group with SIGKILL if it still runs (it is reaped later); accepts NULL. */
void child_free(struct child *child);
