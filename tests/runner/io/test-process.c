/* SPDX-License-Identifier: MIT */
#include "runner/io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

/* Runs argv to its end. Returns its wait status; out and err hold what it wrote, cut. */
static int run(const struct process_spec *spec, char out[1024], char err[1024])
{
	char *const texts[] = { [PROCESS_STDOUT] = out, [PROCESS_STDERR] = err };
	int fds[PROCESS_STREAMS], status;
	pid_t pid;

	assert_int_equal(process_start(spec, &pid, fds, NULL), 0);
	if (fds[PROCESS_STDIN] >= 0)
		close(fds[PROCESS_STDIN]);
	for (int i = PROCESS_STDOUT; i <= PROCESS_STDERR; i++) {
		struct pollfd ready = { .fd = fds[i], .events = POLLIN };
		size_t len = 0;
		ssize_t n;

		while (poll(&ready, 1, 10000) == 1 &&
		       (n = read(fds[i], texts[i] + len, 1023 - len)) > 0)
			len += (size_t)n;
		texts[i][len] = '\0';
		close(fds[i]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int run_shell(const char *script, char out[1024])
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	char err[1024];

	return run(&(struct process_spec){ .argv = argv }, out, err);
}

static void test_session_and_signals(void **state)
{
	char out[1024];

	(void)state;
	/* An ignored signal and a blocked one are inherited by exec, unless they are reset. */
	(void)signal(SIGUSR1, SIG_IGN);
	assert_int_equal(run_shell("grep -E '^Sig(Ign|Blk)' /proc/self/status; "
				   "ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader",
				   out),
			 0);
	assert_string_equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nleader\n");
	(void)signal(SIGUSR1, SIG_DFL);
}

static void test_environment(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo \"$ONE,$TWO,${THREE-none}\"", NULL };
	const char *const env[] = { "TWO=2 and 2", "THREE", NULL };
	char out[1024], err[1024];

	(void)state;
	assert_int_equal(setenv("ONE", "1", 1), 0);
	assert_int_equal(setenv("TWO", "old", 1), 0);
	assert_int_equal(setenv("THREE", "3", 1), 0);
	assert_int_equal(run(&(struct process_spec){ .argv = argv, .env = env }, out, err), 0);
	assert_string_equal(out, "1,2 and 2,none\n");
}

static void test_folder_and_stdin(void **state)
{
	const char *const argv[] = { "sh", "-c", "pwd; readlink /proc/self/fd/0", NULL };
	char out[1024], err[1024];

	(void)state;
	assert_int_equal(run(&(struct process_spec){ .argv = argv, .cwd = "/proc" }, out, err), 0);
	assert_string_equal(out, "/proc\n/dev/null\n");
}

static void test_confined(void **state)
{
	const char *const argv[] = { "program", "word", NULL };
	char out[1024], err[1024];

	(void)state;
	assert_int_equal(
		run(&(struct process_spec){ .self = "echo", .role = "agent", .argv = argv }, out,
		    err),
		0);
	assert_string_equal(out, "confine --role agent -- program word\n");
}

static void test_socket_for_denied_calls(void **state)
{
	static const char script[] = "echo \"$RUNNER_NOTIFY_FD\"; [ -S /dev/fd/3 ] && echo socket";
	const char *const argv[] = { "sh", "-c", script, NULL };
	char out[1024], err[1024];
	int ends[2], third;

	(void)state;
	assert_int_equal(run_shell(script, out) >> 8, 1);
	assert_string_equal(out, "\n");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(
		run(&(struct process_spec){ .argv = argv, .notify_fd = ends[1] }, out, err), 0);
	assert_string_equal(out, "3\nsocket\n");
	/* Where it is to be it may be already, or something else. */
	third = dup(3);
	assert_int_equal(dup3(ends[1], 3, O_CLOEXEC), 3);
	assert_int_equal(run(&(struct process_spec){ .argv = argv, .notify_fd = 3 }, out, err), 0);
	assert_string_equal(out, "3\nsocket\n");
	if (third >= 0)
		(void)dup2(third, 3);
	close(third);
	close(ends[0]);
	close(ends[1]);
}

static void test_words_of_the_confinement(void **state)
{
	const char *const argv[] = { "--program", "--write=/no", NULL };
	const char *const words[] = { "--write=/a b", "--userns", NULL };
	char out[1024], err[1024];

	(void)state;
	assert_int_equal(run(&(struct process_spec){ .self = "echo",
						     .role = "agent",
						     .confine_words = words,
						     .argv = argv },
			     out, err),
			 0);
	assert_string_equal(
		out, "confine --role agent --write=/a b --userns -- --program --write=/no\n");
}

static void test_missing_and_not_executable(void **state)
{
	const char *argv[] = { "/nowhere/program", NULL };
	char out[1024], err[1024];
	int status;

	(void)state;
	status = run(&(struct process_spec){ .argv = argv }, out, err);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 127);
	assert_non_null(strstr(err, "cannot start the program: /nowhere/program: No such file"));
	argv[0] = "/proc/self/status";
	status = run(&(struct process_spec){ .argv = argv }, out, err);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 126);
	assert_non_null(strstr(err, "cannot start the program: /proc/self/status: Permission"));
}

static void test_too_many_words(void **state)
{
	const char *argv[PROCESS_ARGV_MAX + 1] = { NULL };
	int fds[PROCESS_STREAMS];
	struct err err;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < PROCESS_ARGV_MAX; i++)
		argv[i] = "true";
	assert_int_equal(process_start(&(struct process_spec){ .argv = argv }, &pid, fds, &err),
			 -E2BIG);
	assert_string_equal(err.text, "cannot start true: Argument list too long");
	/* Those of the confinement count. */
	argv[PROCESS_ARGV_MAX - 6] = NULL;
	assert_int_equal(process_start(&(struct process_spec){ .self = "true",
							       .role = "agent",
							       .confine_words = argv,
							       .argv = argv },
				       &pid, fds, &err),
			 -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_and_signals),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_folder_and_stdin),
		cmocka_unit_test(test_confined),
		cmocka_unit_test(test_socket_for_denied_calls),
		cmocka_unit_test(test_words_of_the_confinement),
		cmocka_unit_test(test_missing_and_not_executable),
		cmocka_unit_test(test_too_many_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
