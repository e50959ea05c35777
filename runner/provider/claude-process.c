/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/provider/claude-error.h"
#include "runner/provider/claude-launch.h"
#include "runner/provider/claude-mcp.h"

#define CLAUDE_PROCESS_LINE_MAX (64 * 1024 * 1024)
/* Between the end of its output and its own; then it is given up. */
#define CLAUDE_PROCESS_CLOSED_MS 1000
/* Between SIGTERM and SIGKILL for one that is given up. */
#define CLAUDE_PROCESS_GIVE_UP_MS 2000
/* This part of the time for a stop is left to it before SIGTERM. */
#define CLAUDE_PROCESS_STOP_FACTOR 4

struct claude_process {
	struct claude_process_events events;
	void *userdata;
	struct child *child;	  /* NULL: there was nothing to be started */
	struct loop_timer *start; /* not ready in time; or there was nothing to be started */
	struct loop_timer *end;	  /* the next step of ending it; or it closed its streams */
	bool is_resuming;	  /* an earlier conversation */
	bool is_ready;
	bool is_stopping;
	bool is_terminated;	    /* SIGTERM was sent */
	int64_t kill_ms;	    /* from SIGTERM to SIGKILL */
	enum provider_error reason; /* why it was given up; PROVIDER_OK: it was not */
	struct err words;
};

/* The end */

static enum provider_error claude_process_diagnose(const struct claude_process *process, int status)
{
	if (process->reason != PROVIDER_OK)
		return process->reason;
	if (process->is_ready)
		return PROVIDER_CRASHED;
	if (process->is_resuming &&
	    (claude_error_is_unknown_session(process->words.text) ||
	     claude_error_is_unknown_session(child_stderr_tail(process->child))))
		return PROVIDER_INVALID_SESSION;
	/*
	 * A kill may be a lack of memory, and pass, and so may what kept us from writing to it; one
	 * that exits at once by itself will do it again.
	 */
	return WIFSIGNALED(status) || child_write_error(process->child) < 0 ? PROVIDER_CRASHED
									    : PROVIDER_UNAVAILABLE;
}

/* "Claude Code ended with exit code 1: " and its own last words. */
static void claude_process_describe(const struct claude_process *process, int status,
				    struct err *ret_detail)
{
	const char *tail = child_stderr_tail(process->child), *newline = strrchr(tail, '\n');
	const char *words = newline ? newline + 1 : tail;
	struct err first;

	if (process->words.text[0])
		words = process->words.text;
	if (WIFSIGNALED(status))
		err_set(&first, 0, "Claude Code was killed by signal %d", WTERMSIG(status));
	else
		err_set(&first, 0, "Claude Code ended with exit code %d", WEXITSTATUS(status));
	err_set(ret_detail, 0, "%s%s%s", first.text, *words ? ": " : "", words);
}

static void claude_process_on_exited(void *userdata, int status)
{
	struct claude_process *process = userdata;
	struct err detail;

	loop_timer_disarm(process->start);
	loop_timer_disarm(process->end);
	if (process->is_stopping) {
		process->events.exited(process->userdata, PROVIDER_OK, "ended as asked");
		return;
	}
	claude_process_describe(process, status, &detail);
	process->events.exited(process->userdata, claude_process_diagnose(process, status),
			       detail.text);
}

static void claude_process_on_start_timer(void *userdata)
{
	struct claude_process *process = userdata;

	if (process->child) {
		claude_process_note(process, "it did not become ready in time");
		claude_process_give_up(process, PROVIDER_CRASHED);
	} else if (process->is_stopping) {
		process->events.exited(process->userdata, PROVIDER_OK, "ended as asked");
	} else {
		process->events.exited(process->userdata, PROVIDER_UNAVAILABLE,
				       process->words.text);
	}
}

static void claude_process_terminate(struct claude_process *process, int64_t kill_ms)
{
	process->is_terminated = true;
	child_signal(process->child, SIGTERM);
	loop_timer_arm(process->end, kill_ms);
}

void claude_process_note(struct claude_process *process, const char *words)
{
	err_set(&process->words, 0, "%s", words);
}

void claude_process_give_up(struct claude_process *process, enum provider_error reason)
{
	if (!claude_process_is_wanted(process) || !process->child)
		return;
	process->reason = reason;
	claude_process_terminate(process, CLAUDE_PROCESS_GIVE_UP_MS);
}

static void claude_process_on_end_timer(void *userdata)
{
	struct claude_process *process = userdata;

	if (process->is_terminated) {
		child_signal(process->child, SIGKILL);
	} else if (process->is_stopping) {
		claude_process_terminate(process, process->kill_ms);
	} else {
		claude_process_note(process, "it closed its input or output");
		claude_process_give_up(process, PROVIDER_CRASHED);
	}
}

