/* SPDX-License-Identifier: MIT */
/* This program executes itself again, with the arguments of an agent-runner. */
#include "entrypoint/cli-process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/table.h"
#include "tests/test.h"

#define WORDS	 4
#define PLAYS	 "TEST_CLI_PROCESS"
#define LONG_LEN (2 * CLI_PROCESS_LINE_MAX)

static pid_t start(const char *const words[WORDS])
{
	char byte;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *argv[WORDS + 1] = { NULL };

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(fds[1], STDOUT_FILENO);
		memcpy(argv, words, WORDS * sizeof(argv[0]));
		if (setenv(PLAYS, "1", 1) == 0)
			(void)execv("/proc/self/exe", argv);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_words(void **state)
{
	static const struct {
		const char *words[WORDS];
		int result;
		enum cli_mode mode;
		const char *workspace;
		bool names_workspace;
	} cases[] = {
		{ { "agent-runner", "--workspace=/w" }, 0, CLI_SESSION, "/w", true },
		{ { "agent-runner", "--workspace", "/w", "--keep-alive" },
		  0,
		  CLI_KEEP_ALIVE,
		  "/w",
		  true },
		/* Behind the command's name it is the command's own. */
		{ { "/x/agent-runner", "sh", "--workspace=/no" }, 0, CLI_COMMAND, "/ours", false },
		{ { "bun", "run", "/app/src/index.ts" }, 0, CLI_SESSION, "/ours", false },
		{ { "agent-runner", "mcp" }, -EINVAL },
		{ { "agent-runner", "confine", "--role=agent", "true" }, -EINVAL },
		{ { "agent-runner", "--frob" }, -EINVAL },
	};

	(void)state;
	assert_int_equal(setenv("AGENT_WORKSPACE", "/ours", 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pid_t pid = start(cases[i].words);
		struct cli_process process;

		assert_int_equal(cli_process_read(pid, &process), cases[i].result);
		if (cases[i].result == 0) {
			assert_int_equal(process.cli.mode, cases[i].mode);
			assert_string_equal(process.cli.workspace, cases[i].workspace);
			assert_int_equal(process.cli.names_workspace, cases[i].names_workspace);
			assert_null(process.cli.command);
		}
		end(pid);
	}
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
}

static void test_long_line(void **state)
{
	static char word[LONG_LEN];
	const char *const words[WORDS] = { "agent-runner", "--workspace=/w", "sh", word };
	struct cli_process process;
	pid_t pid;

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	pid = start(words);
	assert_int_equal(cli_process_read(pid, &process), 0);
	assert_string_equal(process.cli.workspace, "/w");
	end(pid);
}

static void test_nobody(void **state)
{
	struct cli_process process;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(cli_process_read(pid, &process) < 0);
	/* Where unit tests run, PID 1 is no agent-runner. */
	assert_int_equal(cli_process_read_init(&process), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_nobody),
	};

	if (getenv(PLAYS)) {
		if (write(STDOUT_FILENO, "r", 1) != 1)
			return 1;
		for (;;)
			(void)pause();
	}
	(void)unsetenv("AGENT_WORKSPACE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
