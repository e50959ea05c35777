#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What a hostile agent tries, one attempt a row. An attempt runs in a process of its own, does as
 * little harm as it can where it succeeds, and says "succeeded" only if it had its effect: the
 * bytes were read, the write is there, the process was reached. Nothing here is a judgement: what is
 * to be denied where stands in rows.py.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define ATTEMPT_WORKSPACE "/workspace"
/* Where the agent may write. */
#define ATTEMPT_OWN	 ATTEMPT_WORKSPACE "/agent"
#define ATTEMPT_INBOUND	 ATTEMPT_WORKSPACE "/inbound.db"
#define ATTEMPT_OUTBOUND ATTEMPT_WORKSPACE "/outbound.db"
/* Where agent.c listens for who should not get there. */
#define ATTEMPT_PORT	 8081
#define ATTEMPT_ABSTRACT "escape-foreign"
#define ATTEMPT_SQLITE	 "SQLite format 3"

enum verdict {
	VERDICT_DENIED,
	VERDICT_SUCCEEDED,
	VERDICT_ABSENT, /* this kernel, or this container, has no such thing */
};

struct outcome {
	enum verdict verdict;
	int error; /* an errno; 0: none */
	char detail[160];
};

/* Whom it is about. */
struct scene {
	const char *self; /* the path of this program */
	pid_t loop;	  /* the session loop; 0: there is none */
	int inherited;	  /* the first descriptor above stderr that was open at the start; -1 */
};

struct attempt {
	const char *name;
	const char *what;
	struct outcome (*run)(const struct scene *scene);
};

/* The tables, each ended by a row without a name. */
extern const struct attempt attempts_files[], attempts_system_files[], attempts_processes[],
	attempts_kernel[], attempts_namespaces[], attempts_privileges[], attempts_devices[],
	attempts_network[];

const struct attempt *attempt_find(const char *name);

/* Runs it in a child and writes its line of JSON. */
void attempt_run(const struct attempt *attempt, const struct scene *scene, FILE *out);
/* The same here: for who is in a child already. */
struct outcome attempt_run_here(const char *name, const struct scene *scene);

/* {"name":…,"what":…} of each attempt, a line each. */
void attempt_list(FILE *out);

/* What an attempt returns */

struct outcome outcome_succeeded(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* By errno: denied, or absent if it says that there is no such thing. */
struct outcome outcome_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Whatever errno says. */
struct outcome outcome_denied(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct outcome outcome_absent(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Of a call that returned r: failed if it is negative. */
struct outcome outcome_of(long r, const char *what);

/* Common steps */

/* Does the file begin as a database does? 1, 0, or -1 with errno. */
int attempt_reads_database(const char *path);
struct outcome attempt_read_database(const char *path);
/* Writes the text to a file that exists, in one go. 0 or -1 with errno. */
int attempt_write(const char *path, int flags, const char *text);
/* What the file holds, cut; -1 with errno. */
ssize_t attempt_read(const char *path, char *text, size_t size);
/* Writes back what the file holds: nothing changes, but the right to write is seen. */
struct outcome attempt_rewrite(const char *path);
/* Makes the file, and removes it again. */
struct outcome attempt_create(const char *path, const char *text);
/* Runs run in a child (its effect ends with it) and returns its outcome. */
struct outcome attempt_in_child(struct outcome (*run)(const struct scene *scene),
				const struct scene *scene);
/* Executes the program argv and returns the outcome in its line of JSON. */
struct outcome attempt_by_program(char *const *argv);
