/* SPDX-License-Identifier: MIT */
#include "tests/system/escape/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTEMPT_TIMEOUT_MS 5000

static const struct attempt *const attempt_tables[] = {
	attempts_files,	     attempts_system_files, attempts_processes, attempts_kernel,
	attempts_namespaces, attempts_privileges,   attempts_devices,	attempts_network,
};
#define ATTEMPT_TABLES (sizeof(attempt_tables) / sizeof(*attempt_tables))

static const char *const verdict_names[] = {
	[VERDICT_DENIED] = "denied",
	[VERDICT_SUCCEEDED] = "succeeded",
	[VERDICT_ABSENT] = "absent",
};

const struct attempt *attempt_find(const char *name)
{
	for (size_t i = 0; i < ATTEMPT_TABLES; i++)
		for (const struct attempt *a = attempt_tables[i]; a->name; a++)
			if (strcmp(a->name, name) == 0)
				return a;
	return NULL;
}

void attempt_list(FILE *out)
{
	for (size_t i = 0; i < ATTEMPT_TABLES; i++)
		for (const struct attempt *a = attempt_tables[i]; a->name; a++)
			(void)fprintf(out, "{\"name\":\"%s\",\"what\":\"%s\"}\n", a->name, a->what);
}

/* Outcomes */

static struct outcome outcome_make(enum verdict verdict, int error, const char *format,
				   va_list args)
{
	struct outcome outcome = { .verdict = verdict, .error = error };

	(void)vsnprintf(outcome.detail, sizeof(outcome.detail), format, args);
	return outcome;
}

#define OUTCOME_MAKE(verdict_, error_)                                 \
	do {                                                           \
		struct outcome made_;                                  \
		int was_ = (error_);                                   \
		va_list args_;                                         \
		va_start(args_, format);                               \
		made_ = outcome_make((verdict_), was_, format, args_); \
		va_end(args_);                                         \
		return made_;                                          \
	} while (0)

struct outcome outcome_succeeded(const char *format, ...)
{
	OUTCOME_MAKE(VERDICT_SUCCEEDED, 0);
}

struct outcome outcome_denied(const char *format, ...)
{
	OUTCOME_MAKE(VERDICT_DENIED, errno);
}

struct outcome outcome_absent(const char *format, ...)
{
	OUTCOME_MAKE(VERDICT_ABSENT, errno);
}

static bool outcome_is_absent(int error)
{
	return error == ENOSYS || error == EAFNOSUPPORT || error == ENODEV || error == ENXIO ||
	       error == EPROTONOSUPPORT || error == EOPNOTSUPP || error == ENOENT;
}

struct outcome outcome_failed(const char *format, ...)
{
	OUTCOME_MAKE(outcome_is_absent(errno) ? VERDICT_ABSENT : VERDICT_DENIED, errno);
}

struct outcome outcome_of(long r, const char *what)
{
	return r < 0 ? outcome_failed("%s", what) : outcome_succeeded("%s", what);
}

static void outcome_print(const char *name, const struct outcome *outcome, FILE *out)
{
	const char *error = outcome->error ? strerrorname_np(outcome->error) : "";

	(void)fprintf(out, "{\"name\":\"%s\",\"verdict\":\"%s\",\"errno\":\"%s\",\"detail\":\"",
		      name, verdict_names[outcome->verdict], error ? error : "");
	for (const char *c = outcome->detail; *c; c++)
		(void)fputc(*c == '"' || *c == '\\' || *c == '<' || (unsigned char)*c < ' ' ? '?'
											    : *c,
			    out);
	(void)fputs("\"}\n", out);
	(void)fflush(out);
}

/* Running */

/* Waits for the outcome that the child writes, and for its end. */
static struct outcome attempt_collect(pid_t pid, int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct outcome outcome;
	ssize_t n = 0;
	int status;

	errno = 0;
	if (poll(&pollfd, 1, ATTEMPT_TIMEOUT_MS) > 0)
		n = read(fd, &outcome, sizeof(outcome));
	else
		outcome = outcome_denied("nothing happened within %d ms", ATTEMPT_TIMEOUT_MS);
	(void)close(fd);
	if (n <= 0)
		(void)kill(pid, n < 0 || pollfd.revents == 0 ? SIGKILL : 0);
	if (waitpid(pid, &status, 0) < 0)
		return outcome_denied("waitpid");
	errno = 0;
	if (n == (ssize_t)sizeof(outcome) || pollfd.revents == 0)
		return outcome;
	return WIFSIGNALED(status) ? outcome_denied("killed by %s", sigabbrev_np(WTERMSIG(status)))
				   : outcome_denied("ended with %d", WEXITSTATUS(status));
}

