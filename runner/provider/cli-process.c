/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/log.h"

#define CLI_PROCESS_LINE_MAX (64 * 1024 * 1024)
/* Between the end of its output and its own; then it is given up. */
#define CLI_PROCESS_CLOSED_MS 1000
/* Between SIGTERM and SIGKILL for one that is given up. */
#define CLI_PROCESS_GIVE_UP_MS 2000
/* This part of the time for a stop is left to it before SIGTERM. */
#define CLI_PROCESS_STOP_FACTOR 4

struct cli_process {
	const char *title;
	bool (*is_unknown_session)(const char *text); /* NULL: none is resumed */
	struct cli_process_events events;
	void *userdata;
	struct child *child;	  /* NULL: there was nothing to be started */
	struct loop_timer *start; /* not ready in time; or there was nothing to be started */
	struct loop_timer *end;	  /* the next step of ending it; or it closed its streams */
	bool is_ready;
	bool is_stopping;
	bool is_terminated;	    /* SIGTERM was sent */
	int64_t kill_ms;	    /* from SIGTERM to SIGKILL */
	enum provider_error reason; /* why it was given up; PROVIDER_OK: it was not */
	struct err words;
};

/* The end */

static enum provider_error cli_process_diagnose(const struct cli_process *process, int status)
{
	if (process->reason != PROVIDER_OK)
		return process->reason;
	if (process->is_ready)
		return PROVIDER_CRASHED;
	if (process->is_unknown_session &&
	    (process->is_unknown_session(process->words.text) ||
	     process->is_unknown_session(child_stderr_tail(process->child))))
		return PROVIDER_INVALID_SESSION;
	/*
	 * A kill may be a lack of memory, and pass, and so may what kept us from writing to it; one
	 * that exits at once by itself will do it again.
	 */
	return WIFSIGNALED(status) || child_write_error(process->child) < 0 ? PROVIDER_CRASHED
									    : PROVIDER_UNAVAILABLE;
}

/* "Claude Code ended with exit code 1: " and its own last words. */
static void cli_process_describe(const struct cli_process *process, int status,
				 struct err *ret_detail)
{
	const char *tail = child_stderr_tail(process->child), *newline = strrchr(tail, '\n');
	const char *words = newline ? newline + 1 : tail;
	struct err first;

	if (process->words.text[0])
		words = process->words.text;
	if (WIFSIGNALED(status))
		err_set(&first, 0, "%s was killed by signal %d", process->title, WTERMSIG(status));
	else
		err_set(&first, 0, "%s ended with exit code %d", process->title,
			WEXITSTATUS(status));
	err_set(ret_detail, 0, "%s%s%s", first.text, *words ? ": " : "", words);
}

static void cli_process_on_exited(void *userdata, int status)
{
	struct cli_process *process = userdata;
	struct err detail;

	loop_timer_disarm(process->start);
	loop_timer_disarm(process->end);
	if (process->is_stopping) {
		process->events.exited(process->userdata, PROVIDER_OK, "ended as asked");
		return;
	}
	cli_process_describe(process, status, &detail);
	process->events.exited(process->userdata, cli_process_diagnose(process, status),
			       detail.text);
}

static void cli_process_on_start_timer(void *userdata)
{
	struct cli_process *process = userdata;

	if (process->child) {
		cli_process_note(process, "it did not become ready in time");
		cli_process_give_up(process, PROVIDER_CRASHED);
	} else if (process->is_stopping) {
		process->events.exited(process->userdata, PROVIDER_OK, "ended as asked");
	} else {
		process->events.exited(process->userdata, PROVIDER_UNAVAILABLE,
				       process->words.text);
	}
}

static void cli_process_terminate(struct cli_process *process, int64_t kill_ms)
{
	process->is_terminated = true;
	child_signal(process->child, SIGTERM);
	loop_timer_arm(process->end, kill_ms);
}

void cli_process_note(struct cli_process *process, const char *words)
{
	err_set(&process->words, 0, "%s", words);
}

