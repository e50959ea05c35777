#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The process of Claude Code from its start to its end: found, started, watched until it is ready,
 * stopped step by step, and its end explained. Knows nothing of what it says.
 */
#include "common/err.h"
#include "common/strbuf.h"
#include "runner/provider/provider.h"

struct claude_process;

struct claude_process_events {
	void (*line)(void *userdata, const char *line, size_t len);
	/* It is gone; the callback may free the process. Never from within a function of this file. */
	void (*exited)(void *userdata, enum provider_error error, const char *detail);
};

/*
 * 0 also if there is no CLI to be started: `exited` says so. <0: not even the attempt was possible.
 */
int claude_process_start(const struct provider_query *query,
			 const struct claude_process_events *events, void *userdata,
			 struct claude_process **ret_process, struct err *err);
void claude_process_free(struct claude_process *process);

/* Writes what was composed. 0, or <0 and the process is given up. */
int claude_process_write(struct claude_process *process, const struct strbuf *text);

/* It is given up unless it is ready within so long. */
void claude_process_expect_ready(struct claude_process *process, int64_t within_ms);
void claude_process_is_ready(struct claude_process *process);

/* Words that explain an end that is about to come. */
void claude_process_note(struct claude_process *process, const char *words);

/* Ends it with SIGTERM, then SIGKILL; `exited` will give this reason and the words noted. */
void claude_process_give_up(struct claude_process *process, enum provider_error reason);

/* Closes its input, then SIGTERM, then SIGKILL after kill_after_ms; `exited` with PROVIDER_OK. */
void claude_process_stop(struct claude_process *process, int64_t kill_after_ms);

/* Neither given up nor stopped. */
bool claude_process_is_wanted(const struct claude_process *process);
