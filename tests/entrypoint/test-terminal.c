/* SPDX-License-Identifier: MIT */
#include "entrypoint/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "entrypoint/signals.h"
#include "tests/forked.h"

/* Starts a session of our own on a new terminal, which becomes stream. Its other end is returned. */
static int open_terminal(int stream)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || setsid() < 0)
		return -1;
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, stream) < 0)
		return -1;
	close(slave);
	return master;
}

static void close_standard(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* STDERR stays as it is: CHECK writes there. It is no terminal of this session. */
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	close(null);
}

static int find_none(void)
{
	close_standard();
	CHECK(setsid() > 0);
	CHECK(terminal_find() == -1);
	CHECK(!terminal_is_there());
	/* And the other calls do nothing without one. */
	CHECK(terminal_give(-1, getpid()) == 0);
	CHECK(terminal_take(-1) == 0);
	return 0;
}

static int find_stdout(void)
{
	close_standard();
	CHECK(open_terminal(STDOUT_FILENO) >= 0);
	CHECK(terminal_find() == STDOUT_FILENO);
	return 0;
}

static int give_and_take(void)
{
	pid_t child;

	close_standard();
	CHECK(open_terminal(STDIN_FILENO) >= 0);
	CHECK(signals_take() == 0);
	child = fork();
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	CHECK(setpgid(child, child) == 0);
	CHECK(terminal_give(STDIN_FILENO, child) == 0);
	CHECK(tcgetpgrp(STDIN_FILENO) == child);
	CHECK(terminal_find() == -1); /* we are in the background */
	CHECK(terminal_is_there());
	CHECK(terminal_take(STDIN_FILENO) == 0);
	CHECK(tcgetpgrp(STDIN_FILENO) == getpgrp());
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(terminal_give(STDIN_FILENO, child) == -ESRCH);
	return 0;
}

/* In an orphaned process group nobody could continue us: the stop does not take place. */
static int suspend_orphaned(void)
{
	close_standard();
	CHECK(open_terminal(STDIN_FILENO) >= 0);
	CHECK(signals_take() == 0);
	terminal_suspend(SIGTSTP);
	return 0;
}

/* With a parent outside of the group it does. */
static int suspend_job(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		(void)setpgid(0, 0);
		(void)signals_take();
		terminal_suspend(SIGTSTP);
		_exit(9);
	}
	CHECK(waitpid(child, &status, WUNTRACED) == child);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
	CHECK(kill(child, SIGCONT) == 0);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	return 0;
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(forked(find_none), 0);
	assert_int_equal(forked(find_stdout), 0);
}

static void test_give_and_take(void **state)
{
	(void)state;
	assert_int_equal(forked(give_and_take), 0);
}

static void test_suspend(void **state)
{
	(void)state;
	assert_int_equal(forked(suspend_orphaned), 0);
	assert_int_equal(forked(suspend_job), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_give_and_take),
		cmocka_unit_test(test_suspend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
