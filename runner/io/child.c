/* SPDX-License-Identifier: MIT */
#include "runner/io/child.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/io/ndjson.h"

/*
 * What is still read from a pipe after its process is gone. The dead process can have left no more
 * than a pipe's capacity (F_SETPIPE_SZ allows 1 MiB); a surviving grandchild may write for ever.
 */
#define CHILD_LAST_READ (1024 * 1024)

#define CHILD_ARGV_MAX	128

enum child_stream { CHILD_STDIN, CHILD_STDOUT, CHILD_STDERR, CHILD_STREAMS };

struct children {
	struct loop *loop;
	char *self; /* NULL: programs are executed directly, unconfined (unit tests) */
	struct child *first;
	bool purging; /* orphans were killed and may leave further ones */
};

struct child {
	struct children *children; /* NULL once freed by its owner */
	struct child *next;
	struct child_events events;
	void *userdata;
	pid_t pid;
	int fds[CHILD_STREAMS];
	struct loop_source *sources[CHILD_STREAMS];
	struct strbuf outgoing;
	bool closing; /* stdin is closed once outgoing is empty */
	struct ndjson lines;
	char *tail; /* CHILD_STDERR_TAIL + 1 bytes */
	size_t tail_len;
	struct strbuf tail_text;
	unsigned int busy; /* callbacks on the stack: it is released when the last one returns */
};

/* Starting */

struct child_pipes {
	int ours[CHILD_STREAMS];
	int theirs[CHILD_STREAMS];
};

static void child_pipes_close(struct child_pipes *pipes)
{
	for (int i = 0; i < CHILD_STREAMS; i++) {
		if (pipes->ours[i] >= 0)
			close(pipes->ours[i]);
		if (pipes->theirs[i] >= 0)
			close(pipes->theirs[i]);
	}
}