struct outcome attempt_in_child(struct outcome (*run)(const struct scene *scene),
				const struct scene *scene)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return outcome_denied("pipe2");
	pid = fork();
	if (pid < 0)
		return outcome_denied("fork");
	if (pid == 0) {
		struct outcome outcome;

		(void)close(ends[0]);
		outcome = run(scene);
		(void)!write(ends[1], &outcome, sizeof(outcome));
		_exit(0);
	}
	(void)close(ends[1]);
	return attempt_collect(pid, ends[0]);
}

void attempt_run(const struct attempt *attempt, const struct scene *scene, FILE *out)
{
	struct outcome outcome;

	errno = ESRCH;
	if (scene->loop == 0 && strncmp(attempt->name, "loop-", strlen("loop-")) == 0)
		outcome = outcome_absent("there is no loop");
	else
		outcome = attempt_in_child(attempt->run, scene);

	outcome_print(attempt->name, &outcome, out);
}

struct outcome attempt_run_here(const char *name, const struct scene *scene)
{
	return attempt_find(name)->run(scene);
}

static struct outcome outcome_parse(const char *line)
{
	for (int i = 0; i <= VERDICT_ABSENT; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "\"verdict\":\"%s\"", verdict_names[i]);
		if (strstr(line, text)) {
			const char *detail = strstr(line, "\"errno\":");
			struct outcome outcome = outcome_succeeded("%s", detail ? detail : "");

			outcome.verdict = (enum verdict)i;
			return outcome;
		}
	}
	errno = 0;
	return outcome_denied("said: %s", line);
}

struct outcome attempt_by_program(char *const *argv)
{
	char line[1024];
	size_t len = 0;
	ssize_t n;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return outcome_denied("pipe2");
	pid = fork();
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execv(argv[0], argv);
		(void)printf("execv: %s\n", strerror(errno));
		(void)fflush(stdout);
		_exit(127);
	}
	(void)close(ends[1]);
	while (len < sizeof(line) - 1 &&
	       (n = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0)
		len += (size_t)n;
	line[len] = '\0';
	(void)close(ends[0]);
	(void)waitpid(pid, &status, 0);
	return outcome_parse(line);
}

/* Common steps */

ssize_t attempt_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	error = errno;
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	errno = error;
	return n;
}

int attempt_reads_database(const char *path)
{
	char text[sizeof(ATTEMPT_SQLITE)];

	if (attempt_read(path, text, sizeof(text)) < 0)
		return -1;
	return strcmp(text, ATTEMPT_SQLITE) == 0;
}

struct outcome attempt_read_database(const char *path)
{
	int r = attempt_reads_database(path);

	if (r < 0)
		return outcome_failed("%s", path);
	errno = 0;
	return r ? outcome_succeeded("%s: its first bytes are read", path)
		 : outcome_denied("%s: something else was read", path);
}

int attempt_write(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600), error;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	error = errno;
	(void)close(fd);
	errno = n < 0 ? error : 0;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

struct outcome attempt_rewrite(const char *path)
{
	char text[4096];
	ssize_t n = attempt_read(path, text, sizeof(text));

	/* What cannot be read may be writable all the same. */
	if (n < 0 && (errno == ENOENT || attempt_write(path, 0, "") < 0))
		return outcome_failed("%s", path);
	if (attempt_write(path, 0, n < 0 ? "" : text) < 0)
		return outcome_failed("%s: write", path);
	return outcome_succeeded("%s: written", path);
}

struct outcome attempt_create(const char *path, const char *text)
{
	struct stat st;

	if (attempt_write(path, O_CREAT | O_EXCL, text) < 0 && errno != 0)
		return outcome_failed("%s", path);
	if (stat(path, &st) < 0)
		return outcome_failed("%s: it is gone", path);
	(void)unlink(path);
	return outcome_succeeded("%s: made", path);
}
