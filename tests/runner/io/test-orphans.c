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
	/* Dead, and reaped. */
	assert_int_equal(kill(stranger, 0), -1);
	assert_int_equal(kill(known, 0), 0);
	assert_int_equal(orphans_kill(knows, &known), 0);
	assert_int_equal(kill(known, SIGTERM), 0);
	assert_int_equal(signal_of(known), SIGTERM);
}

/* A child with a child of its own. */
static pid_t start_family(pid_t *ret_grandchild)
{
	int ready[2];
	pid_t parent;

	assert_int_equal(pipe(ready), 0);
	parent = fork();
	if (parent == 0) {
		pid_t child = fork();

		if (child == 0)
			for (;;)
				(void)pause();
		(void)!write(ready[1], &child, sizeof(child));
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], ret_grandchild, sizeof(*ret_grandchild)),
			 sizeof(*ret_grandchild));
	close(ready[0]);
	close(ready[1]);
	return parent;
}

static void test_grandchildren(void **state)
{
	pid_t none = -1, parent, child;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	parent = start_family(&child);
	/* What is below a known one is its affair. */
	assert_int_equal(orphans_kill(knows, &parent), 0);
	assert_int_equal(kill(child, 0), 0);
	assert_true(orphans_kill(knows, &none) >= 1);
	/* It waits for nobody: on a busy machine their end takes a while. */
	for (int i = 0; i < 5000 && (kill(parent, 0) == 0 || kill(child, 0) == 0); i++) {
		(void)orphans_kill(knows, &none);
		(void)usleep(1000);
	}
	assert_int_equal(kill(parent, 0), -1);
	assert_int_equal(kill(child, 0), -1);
	assert_int_equal(orphans_kill(knows, &none), 0);
}

/* A zombie is not killed once more: it is reaped. */
static void test_the_dead(void **state)
{
	pid_t none = -1, pid = fork();
	siginfo_t info;

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(orphans_kill(knows, &none), 0);
	assert_int_equal(waitpid(pid, NULL, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_strangers_only),
		cmocka_unit_test(test_grandchildren),
		cmocka_unit_test(test_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
