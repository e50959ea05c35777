/* SPDX-License-Identifier: MIT */
#include "runner/io/orphans.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static bool knows(void *userdata, pid_t pid)
{
	const pid_t *known = userdata;

	return pid == *known;
}

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	assert_true(pid > 0);
	return pid;
}

static int signal_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_kills_strangers_only(void **state)
{
	pid_t known = start_sleeper(), stranger = start_sleeper();

	(void)state;
	assert_int_equal(orphans_kill(knows, &known), 1);
	assert_int_equal(signal_of(stranger), SIGKILL);
	assert_int_equal(kill(known, 0), 0);
	assert_int_equal(orphans_kill(knows, &known), 0);
	assert_int_equal(kill(known, SIGTERM), 0);
	assert_int_equal(signal_of(known), SIGTERM);
}

/* A grandchild belongs to its parent for as long as that one lives. */
static void test_grandchildren_come_later(void **state)
{
	pid_t none = -1, parent;
	size_t killed;
	int ready[2];
	char byte;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(ready), 0);
	parent = fork();
	if (parent == 0) {
		if (fork() == 0)
			(void)pause();
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* The parent may die, and leave its child to us, while /proc is still being read. */
	killed = orphans_kill(knows, &none);
	assert_int_equal(signal_of(parent), SIGKILL);
	if (killed == 1)
		killed += orphans_kill(knows, &none);
	assert_int_equal(killed, 2);
	assert_true(waitpid(-1, NULL, 0) > 0);
	assert_int_equal(orphans_kill(knows, &none), 0);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_strangers_only),
		cmocka_unit_test(test_grandchildren_come_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
