/* SPDX-License-Identifier: MIT */
#include "entrypoint/family.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/table.h"
#include "tests/forked.h"
#include "tests/racer.h"

/*
 * A child, its child, and a child in another group, all waiting for ever. They hold the end of a
 * pipe, so that its end tells that all of them are gone.
 */
struct family {
	pid_t pids[3];
	int alive;
};

enum { FAMILY_CHILD, FAMILY_GRANDCHILD, FAMILY_OTHER };

static void __attribute__((noreturn)) wait_for_ever(void)
{
	for (;;)
		(void)pause();
}

static int make_family(struct family *family)
{
	int ends[2], names[2];

	/* As init does it: who loses its parent stays below us. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(names, O_CLOEXEC) < 0)
		return -1;
	family->pids[FAMILY_CHILD] = fork();
	if (family->pids[FAMILY_CHILD] == 0) {
		pid_t pid;

		(void)setpgid(0, 0);
		pid = fork();
		if (pid == 0)
			wait_for_ever();
		(void)!write(names[1], &pid, sizeof(pid));
		wait_for_ever();
	}
	if (read(names[0], &family->pids[FAMILY_GRANDCHILD], sizeof(pid_t)) != sizeof(pid_t))
		return -1;
	family->pids[FAMILY_OTHER] = fork();
	if (family->pids[FAMILY_OTHER] == 0)
		wait_for_ever();
	(void)setpgid(family->pids[FAMILY_OTHER], family->pids[FAMILY_OTHER]);
	close(ends[1]);
	close(names[0]);
	close(names[1]);
	family->alive = ends[0];
	return 0;
}

/* The end of the pipe: every process that held its other end is gone. */
static bool all_are_gone(const struct family *family)
{
	char byte;

	return read(family->alive, &byte, 1) == 0;
}

static int signal_descendants(void)
{
	struct family family;
	pid_t stranger = fork();

	/* Not below the process that signals. */
	if (stranger == 0)
		wait_for_ever();
	if (fork() == 0) {
		if (make_family(&family) < 0)
			_exit(1);
		if (family_signal_descendants(0) != 3)
			_exit(2);
		if (family_signal_descendants(SIGKILL) != 3)
			_exit(3);
		if (!all_are_gone(&family))
			_exit(4);
		while (wait(NULL) > 0)
			;
		_exit(family_signal_descendants(SIGKILL) == 0 ? 0 : 5);
	} else {
		int status;

		CHECK(waitpid(-1, &status, 0) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	CHECK(kill(stranger, SIGKILL) == 0);
	CHECK(waitpid(stranger, NULL, 0) == stranger);
	return 0;
}

/* Not PID 1: "all" must not be the machine. The test's own parents would not survive it. */
static int signal_all(void)
{
	struct family family;

	CHECK(make_family(&family) == 0);
	CHECK(!family_has_others());
	family_signal_all(SIGKILL);
	CHECK(all_are_gone(&family));
	return 0;
}

#define RACER_LINES 6

/* As for the end of a job: what is left of it does not want to be killed. */
static int kill_racers(void)
{
	int alive[2];
	char byte;
	pid_t pid, keep;

	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	CHECK(pipe(alive) == 0);
	pid = fork();
	if (pid == 0) {
		racer_start_all(RACER_LINES);
		(void)usleep(50000);
		_exit(0);
	}
	keep = fork();
	if (keep == 0)
		wait_for_ever();
	close(alive[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(fcntl(alive[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(read(alive[0], &byte, 1) == -1);
	/* Init is told of each death, and repeats it. */
	for (int i = 0; i < 100 && read(alive[0], &byte, 1) != 0; i++)
		family_kill_descendants(keep);
	CHECK(read(alive[0], &byte, 1) == 0);
	/* It was killed, and is left to whom it concerns. */
	CHECK(waitpid(keep, NULL, 0) == keep);
	return 0;
}

static void test_kill(void **state)
{
	(void)state;
	assert_int_equal(forked(kill_racers), 0);
}

static void test_signal(void **state)
{
	(void)state;
	assert_int_equal(forked(signal_descendants), 0);
	assert_int_equal(forked(signal_all), 0);
}

static int forward_to_group(void)
{
	const siginfo_t plain = { .si_signo = SIGTERM, .si_code = SI_USER };
	struct family family;
	int status;

	CHECK(make_family(&family) == 0);
	CHECK(family_forward_group(&plain, family.pids[FAMILY_CHILD]) == 0);
	CHECK(waitpid(family.pids[FAMILY_CHILD], &status, 0) > 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	/* Not a member. */
	CHECK(waitpid(family.pids[FAMILY_OTHER], &status, WNOHANG) == 0);
	CHECK(family_forward_group(&plain, family.pids[FAMILY_OTHER]) == 0);
	CHECK(waitpid(family.pids[FAMILY_OTHER], &status, 0) > 0);
	CHECK(family_forward_group(&plain, family.pids[FAMILY_OTHER]) == -ESRCH);
	CHECK(all_are_gone(&family));
	return 0;
}

static int signo_with_value;
static int exit_pipe[2];

/* Every member tells the value that it got. */
static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	(void)!write(exit_pipe[1], &info->si_value.sival_int, sizeof(int));
	_exit(0);
}

static int forward_value_to_group(void)
{
	const struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	const siginfo_t info = {
		.si_signo = SIGRTMIN,
		.si_code = SI_QUEUE,
		.si_value = { .sival_ptr = (void *)5 },
	};
	struct family family;
	int values[2];

	signo_with_value = SIGRTMIN;
	CHECK(pipe2(exit_pipe, O_CLOEXEC) == 0);
	CHECK(sigaction(signo_with_value, &action, NULL) == 0);
	CHECK(make_family(&family) == 0);
	CHECK(family_forward_group(&info, family.pids[FAMILY_CHILD]) == 0);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		CHECK(read(exit_pipe[0], &values[i], sizeof(int)) == (ssize_t)sizeof(int));
		CHECK(values[i] == 5);
	}
	CHECK(family_signal_descendants(SIGKILL) >= 1);
	CHECK(all_are_gone(&family));
	return 0;
}

static void test_forward(void **state)
{
	(void)state;
	assert_int_equal(forked(forward_to_group), 0);
	assert_int_equal(forked(forward_value_to_group), 0);
}

static int wake(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		wait_for_ever();
	/* Nothing for one that runs. */
	family_wake(child);
	CHECK(kill(child, SIGSTOP) == 0);
	CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	CHECK(waitpid(child, &status, WCONTINUED | WNOHANG) == 0);
	family_wake(child);
	CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	return 0;
}

static void test_wake(void **state)
{
	(void)state;
	assert_int_equal(forked(wake), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
