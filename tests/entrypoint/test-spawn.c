/* SPDX-License-Identifier: MIT */
#include "entrypoint/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "entrypoint/signals.h"
#include "tests/capture.h"
#include "tests/forked.h"

/* spawn_child */

static int look_around(void *userdata)
{
	char name[16] = "";
	sigset_t blocked;

	CHECK(getpgrp() == getpid());
	CHECK(prctl(PR_GET_NAME, name) == 0);
	CHECK(strcmp(name, "agent-test") == 0);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
	for (int signo = 1; signo <= SIGNALS_LAST; signo++)
		CHECK(sigismember(&blocked, signo) != 1);
	return *(const int *)userdata;
}

static int spawn_one(bool executes)
{
	int code = 42, status;
	const struct spawn_spec spec = {
		.name = "agent-test",
		.terminal = -1,
		.executes = executes,
		.run = look_around,
		.userdata = &code,
	};
	char name[16] = "";
	sigset_t blocked;
	struct err err;
	pid_t pid = 0;

	CHECK(signals_take() == 0);
	CHECK(spawn_child(&spec, &pid, &err) == 0);
	CHECK(pid > 0);
	/* The parent can rely on the group, too. */
	CHECK(getpgid(pid) == pid);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	/* What it did to itself, it did not do to us. */
	CHECK(prctl(PR_GET_NAME, name) == 0);
	CHECK(strcmp(name, "agent-test") != 0);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
	CHECK(sigismember(&blocked, SIGTERM) == 1);
	return 0;
}

static int spawn_copy(void)
{
	return spawn_one(false);
}

static int spawn_borrower(void)
{
	return spawn_one(true);
}

static void test_child(void **state)
{
	(void)state;
	assert_int_equal(forked(spawn_copy), 0);
	assert_int_equal(forked(spawn_borrower), 0);
}

/* spawn_exec */

static char program[] = "/bin/sh";
static char option[] = "-c";

static int exec_exit(void)
{
	char script[] = "exit 7";
	char *argv[] = { program, option, script, NULL };

	return spawn_exec(argv, 0);
}

static int exec_from_path(void)
{
	char name[] = "sh", script[] = "exit 8";
	char *argv[] = { name, option, script, NULL };

	return spawn_exec(argv, 0);
}

static int exec_pid_variables(void)
{
	char script[] = "test $LISTEN_PID = $$ && test $WATCHDOG_PID = 1";
	char *argv[] = { program, option, script, NULL };
	char parent[16];

	(void)snprintf(parent, sizeof(parent), "%d", (int)getppid());
	(void)setenv("LISTEN_PID", parent, 1);
	(void)setenv("WATCHDOG_PID", "1", 1); /* somebody else: stays */
	return spawn_exec(argv, getppid());
}

static void test_exec(void **state)
{
	(void)state;
	assert_int_equal(forked(exec_exit), 7);
	assert_int_equal(forked(exec_from_path), 8);
	assert_int_equal(forked(exec_pid_variables), 0);
}

static char exec_name[4096];

static int exec_that_name(void)
{
	char *argv[] = { exec_name, NULL };

	return spawn_exec(argv, 0);
}

/* What a failed execution says and returns. */
static void expect_failure(const char *name, int code, const char *text)
{
	static struct capture capture;
	int result;

	(void)snprintf(exec_name, sizeof(exec_name), "%s", name);
	capture_start(&capture, STDERR_FILENO);
	result = forked(exec_that_name);
	assert_string_equal(capture_stop(&capture), text);
	assert_int_equal(result, code);
}

static void write_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_exec_failures(void **state)
{
	char folder[] = "/tmp/test-spawn-XXXXXX";
	static const char *const files[] = { "plain", "script" };

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	write_file("plain", 0644, "no program\n");
	write_file("script", 0755, "#!/nonexistent/interpreter\n");
	assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);

	expect_failure("agent-runner-nonesuch", EXIT_CODE_NOT_FOUND,
		       "agent-runner: error: agent-runner-nonesuch: not found\n");
	expect_failure("./nonesuch", EXIT_CODE_NOT_FOUND,
		       "agent-runner: error: ./nonesuch: not found\n");
	expect_failure("./plain/below", EXIT_CODE_NOT_FOUND,
		       "agent-runner: error: ./plain/below: not found\n");
	expect_failure("", EXIT_CODE_NOT_FOUND, "agent-runner: error: : not found\n");
	expect_failure("./script", EXIT_CODE_NOT_FOUND,
		       "agent-runner: error: ./script: its interpreter was not found\n");
	expect_failure("./plain", EXIT_CODE_NOT_EXECUTABLE,
		       "agent-runner: error: ./plain: cannot be executed: Permission denied\n");
	expect_failure("/", EXIT_CODE_NOT_EXECUTABLE,
		       "agent-runner: error: /: cannot be executed: Permission denied\n");
	/* A folder of PATH that is none of ours makes EACCES of everything. */
	assert_int_equal(setenv("PATH", "/usr/bin:./plain", 1), 0);
	expect_failure("nonesuch", EXIT_CODE_NOT_FOUND,
		       "agent-runner: error: nonesuch: not found\n");
	/* It is there, though not for us: that is what to say. */
	assert_int_equal(setenv("PATH", folder, 1), 0);
	expect_failure("plain", EXIT_CODE_NOT_EXECUTABLE,
		       "agent-runner: error: plain: cannot be executed: Permission denied\n");

	assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(unlink(files[i]), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* spawn_bind_to_parent */

static int bind_to_wrong_parent(void)
{
	return spawn_bind_to_parent(getpid()) == -ESRCH ? 0 : 1;
}

/* The child of a process that ends: it must be gone before the pipe closes by itself. */
static int bind_and_die(void)
{
	int ends[2], ready[2];
	char byte;

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	if (fork() == 0) {
		pid_t parent = getpid();

		if (fork() == 0) {
			close(ends[0]);
			if (spawn_bind_to_parent(parent) == 0)
				(void)!write(ready[1], "x", 1);
			for (;;)
				(void)pause();
		}
		(void)!read(ready[0], &byte, 1);
		_exit(0);
	}
	close(ends[1]);
	/* The end of this file is the end of the grandchild. */
	CHECK(read(ends[0], &byte, 1) == 0);
	return 0;
}

static void test_bind(void **state)
{
	(void)state;
	assert_int_equal(forked(bind_to_wrong_parent), 0);
	assert_int_equal(forked(bind_and_die), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_failures),
		cmocka_unit_test(test_bind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
