/* SPDX-License-Identifier: MIT */
#include "entrypoint/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "tests/forked.h"

/* The next dead child, once there is one. */
static int reap_soon(struct reap *ret_reap)
{
	siginfo_t info;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
		return -errno;
	return reap_next(ret_reap);
}

static int no_children(void)
{
	struct reap end;

	CHECK(reap_next(&end) == -ECHILD);
	CHECK(reap_suspension(getpid()) == 0);
	return 0;
}

static int codes(void)
{
	struct reap end;
	pid_t exits = fork(), dies;

	if (exits == 0)
		_exit(42);
	CHECK(reap_soon(&end) == 1);
	CHECK(end.pid == exits && end.signo == 0 && end.code == 42);
	dies = fork();
	if (dies == 0) {
		(void)raise(SIGKILL);
		_exit(0);
	}
	CHECK(reap_soon(&end) == 1);
	CHECK(end.pid == dies && end.signo == SIGKILL && end.code == 137);
	CHECK(reap_next(&end) == -ECHILD);
	return 0;
}

static int orphans(void)
{
	struct reap end;
	pid_t child;

	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	child = fork();
	if (child == 0) {
		if (fork() == 0)
			_exit(7);
		_exit(8);
	}
	/* In whatever order. */
	CHECK(reap_soon(&end) == 1 && end.code == (end.pid == child ? 8 : 7));
	CHECK(reap_soon(&end) == 1 && end.code == (end.pid == child ? 8 : 7));
	CHECK(reap_next(&end) == -ECHILD);
	return 0;
}

/* Waits until the child has stopped, without taking the news away. */
static bool is_stopped(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0;
}

static int stops(void)
{
	pid_t child = fork();
	struct reap end;

	if (child == 0) {
		(void)signal(SIGTSTP, SIG_DFL);
		(void)kill(getpid(), SIGSTOP);
		_exit(3);
	}
	CHECK(is_stopped(child));
	CHECK(reap_next(&end) == 0);
	CHECK(reap_suspension(child) == 0); /* not by the terminal */
	CHECK(kill(child, SIGCONT) == 0);
	CHECK(reap_soon(&end) == 1 && end.code == 3);
	return 0;
}

static int suspends(void)
{
	pid_t child;
	struct reap end;

	/* In an orphaned process group the kernel drops SIGTSTP: we are the parent outside of it. */
	child = fork();
	if (child == 0) {
		(void)setpgid(0, 0);
		(void)signal(SIGTSTP, SIG_DFL);
		(void)raise(SIGTSTP);
		_exit(4);
	}
	CHECK(is_stopped(child));
	CHECK(reap_next(&end) == 0);
	CHECK(reap_suspension(child) == SIGTSTP);
	CHECK(reap_suspension(child) == 0); /* told once */
	CHECK(kill(child, SIGCONT) == 0);
	CHECK(reap_soon(&end) == 1 && end.code == 4);
	return 0;
}

/* Nobody is asked by PTRACE_TRACEME: every child can do this to us. */
static int traced(void)
{
	pid_t child = fork();
	struct reap end;

	if (child == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGWINCH);
		(void)raise(SIGTRAP);
		_exit(5);
	}
	CHECK(is_stopped(child));
	/* Let go with its signal, that it ignores; the next one is the end of an untraced process. */
	CHECK(reap_next(&end) == REAP_ALIVE && end.pid == child);
	CHECK(reap_soon(&end) == 1 && end.signo == SIGTRAP && end.pid == child);
	return 0;
}

static int traced_exec(void)
{
	pid_t child = fork();
	struct reap end;

	if (child == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
		_exit(5);
	}
	CHECK(is_stopped(child));
	CHECK(reap_next(&end) == REAP_ALIVE && end.pid == child);
	CHECK(reap_soon(&end) == 1 && end.code == 6 && end.signo == 0);
	return 0;
}

static void test_all(void **state)
{
	(void)state;
	assert_int_equal(forked(no_children), 0);
	assert_int_equal(forked(codes), 0);
	assert_int_equal(forked(orphans), 0);
}

static void test_stops(void **state)
{
	(void)state;
	assert_int_equal(forked(stops), 0);
	assert_int_equal(forked(suspends), 0);
	assert_int_equal(forked(traced), 0);
	assert_int_equal(forked(traced_exec), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
