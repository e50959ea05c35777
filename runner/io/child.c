/* SPDX-License-Identifier: MIT */
#include "runner/io/child.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/io/ndjson.h"
#include "runner/io/orphans.h"
#include "runner/io/process.h"
#include "runner/io/schedule.h"

/*
 * What is still read from a pipe after its process is gone. The dead process can have left no more
 * than a pipe's capacity (F_SETPIPE_SZ allows 1 MiB); a surviving grandchild may write for ever.
 */
#define CHILD_LAST_READ (1024 * 1024)

/* In one go: whoever makes orphans without end must not keep the loop from everything else. */
#define CHILDREN_REAP_MAX 512

/* A process can die without a SIGCHLD to us: its parent got it. Only while we end. */
#define CHILDREN_LOOK_MS 5

struct children {
	struct loop *loop;
	char *self; /* NULL: programs are executed directly, unconfined (unit tests) */
	const char *const *confine_words;
	struct child *first;
	bool purging; /* nothing but what was started here shall run: until the next start */
	struct denied *denied;	  /* NULL: denied calls are not told of */
	struct schedule schedule; /* ours, before there was a child */
};

struct child {
	struct children *children; /* NULL once freed by its owner */
	struct child *next;
	struct child_events events;
	void *userdata;
	pid_t pid;
	int fds[PROCESS_STREAMS];
	struct loop_source *sources[PROCESS_STREAMS];
	struct denied_source *denied;
	struct strbuf outgoing;
	bool closing;	 /* stdin is closed once outgoing is empty */
	int write_error; /* see child_write_error() */
	struct ndjson lines;
	char *tail; /* CHILD_STDERR_TAIL + 1 bytes */
	size_t tail_len;
	struct strbuf tail_text;
	unsigned int busy; /* callbacks on the stack: it is released when the last one returns */
};

static void child_on_stdin(void *userdata, uint32_t events);
static void child_on_stdout(void *userdata, uint32_t events);
static void child_on_stderr(void *userdata, uint32_t events);

static void child_say_closed(const struct child *child)
{
	if (child->children && child->events.closed)
		child->events.closed(child->userdata);
}

