/* SPDX-License-Identifier: MIT */
#include "runner/io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/table.h"

/*
 * Where the socket of process_spec.notify_fd is in the confined child, and how it learns of it: not
 * on the command line, which is ours to the last word. It takes it out of the environment.
 */
#define PROCESS_NOTIFY_FD	   3
#define PROCESS_NOTIFY_ENVIRONMENT "RUNNER_NOTIFY_FD=3"

/* The kernel's set of signals, in bytes. */
#define PROCESS_SIGNAL_SET_SIZE 8

/* Both ends of each pipe; -1: none, or handed out. */
struct process_pipes {
	int ours[PROCESS_STREAMS];
	int theirs[PROCESS_STREAMS];
};

static void process_pipes_close(struct process_pipes *pipes)
{
	for (int i = 0; i < PROCESS_STREAMS; i++) {
		if (pipes->ours[i] >= 0)
			close(pipes->ours[i]);
		if (pipes->theirs[i] >= 0)
			close(pipes->theirs[i]);
	}
}

static int process_pipes_open(struct process_pipes *pipes, bool has_stdin)
{
	for (int i = 0; i < PROCESS_STREAMS; i++) {
		int ends[2];

		if (i == PROCESS_STDIN && !has_stdin) {
			pipes->theirs[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (pipes->theirs[i] < 0)
				return -errno;
			continue;
		}
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		pipes->ours[i] = ends[i == PROCESS_STDIN ? 1 : 0];
		pipes->theirs[i] = ends[i == PROCESS_STDIN ? 0 : 1];
		if (fd_set_nonblock(pipes->ours[i], true) < 0)
			return -errno;
	}
	return 0;
}

/* Does "NAME=value" or "NAME" in overrides speak of the variable entry? */
static bool process_env_overridden(const char *entry, const char *const *overrides)
{
	size_t len = strcspn(entry, "=");

	for (; overrides && *overrides; overrides++)
		if (strcspn(*overrides, "=") == len && strncmp(entry, *overrides, len) == 0)
			return true;
	return false;
}

/* The child's environment; the array is the caller's to free, its strings are borrowed. */
static const char **process_env(const char *const *overrides, bool notifies)
{
	size_t count = 2, used = 0;
	const char **env;

	for (char **e = environ; *e; e++)
		count++;
	for (const char *const *o = overrides; o && *o; o++)
		count++;
	env = calloc(count, sizeof(*env));
	if (!env)
		return NULL;
	for (char **e = environ; *e; e++)
		if (!process_env_overridden(*e, overrides))
			env[used++] = *e;
	for (const char *const *o = overrides; o && *o; o++)
		if (strchr(*o, '='))
			env[used++] = *o;
	if (notifies)
		env[used++] = PROCESS_NOTIFY_ENVIRONMENT;
	return env;
}

/* Between fork and exec: says what failed on stderr, which is the child's pipe already. */
static void __attribute__((noreturn)) process_give_up(const char *what, int status)
{
	log_error("cannot start the program: %s: %s", what, strerror(errno));
	_exit(status);
}

/* Appends a word, and leaves room for the end. */
static int process_argv_add(const char *argv[PROCESS_ARGV_MAX], size_t *n, const char *word)
{
	if (*n + 1 >= PROCESS_ARGV_MAX)
		return -E2BIG;
	argv[(*n)++] = word;
	argv[*n] = NULL;
	return 0;
}

/* argv of the confined child: SELF confine --role ROLE OPTION… -- CMD ARG… */
static int process_argv(const struct process_spec *spec, const char *ret_argv[PROCESS_ARGV_MAX])
{
	const char *const prefix[] = { spec->self, "confine", "--role", spec->role };
	size_t n = 0;
	int r = 0;

	if (spec->self) {
		for (size_t i = 0; r == 0 && i < ARRAY_LEN(prefix); i++)
			r = process_argv_add(ret_argv, &n, prefix[i]);
		for (const char *const *w = spec->confine_words; r == 0 && w && *w; w++)
			r = process_argv_add(ret_argv, &n, *w);
		if (r == 0)
			r = process_argv_add(ret_argv, &n, "--");
	}
	for (const char *const *a = spec->argv; r == 0 && *a; a++)
		r = process_argv_add(ret_argv, &n, *a);
	return r;
}

static void process_reset_signals(void)
{
	/* All zero is SIG_DFL without flags in the kernel's struct sigaction of every CPU. */
	static const unsigned char defaults[64];
	sigset_t none;

	/* Not signal(): it refuses 32 and 33, which glibc's own posix_spawn (make's) sets to ignore. */
	for (int signo = 1; signo <= SIGRTMAX; signo++)
		(void)syscall(SYS_rt_sigaction, signo, defaults, NULL, PROCESS_SIGNAL_SET_SIZE);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
process_exec(const struct process_pipes *pipes, const struct process_spec *spec, const char **argv,
	     const char **env, pid_t parent)
{
	/* execvpe wants pointers to non-const, and changes nothing. */
	union {
		const char **from;
		char *const *to;
	} args = { argv }, envp = { env };

	for (int i = 0; i < PROCESS_STREAMS; i++)
		if (dup2(pipes->theirs[i], i) < 0)
			_exit(EXIT_FAILURE);
	/* On itself it does nothing, and leaves it close-on-exec. */
	if (spec->notify_fd > 0 && spec->notify_fd != PROCESS_NOTIFY_FD &&
	    dup2(spec->notify_fd, PROCESS_NOTIFY_FD) < 0)
		_exit(EXIT_FAILURE);
	if (spec->notify_fd > 0 && fd_set_cloexec(PROCESS_NOTIFY_FD, false) < 0)
		_exit(EXIT_FAILURE);
	process_reset_signals();
	if (setsid() < 0)
		process_give_up("setsid", 126);
	/* Dies with us; if we died before this call, nobody will send the signal any more. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		process_give_up("the session loop is gone", 126);
	if (spec->cwd && chdir(spec->cwd) < 0)
		process_give_up(spec->cwd, 126);
	(void)execvpe(argv[0], args.to, envp.to);
	process_give_up(argv[0], errno == ENOENT ? 127 : 126);
}

int process_start(const struct process_spec *spec, pid_t *ret_pid, int ret_fds[PROCESS_STREAMS],
		  struct err *err)
{
	__attribute__((cleanup(process_pipes_close))) struct process_pipes pipes = {
		{ -1, -1, -1 },
		{ -1, -1, -1 },
	};
	cleanup_free const char **env = process_env(spec->env, spec->notify_fd > 0);
	const char *argv[PROCESS_ARGV_MAX];
	pid_t pid, parent = getpid();
	int r;

	r = process_argv(spec, argv);
	if (r == 0)
		r = env ? process_pipes_open(&pipes, spec->has_stdin) : -ENOMEM;
	if (r < 0)
		return err_sys(err, r, "cannot start %s", spec->argv[0]);
	pid = fork();
	if (pid == 0)
		process_exec(&pipes, spec, argv, env, parent);
	if (pid < 0)
		return err_sys(err, -errno, "cannot start %s", spec->argv[0]);
	for (int i = 0; i < PROCESS_STREAMS; i++)
		ret_fds[i] = steal_fd(&pipes.ours[i]);
	*ret_pid = pid;
	return 0;
}