void cli_process_give_up(struct cli_process *process, enum provider_error reason)
{
	if (!cli_process_is_wanted(process) || !process->child)
		return;
	process->reason = reason;
	cli_process_terminate(process, CLI_PROCESS_GIVE_UP_MS);
}

static void cli_process_on_end_timer(void *userdata)
{
	struct cli_process *process = userdata;

	if (process->is_terminated) {
		child_signal(process->child, SIGKILL);
	} else if (process->is_stopping) {
		cli_process_terminate(process, process->kill_ms);
	} else {
		cli_process_note(process, "it closed its input or output");
		cli_process_give_up(process, PROVIDER_CRASHED);
	}
}

void cli_process_stop(struct cli_process *process, int64_t kill_after_ms)
{
	int64_t patience_ms = kill_after_ms / CLI_PROCESS_STOP_FACTOR;

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

bool cli_process_is_wanted(const struct cli_process *process)
{
	return !process->is_stopping && process->reason == PROVIDER_OK;
}

/* Its life */

static void cli_process_on_line(void *userdata, const char *line, size_t len)
{
	struct cli_process *process = userdata;

	process->events.line(process->userdata, line, len);
}

static void cli_process_on_overlong(void *userdata, size_t len)
{
	struct cli_process *process = userdata;

	log_warning("a line of %s of %zu bytes was dropped", process->title, len);
	/* Nothing is left of it but the sign of life. */
	process->events.line(process->userdata, "", 0);
}

/* Nothing can be said or heard any more. Most often that is its end, which tells more. */
static void cli_process_on_closed(void *userdata)
{
	struct cli_process *process = userdata;

	if (cli_process_is_wanted(process))
		loop_timer_arm(process->end, CLI_PROCESS_CLOSED_MS);
}

int cli_process_write(struct cli_process *process, const struct strbuf *text)
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
		cli_process_note(process, words.text);
		cli_process_give_up(process, PROVIDER_CRASHED);
	}
	return r;
}

void cli_process_expect_ready(struct cli_process *process, int64_t within_ms)
{
	if (process->child)
		loop_timer_arm(process->start, within_ms);
}

void cli_process_is_ready(struct cli_process *process)
{
	process->is_ready = true;
	loop_timer_disarm(process->start);
}

static int cli_process_spawn(struct cli_process *process, const struct cli_spec *cli,
			     const struct provider_query *query, struct err *err)
{
	static const struct child_events events = {
		.line = cli_process_on_line,
		.overlong = cli_process_on_overlong,
		.closed = cli_process_on_closed,
		.exited = cli_process_on_exited,
	};
	const struct child_spec spec = {
		.argv = cli->argv,
		.env = cli->env,
		.cwd = query->cwd,
		.role = "agent",
		.line_max = CLI_PROCESS_LINE_MAX,
		.has_stdin = true,
	};

	return child_start(query->children, &spec, &events, process, &process->child, err);
}

int cli_process_start(const struct provider_query *query, const struct cli_spec *cli,
		      const struct cli_process_events *events, void *userdata,
		      struct cli_process **ret_process, struct err *err)
{
	struct cli_process *process = calloc(1, sizeof(*process));
	int r = 0;

	if (!process ||
	    loop_timer_new(query->loop, cli_process_on_start_timer, process, &process->start) < 0 ||
	    loop_timer_new(query->loop, cli_process_on_end_timer, process, &process->end) < 0) {
		cli_process_free(process);
		return err_sys(err, -ENOMEM, "cannot start %s", cli->title);
	}
	process->title = cli->title;
	process->is_unknown_session = query->continuation ? cli->is_unknown_session : NULL;
	process->events = *events;
	process->userdata = userdata;
	if (cli->missing) {
		/* Said by `exited`, as it would be of one that does not start. */
		cli_process_note(process, cli->missing);
		loop_timer_arm(process->start, 0);
	} else {
		r = cli_process_spawn(process, cli, query, err);
	}
	if (r < 0) {
		cli_process_free(process);
		return r;
	}
	*ret_process = process;
	return 0;
}

void cli_process_free(struct cli_process *process)
{
	if (!process)
		return;
	child_free(process->child);
	loop_timer_free(process->start);
	loop_timer_free(process->end);
	free(process);
}