static int child_watch(struct child *child)
{
	static loop_fd_fn *const handlers[PROCESS_STREAMS] = {
		[PROCESS_STDIN] = child_on_stdin,
		[PROCESS_STDOUT] = child_on_stdout,
		[PROCESS_STDERR] = child_on_stderr,
	};

	for (int i = 0; i < PROCESS_STREAMS; i++) {
		int r;

		if (child->fds[i] < 0)
			continue;
		r = loop_add_fd(child->children->loop, child->fds[i],
				i == PROCESS_STDIN ? 0 : EPOLLIN, handlers[i], child,
				&child->sources[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void child_close_stream(struct child *child, enum process_stream stream)
{
	loop_source_free(steal_ptr(child->sources[stream]));
	if (child->fds[stream] >= 0)
		close(steal_fd(&child->fds[stream]));
}

static void child_release(struct child *child)
{
	for (enum process_stream i = 0; i < PROCESS_STREAMS; i++)
		child_close_stream(child, i);
	denied_source_free(child->denied);
	strbuf_deinit(&child->outgoing);
	strbuf_deinit(&child->tail_text);
	ndjson_deinit(&child->lines);
	free(child->tail);
	free(child);
}

static struct child *child_alloc(struct children *children, const struct child_spec *spec,
				 const struct child_events *events, void *userdata)
{
	struct child *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->events = *events;
	child->userdata = userdata;
	child->children = children;
	child->pid = -1;
	for (int i = 0; i < PROCESS_STREAMS; i++)
		child->fds[i] = -1;
	ndjson_init(&child->lines, spec->line_max);
	child->tail = malloc(CHILD_STDERR_TAIL + 1);
	if (!child->tail) {
		child_release(child);
		return NULL;
	}
	child->tail[0] = '\0';
	return child;
}

/* Its end of a socket for denied calls, or -1: nobody hears of them. */
static int child_watch_denied(struct child *child)
{
	const struct children *children = child->children;
	int fd, r;

	if (!children->denied || !children->self)
		return -1;
	r = denied_watch(children->denied, &child->denied, &fd);
	if (r == 0)
		return fd;
	log_debug("denied calls are not told of: %s", strerror(-r));
	return -1;
}

int child_start(struct children *children, const struct child_spec *spec,
		const struct child_events *events, void *userdata, struct child **ret_child,
		struct err *err)
{
	cleanup_close int notify_fd = -1;
	struct process_spec process = {
		.self = children->self,
		.role = spec->role,
		.confine_words = children->confine_words,
		.argv = spec->argv,
		.env = spec->env,
		.cwd = spec->cwd,
		.has_stdin = spec->has_stdin,
	};
	struct child *child;
	int r;

	/* What this one leaves behind may stay while it runs; what is left of others may not. */
	if (children->purging)
		(void)children_kill_orphans(children);
	children->purging = false;
	/* It inherits how we are scheduled, and an earlier one may have changed that. */
	schedule_restore(&children->schedule);
	child = child_alloc(children, spec, events, userdata);
	if (!child)
		return err_sys(err, -ENOMEM, "cannot start %s", spec->argv[0]);
	notify_fd = child_watch_denied(child);
	if (notify_fd >= 0)
		process.notify_fd = notify_fd;
	r = process_start(&process, &child->pid, child->fds, err);
	if (r < 0) {
		child_release(child);
		return r;
	}
	child->next = children->first;
	children->first = child;
	r = child_watch(child);
	if (r < 0) {
		child_free(child);
		return err_sys(err, r, "cannot watch %s", spec->argv[0]);
	}
	*ret_child = child;
	return 0;
}

/* Talking */

int child_write(struct child *child, const void *bytes, size_t n)
{
	int r;

	if (child->fds[PROCESS_STDIN] < 0 || child->closing)
		return -EPIPE;
	if (child->outgoing.len >= CHILD_OUTGOING_MAX)
		return -ENOBUFS;
	r = strbuf_append(&child->outgoing, bytes, n);
	if (r < 0) {
		child->outgoing.error = 0;
		return r;
	}
	return loop_source_set_events(child->sources[PROCESS_STDIN], EPOLLOUT);
}

int child_write_error(const struct child *child)
{
	return child->write_error;
}

void child_close_stdin(struct child *child)
{
	if (child->outgoing.len == 0)
		child_close_stream(child, PROCESS_STDIN);
	child->closing = true;
}

static void child_on_stdin(void *userdata, uint32_t events)
{
	struct child *child = userdata;
	ssize_t n = 0;

	/* EPOLLERR: the reader closed its end; what is queued can only be dropped. */
	if (!(events & EPOLLERR) && child->outgoing.len > 0)
		n = write(child->fds[PROCESS_STDIN], child->outgoing.data, child->outgoing.len);
	if ((events & EPOLLERR) || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		bool was_cut = child->outgoing.len > 0;

		if (n < 0 && errno != EPIPE)
			child->write_error = -errno;
		strbuf_deinit(&child->outgoing);
		child_close_stream(child, PROCESS_STDIN);
		if (was_cut)
			child_say_closed(child);
		return;
	}
	if (n > 0)
		strbuf_consume(&child->outgoing, (size_t)n);
	if (child->outgoing.len > 0)
		return;
	strbuf_deinit(&child->outgoing);
	if (child->closing)
		child_close_stream(child, PROCESS_STDIN);
	else
		(void)loop_source_set_events(child->sources[PROCESS_STDIN], 0);
}

/* Hands out the lines that are complete. */
static void child_emit_lines(struct child *child)
{
	char *line;
	size_t len;
	int r;

	while (child->children && (r = ndjson_next(&child->lines, &line, &len)) != 0) {
		if (r > 0)
			child->events.line(child->userdata, line, len);
		else if (child->events.overlong)
			child->events.overlong(child->userdata, len);
	}
}

/* One read of stdout. >0: bytes; 0: nothing more, the stream is closed; -EAGAIN. */
static ssize_t child_read_stdout(struct child *child)
{
	char *room;
	size_t size;
	ssize_t n;

	if (child->fds[PROCESS_STDOUT] < 0)
		return 0;
	if (ndjson_room(&child->lines, &room, &size) < 0)
		n = -1, errno = ENOMEM;
	else
		n = read(child->fds[PROCESS_STDOUT], room, size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) {
		child_close_stream(child, PROCESS_STDOUT);
		return 0;
	}
	ndjson_filled(&child->lines, (size_t)n);
	if (child->events.output)
		child->events.output(child->userdata, (size_t)n);
	child_emit_lines(child);
	return n;
}

/* One read of stderr, with the same results: the last bytes are kept, the rest is forgotten. */
static ssize_t child_read_stderr(struct child *child)
{
	char bytes[4096];
	ssize_t n;
	size_t excess;

	if (child->fds[PROCESS_STDERR] < 0)
		return 0;
	n = read(child->fds[PROCESS_STDERR], bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) {
		child_close_stream(child, PROCESS_STDERR);
		return 0;
	}
	if (child->tail_len + (size_t)n > CHILD_STDERR_TAIL) {
		excess = child->tail_len + (size_t)n - CHILD_STDERR_TAIL;
		memmove(child->tail, child->tail + excess, child->tail_len - excess);
		child->tail_len -= excess;
	}
	memcpy(child->tail + child->tail_len, bytes, (size_t)n);
	child->tail_len += (size_t)n;
	return n;
}

static void child_enter(struct child *child)
{
	child->busy++;
}

static void child_leave(struct child *child)
{
	if (--child->busy == 0 && !child->children)
		child_release(child);
}

static void child_on_stdout(void *userdata, uint32_t events)
{
	struct child *child = userdata;

	(void)events;
	child_enter(child);
	if (child_read_stdout(child) == 0)
		child_say_closed(child);
	child_leave(child);
}

static void child_on_stderr(void *userdata, uint32_t events)
{
	struct child *child = userdata;

	(void)events;
	child_enter(child);
	(void)child_read_stderr(child);
	child_leave(child);
}

void child_signal(struct child *child, int signo)
{
	/* Only we reap, so the pid is still the child's; its group is led by it (setsid). */
	if (child->pid > 0 && kill(-child->pid, signo) < 0)
		(void)kill(child->pid, signo);
}

pid_t child_pid(const struct child *child)
{
	return child->pid;
}

const char *child_stderr_tail(const struct child *child)
{
	/* The cache is no part of what callers see of the child. */
	struct strbuf *text = (struct strbuf *)(uintptr_t)&child->tail_text;
	size_t len = child->tail_len;

	while (len > 0 && isspace((unsigned char)child->tail[len - 1]))
		len--;
	strbuf_reset(text);
	if (utf8_append_valid(text, child->tail, len) < 0)
		return "";
	return text->data;
}

static void child_unlink(struct child *child)
{
	struct child **link;

	for (link = &child->children->first; *link; link = &(*link)->next)
		if (*link == child) {
			*link = child->next;
			break;
		}
}

void child_free(struct child *child)
{
	if (!child)
		return;
	child_signal(child, SIGKILL);
	child_unlink(child);
	denied_source_free(steal_ptr(child->denied));
	child->children = NULL;
	for (enum process_stream i = 0; i < PROCESS_STREAMS; i++)
		child_close_stream(child, i);
	if (child->busy == 0)
		child_release(child);
}

/* Ending */

/* The process is gone: reads what it left, then tells the owner. */
static void child_finish(struct child *child, int status)
{
	ssize_t n, rest;

	child_enter(child);
	child->pid = -1;
	/* Who it left behind is about to end, too, and hears ENOSYS from the kernel until then. */
	denied_source_free(steal_ptr(child->denied));
	child_close_stream(child, PROCESS_STDIN);
	for (rest = CHILD_LAST_READ; rest > 0 && (n = child_read_stderr(child)) > 0; rest -= n)
		;
	for (rest = CHILD_LAST_READ; rest > 0 && (n = child_read_stdout(child)) > 0; rest -= n)
		;
	if (child->children) {
		child_close_stream(child, PROCESS_STDOUT);
		child_close_stream(child, PROCESS_STDERR);
		child->events.exited(child->userdata, status);
	}
	child_leave(child);
}

static void children_on_end(struct children *children, pid_t pid, int status)
{
	for (struct child *child = children->first; child; child = child->next)
		if (child->pid == pid) {
			child_finish(child, status);
			break;
		}
}

/*
 * Not its end: it made us its tracer (PTRACE_TRACEME asks nobody), and would wait for us for ever. It
 * goes on with the signal that it was about to get; SIGTRAP only told of an exec.
 */
static void children_on_stop(pid_t pid, int signo)
{
	(void)ptrace(PTRACE_DETACH, pid, NULL, signo == SIGTRAP ? 0L : (long)signo);
}

/* Does nothing run that was started here? Then nothing else may either. */
static bool children_are_gone(const struct children *children)
{
	for (const struct child *child = children->first; child; child = child->next)
		if (child->pid > 0)
			return false;
	return true;
}

static void children_on_sigchld(void *userdata, const struct signalfd_siginfo *info)
{
	struct children *children = userdata;
	int status, reaped = 0;
	pid_t pid;

	(void)info;
	/* One SIGCHLD can stand for many; a pid that is no child of ours by name was an orphan. */
	while (reaped++ < CHILDREN_REAP_MAX && (pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!WIFSTOPPED(status))
			children_on_end(children, pid, status);
		else
			children_on_stop(pid, WSTOPSIG(status));
	/* It is blocked: it comes in the loop's next round. */
	if (reaped > CHILDREN_REAP_MAX)
		(void)kill(getpid(), SIGCHLD);
	/* The dead leave children of their own to us. */
	if (children->purging || children_are_gone(children))
		(void)children_kill_orphans(children);
	schedule_restore(&children->schedule);
}

int children_new(struct loop *loop, const char *self, const char *const *confine_words,
		 struct children **ret_children, struct err *err)
{
	struct children *children = calloc(1, sizeof(*children));
	int r;

	if (!children || (self && !(children->self = strdup(self)))) {
		free(children);
		return err_sys(err, -ENOMEM, "cannot look after children");
	}
	children->loop = loop;
	children->confine_words = confine_words;
	schedule_init(&children->schedule);
	/* Without it orphans go to PID 1: they are reaped there, and only end with the container. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_warning("cannot become a child subreaper: %s", strerror(errno));
	/* A write to a child that is gone answers EPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	r = loop_add_signal(loop, SIGCHLD, children_on_sigchld, children, err);
	if (r < 0) {
		free(children->self);
		free(children);
		return r;
	}
	*ret_children = children;
	return 0;
}

void children_free(struct children *children)
{
	if (!children)
		return;
	while (children->first)
		child_free(children->first);
	children_report_denied(children);
	denied_free(children->denied);
	free(children->self);
	free(children);
}

void children_tell_denied(struct children *children, denied_name_fn *name)
{
	struct err err;

	if (name && !children->denied &&
	    denied_new(children->loop, name, &children->denied, &err) < 0)
		log_debug("%s", err.text);
}

void children_report_denied(struct children *children)
{
	denied_report(children->denied);
}

static bool children_know(void *userdata, pid_t pid)
{
	const struct children *children = userdata;

	for (const struct child *child = children->first; child; child = child->next)
		if (child->pid == pid)
			return true;
	return false;
}

size_t children_kill_orphans(struct children *children)
{
	children->purging = true;
	return orphans_kill(children_know, children);
}

/* Reaps who is dead. True: there is no child any more, and so no descendant. */
static bool children_reap_all(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (WIFSTOPPED(status))
			children_on_stop(pid, WSTOPSIG(status));
	return pid < 0 && errno == ECHILD;
}

void children_end(struct children *children)
{
	int64_t end_ms = clock_monotonic_ms() + CHILDREN_END_MS, left_ms = CHILDREN_END_MS;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	while (children->first)
		child_free(children->first);
	while (children_kill_orphans(children), !children_reap_all() && left_ms > 0) {
		const struct timespec span = { .tv_nsec = CHILDREN_LOOK_MS * 1000000L };

		/* The loop has it blocked: the next death is waited for, not slept through. */
		(void)sigtimedwait(&set, NULL, &span);
		left_ms = end_ms - clock_monotonic_ms();
	}
	if (left_ms <= 0)
		log_warning("some processes of the agent cannot be killed");
}
