#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The runner's only door: what entrypoint may ask of it. Everything else below runner/ is private
 * to the runner. None of these functions needs privileges; they run after they were dropped.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct runner_options {
	const char *workspace; /* absolute path, "/workspace" in a container */
	const char *self;      /* absolute path of this binary, for children started through it */
	/*
	 * Narrows the rights of the calling process, once its configuration is read and before it
	 * opens a database or starts a child. words: the options, NULL-terminated, that its children
	 * are confined with. 0, or an exit code with a text, and the caller ends. NULL: nothing.
	 */
	int (*confine)(void *userdata, const char *const *words, struct err *err);
	/* Logs what may surprise of these rights: once, when no message waits for it. May be NULL. */
	void (*review)(void *userdata, const char *const *words);
	void *userdata;
	/* The name of a system call that its filter denies, NULL if it has none; may be NULL. */
	const char *(*call_name)(uint32_t arch, int number);
};

/*
 * The session loop: watches the inbox, drives the agent, answers, until SIGTERM or SIGINT.
 * Runs in the process that the caller gave it, single-threaded, with no signal blocked that it
 * does not block itself. Returns the process's exit code (common/exit-code.h); has logged why.
 */
int runner_session(const struct runner_options *options);

/*
 * One JSON request read from fd to its end, the answer framed on stdout. Returns the exit code.
 * An input of nothing but blanks is no request: returns -ENODATA, and the caller goes on as if
 * there had been no input.
 */
int runner_once(const struct runner_options *options, int fd);

/*
 * For a command that somebody starts by hand with an agent's rights: has options->confine told of
 * the sandbox that a session of this workspace would give its agent. Nothing else of container.json
 * counts, and one that an agent may have written not at all. 0, or an exit code with a text.
 */
int runner_confine(const struct runner_options *options, struct err *err);

/*
 * Takes the agent's keys out of the environment, for good: what runs in this process next has no
 * use for them. 0 or -ENOMEM.
 */
int runner_forget_keys(void);

/*
 * The helpers, which run beside the loop and need nothing of a start-up but open standard streams.
 * Each returns the exit code and has said why.
 */

/*
 * Carries bytes between the standard streams and the loop's socket, until either side ends.
 * EXIT_CODE_TEMPORARY: no loop is there; EXIT_CODE_FAILED: it hung up while the agent was there.
 */
int runner_mcp(const struct runner_options *options);

/* Has the host carry out a command: see ncl.h. words: what stands behind "ncl"; NULL: nothing. */
int runner_ncl(const struct runner_options *options, char *const *words);

/* Prints what a summary of the conversation has to keep; without a loop, without names. */
int runner_compact_instructions(const struct runner_options *options);

/* One health check's verdict. */
enum runner_health {
	RUNNER_HEALTH_OK,
	RUNNER_HEALTH_WARN, /* worth a line, but does not make the container unhealthy */
	RUNNER_HEALTH_FAIL,
};

struct runner_check {
	const char *name; /* stable, for --json: "inbound", "outbound", "config", "agent", … */
	const char *help; /* what it looks at, one line */
	/* Writes nothing, waits at most a few milliseconds; text says what was found. */
	enum runner_health (*run)(const struct runner_options *options, struct err *text);
};

/* The session's checks, in the order to be shown. The table is static. */
const struct runner_check *runner_checks(size_t *ret_count);