void claude_process_stop(struct claude_process *process, int64_t kill_after_ms)
{
	int64_t patience_ms = kill_after_ms / CLAUDE_PROCESS_STOP_FACTOR;

	if (process->is_stopping)
		return;
	process->is_stopping = true;
	if (!process->child) {
		loop_timer_arm(process->start, 0);
		return;
	}
	loop_timer_disarm(process->start);
	child_close_stdin(process->child);
	process->kill_ms = kill_after_ms - patience_ms;
	/* One that was given up has its SIGKILL coming already. */
	if (!process->is_terminated)
		loop_timer_arm(process->end, patience_ms);
}

bool claude_process_is_wanted(const struct claude_process *process)
{
	return !process->is_stopping && process->reason == PROVIDER_OK;
}

/* Its life */

static void claude_process_on_line(void *userdata, const char *line, size_t len)
{
	struct claude_process *process = userdata;

	process->events.line(process->userdata, line, len);
}

static void claude_process_on_overlong(void *userdata, size_t len)
{
	struct claude_process *process = userdata;

	log_warning("a line of Claude Code of %zu bytes was dropped", len);
	/* Nothing is left of it but the sign of life. */
	process->events.line(process->userdata, "", 0);
}

/* Nothing can be said or heard any more. Most often that is its end, which tells more. */
static void claude_process_on_closed(void *userdata)
{
	struct claude_process *process = userdata;

	if (claude_process_is_wanted(process))
		loop_timer_arm(process->end, CLAUDE_PROCESS_CLOSED_MS);
}

int claude_process_write(struct claude_process *process, const struct strbuf *text)
{
	int r = text->error;
	struct err words;

	/* Nothing was started: `exited` is on its way. */
	if (!process->child)
		return -EPIPE;
	if (r == 0)
		r = child_write(process->child, text->data, text->len);
	if (r < 0) {
		err_sys(&words, r, "cannot write to it");
		claude_process_note(process, words.text);
		claude_process_give_up(process, PROVIDER_CRASHED);
	}
	return r;
}

void claude_process_expect_ready(struct claude_process *process, int64_t within_ms)
{
	if (process->child)
		loop_timer_arm(process->start, within_ms);
}

void claude_process_is_ready(struct claude_process *process)
{
	process->is_ready = true;
	loop_timer_disarm(process->start);
}

static int claude_process_spawn(struct claude_process *process, const char *path,
				const struct provider_query *query, struct err *err)
{
	static const struct child_events events = {
		.line = claude_process_on_line,
		.overlong = claude_process_on_overlong,
		.closed = claude_process_on_closed,
		.exited = claude_process_on_exited,
	};
	struct claude_launch launch = { NULL, NULL };
	cleanup_free char *mcp_file = NULL;
	struct err warning;
	struct child_spec spec = {
		.cwd = query->cwd,
		.role = "agent",
		.line_max = CLAUDE_PROCESS_LINE_MAX,
		.has_stdin = true,
	};
	int r;

	/* An agent without these tools is better than none. */
	if (claude_mcp_write(query, &mcp_file, &warning) < 0)
		log_error("%s: the agent is given no MCP servers", warning.text);
	r = claude_launch_init(&launch, path, mcp_file, query);
	spec.argv = (const char *const *)launch.argv;
	spec.env = (const char *const *)launch.env;
	if (r == 0)
		r = child_start(query->children, &spec, &events, process, &process->child, err);
	else
		err_sys(err, r, "cannot start Claude Code");
	claude_launch_deinit(&launch);
	return r;
}

int claude_process_start(const struct provider_query *query,
			 const struct claude_process_events *events, void *userdata,
			 struct claude_process **ret_process, struct err *err)
{
	struct claude_process *process = calloc(1, sizeof(*process));
	cleanup_free char *path = NULL;
	int r;

	if (!process ||
	    loop_timer_new(query->loop, claude_process_on_start_timer, process, &process->start) <
		    0 ||
	    loop_timer_new(query->loop, claude_process_on_end_timer, process, &process->end) < 0) {
		claude_process_free(process);
		return err_sys(err, -ENOMEM, "cannot start Claude Code");
	}
	process->events = *events;
	process->userdata = userdata;
	process->is_resuming = query->continuation != NULL;
	r = claude_launch_find(&path, &process->words);
	if (r == -ENOENT || r == -EACCES) {
		/* Said by `exited`, as it would be of one that does not start. */
		loop_timer_arm(process->start, 0);
		r = 0;
	} else if (r < 0) {
		err_set(err, r, "%s", process->words.text);
	} else {
		r = claude_process_spawn(process, path, query, err);
	}
	if (r < 0) {
		claude_process_free(process);
		return r;
	}
	*ret_process = process;
	return 0;
}

void claude_process_free(struct claude_process *process)
{
	if (!process)
		return;
	child_free(process->child);
	loop_timer_free(process->start);
	loop_timer_free(process->end);
	free(process);
}
