#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The process of an agent CLI from its start to its end: started, watched until it is ready, stopped
 * step by step, and its end explained. Knows nothing of what it says.
 */
#include "common/err.h"
#include "common/strbuf.h"
#include "runner/provider/provider.h"

struct cli_process;

struct cli_process_events {
	void (*line)(void *userdata, const char *line, size_t len);
	/* It is gone; the callback may free the process. Never from within a function of this file. */
	void (*exited)(void *userdata, enum provider_error error, const char *detail);
};

/* What is started. Strings are borrowed during the start, but for the title, which is static. */
struct cli_spec {
	const char *title; /* in front of what the log says of it */
	const char *const *argv;
	const char *const *env; /* as in struct child_spec */
	const char *missing;	/* why there is nothing to be started; NULL: there is */
	/* Do these words say that the conversation to be resumed is not there? May be NULL. */
	bool (*is_unknown_session)(const char *text);
};

/*
 * 0 also if there is no CLI to be started: `exited` says so. <0: not even the attempt was possible.
 */
int cli_process_start(const struct provider_query *query, const struct cli_spec *cli,
		      const struct cli_process_events *events, void *userdata,
		      struct cli_process **ret_process, struct err *err);
void cli_process_free(struct cli_process *process);

/* Writes what was composed. 0, or <0 and the process is given up. */
int cli_process_write(struct cli_process *process, const struct strbuf *text);

/* It is given up unless it is ready within so long. */
void cli_process_expect_ready(struct cli_process *process, int64_t within_ms);
void cli_process_is_ready(struct cli_process *process);

/* Words that explain an end that is about to come. */
void cli_process_note(struct cli_process *process, const char *words);

/* Ends it with SIGTERM, then SIGKILL; `exited` will give this reason and the words noted. */
void cli_process_give_up(struct cli_process *process, enum provider_error reason);

/* Closes its input, then SIGTERM, then SIGKILL after kill_after_ms; `exited` with PROVIDER_OK. */
void cli_process_stop(struct cli_process *process, int64_t kill_after_ms);

/* Neither given up nor stopped. */
bool cli_process_is_wanted(const struct cli_process *process);