static int child_pipes_open(struct child_pipes *pipes, bool has_stdin)
{
	for (int i = 0; i < CHILD_STREAMS; i++) {
		int ends[2];

		if (i == CHILD_STDIN && !has_stdin) {
			pipes->theirs[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (pipes->theirs[i] < 0)
				return -errno;
			continue;
		}
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		pipes->ours[i] = ends[i == CHILD_STDIN ? 1 : 0];
		pipes->theirs[i] = ends[i == CHILD_STDIN ? 0 : 1];
		if (fd_set_nonblock(pipes->ours[i], true) < 0)
			return -errno;
	}
	return 0;
}

/* Does "NAME=value" or "NAME" in overrides speak of the variable entry? */
static bool child_env_overridden(const char *entry, const char *const *overrides)
{
	size_t len = strcspn(entry, "=");

	for (; overrides && *overrides; overrides++)
		if (strcspn(*overrides, "=") == len && strncmp(entry, *overrides, len) == 0)
			return true;
	return false;
}

/* The child's environment; the array is the caller's to free, its strings are borrowed. */
static const char **child_env(const char *const *overrides)
{
	size_t count = 1, used = 0;
	const char **env;

	for (char **e = environ; *e; e++)
		count++;
	for (const char *const *o = overrides; o && *o; o++)
		count++;
	env = calloc(count, sizeof(*env));
	if (!env)
		return NULL;
	for (char **e = environ; *e; e++)
		if (!child_env_overridden(*e, overrides))
			env[used++] = *e;
	for (const char *const *o = overrides; o && *o; o++)
		if (strchr(*o, '='))
			env[used++] = *o;
	return env;
}

/* Between fork and exec: says what failed on stderr, which is the child's pipe already. */
static void __attribute__((noreturn)) child_give_up(const char *what, int status)
{
	log_error("cannot start the program: %s: %s", what, strerror(errno));
	_exit(status);
}

/* argv of the confined child: SELF confine --role ROLE -- CMD ARG… */
static int child_argv(const struct children *children, const struct child_spec *spec,
		      const char *ret_argv[CHILD_ARGV_MAX])
{
	const char *const prefix[] = { children->self, "confine", "--role", spec->role, "--" };
	size_t n = 0;

	if (children->self)
		for (; n < sizeof(prefix) / sizeof(prefix[0]); n++)
			ret_argv[n] = prefix[n];
	for (const char *const *a = spec->argv; *a; a++) {
		if (n + 1 >= CHILD_ARGV_MAX)
			return -E2BIG;
		ret_argv[n++] = *a;
	}
	ret_argv[n] = NULL;
	return 0;
}

static void child_reset_signals(void)
{
	sigset_t none;

	for (int signo = 1; signo <= SIGRTMAX; signo++)
		(void)signal(signo, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
child_exec(const struct child_pipes *pipes, const struct child_spec *spec, const char **argv,
	   const char **env, pid_t parent)
{
	/* execvpe wants pointers to non-const, and changes nothing. */
	union {
		const char **from;
		char *const *to;
	} args = { argv }, envp = { env };

	for (int i = 0; i < CHILD_STREAMS; i++)
		if (dup2(pipes->theirs[i], i) < 0)
			_exit(EXIT_FAILURE);
	child_reset_signals();
	if (setsid() < 0)
		child_give_up("setsid", 126);
	/* Dies with us; if we died before this call, nobody will send the signal any more. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		child_give_up("the session loop is gone", 126);
	if (spec->cwd && chdir(spec->cwd) < 0)
		child_give_up(spec->cwd, 126);
	(void)execvpe(argv[0], args.to, envp.to);
	child_give_up(argv[0], errno == ENOENT ? 127 : 126);
}

static void child_on_stdin(void *userdata, uint32_t events);
static void child_on_stdout(void *userdata, uint32_t events);
static void child_on_stderr(void *userdata, uint32_t events);

static int child_watch(struct child *child)
{
	static loop_fd_fn *const handlers[CHILD_STREAMS] = {
		[CHILD_STDIN] = child_on_stdin,
		[CHILD_STDOUT] = child_on_stdout,
		[CHILD_STDERR] = child_on_stderr,
	};

	for (int i = 0; i < CHILD_STREAMS; i++) {
		int r;

		if (child->fds[i] < 0)
			continue;
		r = loop_add_fd(child->children->loop, child->fds[i],
				i == CHILD_STDIN ? 0 : EPOLLIN, handlers[i], child,
				&child->sources[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void child_close_stream(struct child *child, enum child_stream stream)
{
	loop_source_free(steal_ptr(child->sources[stream]));
	if (child->fds[stream] >= 0)
		close(steal_fd(&child->fds[stream]));
}

static void child_release(struct child *child)
{
	for (enum child_stream i = 0; i < CHILD_STREAMS; i++)
		child_close_stream(child, i);
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
	for (int i = 0; i < CHILD_STREAMS; i++)
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

int child_start(struct children *children, const struct child_spec *spec,
		const struct child_events *events, void *userdata, struct child **ret_child,
		struct err *err)
{
	__attribute__((cleanup(child_pipes_close))) struct child_pipes pipes = {
		{ -1, -1, -1 },
		{ -1, -1, -1 },
	};
	cleanup_free const char **env = child_env(spec->env);
	const char *argv[CHILD_ARGV_MAX];
	pid_t parent = getpid();
	struct child *child;
	int r;

	r = child_argv(children, spec, argv);
	if (r == 0)
		r = env ? child_pipes_open(&pipes, spec->has_stdin) : -ENOMEM;
	if (r < 0)
		return err_sys(err, r, "cannot start %s", spec->argv[0]);
	child = child_alloc(children, spec, events, userdata);
	if (!child)
		return err_sys(err, -ENOMEM, "cannot start %s", spec->argv[0]);
	child->pid = fork();
	if (child->pid == 0)
		child_exec(&pipes, spec, argv, env, parent);
	if (child->pid < 0) {
		r = err_sys(err, -errno, "cannot start %s", spec->argv[0]);
		child_release(child);
		return r;
	}
	for (int i = 0; i < CHILD_STREAMS; i++)
		child->fds[i] = steal_fd(&pipes.ours[i]);
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

	if (child->fds[CHILD_STDIN] < 0 || child->closing)
		return -EPIPE;
	r = strbuf_append(&child->outgoing, bytes, n);
	if (r < 0) {
		child->outgoing.error = 0;
		return r;
	}
	return loop_source_set_events(child->sources[CHILD_STDIN], EPOLLOUT);
}

void child_close_stdin(struct child *child)
{
	if (child->outgoing.len == 0)
		child_close_stream(child, CHILD_STDIN);
	child->closing = true;
}

static void child_on_stdin(void *userdata, uint32_t events)
{
	struct child *child = userdata;
	ssize_t n = 0;

	/* EPOLLERR: the reader closed its end; what is queued can only be dropped. */
	if (!(events & EPOLLERR) && child->outgoing.len > 0)
		n = write(child->fds[CHILD_STDIN], child->outgoing.data, child->outgoing.len);
	if ((events & EPOLLERR) || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		strbuf_deinit(&child->outgoing);
		child_close_stream(child, CHILD_STDIN);
		return;
	}
	if (n > 0)
		strbuf_consume(&child->outgoing, (size_t)n);
	if (child->outgoing.len > 0)
		return;
	strbuf_deinit(&child->outgoing);
	if (child->closing)
		child_close_stream(child, CHILD_STDIN);
	else
		(void)loop_source_set_events(child->sources[CHILD_STDIN], 0);
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

	if (child->fds[CHILD_STDOUT] < 0)
		return 0;
	if (ndjson_room(&child->lines, &room, &size) < 0)
		n = -1, errno = ENOMEM;
	else
		n = read(child->fds[CHILD_STDOUT], room, size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) {
		child_close_stream(child, CHILD_STDOUT);
		return 0;
	}
	ndjson_filled(&child->lines, (size_t)n);
	child_emit_lines(child);
	return n;
}

/* One read of stderr, with the same results: the last bytes are kept, the rest is forgotten. */
static ssize_t child_read_stderr(struct child *child)
{
	char bytes[4096];
	ssize_t n;
	size_t excess;

	if (child->fds[CHILD_STDERR] < 0)
		return 0;
	n = read(child->fds[CHILD_STDERR], bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) {
		child_close_stream(child, CHILD_STDERR);
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
	(void)child_read_stdout(child);
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
	child->children = NULL;
	for (enum child_stream i = 0; i < CHILD_STREAMS; i++)
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
	child_close_stream(child, CHILD_STDIN);
	for (rest = CHILD_LAST_READ; rest > 0 && (n = child_read_stderr(child)) > 0; rest -= n)
		;
	for (rest = CHILD_LAST_READ; rest > 0 && (n = child_read_stdout(child)) > 0; rest -= n)
		;
	if (child->children) {
		child_close_stream(child, CHILD_STDOUT);
		child_close_stream(child, CHILD_STDERR);
		child->events.exited(child->userdata, status);
	}
	child_leave(child);
}

static void children_on_sigchld(void *userdata, const struct signalfd_siginfo *info)
{
	struct children *children = userdata;
	int status;
	pid_t pid;

	(void)info;
	/* One SIGCHLD can stand for many; a pid that is no child of ours by name was an orphan. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct child *child = children->first; child; child = child->next)
			if (child->pid == pid) {
				child_finish(child, status);
				break;
			}
	if (children->purging)
		(void)children_kill_orphans(children);
}

int children_new(struct loop *loop, const char *self, struct children **ret_children,
		 struct err *err)
{
	struct children *children = calloc(1, sizeof(*children));
	int r;

	if (!children || (self && !(children->self = strdup(self)))) {
		free(children);
		return err_sys(err, -ENOMEM, "cannot look after children");
	}
	children->loop = loop;
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
	free(children->self);
	free(children);
}

static bool children_know(const struct children *children, pid_t pid)
{
	for (const struct child *child = children->first; child; child = child->next)
		if (child->pid == pid)
			return true;
	return false;
}

/* The parent of a process, from /proc/PID/stat: "pid (comm) state ppid …"; -1 if it is gone. */
static pid_t children_parent_of(const char *pid)
{
	char path[64], stat[512];
	cleanup_close int fd = -1;
	const char *after;
	ssize_t n;
	char state;
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, stat, sizeof(stat) - 1)) <= 0)
		return -1;
	stat[n] = '\0';
	/* comm may hold blanks and parentheses: the last one closes it. */
	after = strrchr(stat, ')');
	if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2)
		return -1;
	return parent;
}

size_t children_kill_orphans(struct children *children)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	const struct dirent *entry;
	pid_t own = getpid();
	size_t killed = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || children_parent_of(entry->d_name) != own ||
		    children_know(children, pid))
			continue;
		if (kill(pid, SIGKILL) == 0)
			killed++;
	}
	/* The dead leave children of their own to us: look again at the next SIGCHLD. */
	children->purging = killed > 0;
	return killed;
}
