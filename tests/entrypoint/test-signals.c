/* SPDX-License-Identifier: MIT */
#include "entrypoint/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/forked.h"

/* A set of /proc/self/status: bit n - 1 is signal n. */
static uint64_t status_set(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t set = 1; /* no set that occurs */
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			set = strtoull(line + strlen(key), NULL, 16);
	if (file)
		(void)fclose(file);
	return set;
}

#define BIT(signo) (UINT64_C(1) << ((signo)-1))

static int take_after_inheritance(void)
{
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGRTMAX, SIG_IGN);
	CHECK(status_set("SigIgn:\t") & BIT(SIGHUP));
	CHECK(signals_take() == 0);
	/* Nobody can block these two. */
	CHECK(status_set("SigBlk:\t") == ~(BIT(SIGKILL) | BIT(SIGSTOP)));
	CHECK(status_set("SigIgn:\t") == 0);
	CHECK(status_set("SigCgt:\t") == 0);
	CHECK(signals_release() == 0);
	CHECK(status_set("SigBlk:\t") == 0);
	return 0;
}

static void test_take(void **state)
{
	(void)state;
	assert_int_equal(forked(take_after_inheritance), 0);
}

static int wait_for_all_numbers(void)
{
	siginfo_t info;

	CHECK(signals_take() == 0);
	CHECK(signals_wait(0, &info) == 0);
	/* By number and by the kernel: the C library refuses 32 and 33. */
	for (int signo = 1; signo <= SIGNALS_LAST; signo++) {
		if (signo == SIGKILL || signo == SIGSTOP)
			continue;
		CHECK(syscall(SYS_kill, getpid(), signo) == 0);
		CHECK(signals_wait(-1, &info) == 1);
		CHECK(info.si_signo == signo);
		CHECK(signals_is_own(&info, getpid()) && !signals_is_own(&info, 1));
		CHECK(signals_wait(0, &info) == 0);
	}
	return 0;
}

/* It ends at its time, and with a signal before that. */
static int wait_in_time(void)
{
	siginfo_t info;
	int64_t before;
	pid_t pid;

	CHECK(signals_take() == 0);
	before = clock_monotonic_ms();
	CHECK(signals_wait(1100, &info) == 0);
	CHECK(clock_monotonic_ms() - before >= 1100);
	pid = fork();
	if (pid == 0) {
		(void)poll(NULL, 0, 100);
		_exit(kill(getppid(), SIGUSR1));
	}
	CHECK(signals_wait(60 * 1000, &info) == 1);
	CHECK(info.si_signo == SIGUSR1 && info.si_pid == pid);
	CHECK(waitpid(pid, NULL, 0) == pid);
	return 0;
}

/* Its descriptor tells that there is one, and leaves it there. */
static int wait_beside_others(void)
{
	struct pollfd ready = { .events = POLLIN };
	siginfo_t info;

	CHECK(signals_take() == 0);
	CHECK(signals_open(&ready.fd) == 0);
	CHECK(poll(&ready, 1, 0) == 0);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(poll(&ready, 1, -1) == 1);
	CHECK(signals_wait(0, &info) == 1 && info.si_signo == SIGUSR1);
	CHECK(poll(&ready, 1, 0) == 0);
	close(ready.fd);
	return 0;
}

/* The end comes before what has a lower number, and leaves that where it is. */
static int look_for_end(void)
{
	siginfo_t info;

	CHECK(signals_take() == 0);
	CHECK(kill(getpid(), SIGHUP) == 0);
	CHECK(signals_look_for_end(&info) == 0);
	CHECK(kill(getpid(), SIGTERM) == 0);
	CHECK(signals_look_for_end(&info) == 1 && info.si_signo == SIGTERM);
	CHECK(signals_look_for_end(&info) == 0);
	CHECK(signals_wait(0, &info) == 1 && info.si_signo == SIGHUP);
	return 0;
}

static void test_wait(void **state)
{
	(void)state;
	assert_int_equal(forked(wait_for_all_numbers), 0);
	assert_int_equal(forked(wait_in_time), 0);
	assert_int_equal(forked(wait_beside_others), 0);
	assert_int_equal(forked(look_for_end), 0);
}

static int forward_values(void)
{
	const union sigval values[] = { { .sival_int = 42 }, { .sival_ptr = (void *)0x1234567 } };
	siginfo_t info, copy;

	CHECK(signals_take() == 0);
	for (int i = 0; i < 2; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN + 3, values[i]) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(signals_wait(0, &info) == 1);
		CHECK(!signals_is_own(&info, getpid()));
		info.si_pid = 77;
		info.si_uid = 88;
		CHECK(signals_forward(&info, getpid()) == 0);
	}
	for (int i = 0; i < 2; i++) {
		CHECK(signals_wait(0, &copy) == 1);
		CHECK(copy.si_signo == SIGRTMIN + 3 && copy.si_code == SI_QUEUE);
		CHECK(copy.si_value.sival_ptr == values[i].sival_ptr);
		CHECK(copy.si_pid == 77 && copy.si_uid == 88);
	}
	return 0;
}

static int forward_without_value(void)
{
	const siginfo_t info = { .si_signo = SIGUSR2, .si_code = SI_USER };
	siginfo_t copy;

	CHECK(signals_take() == 0);
	CHECK(signals_forward(&info, getpid()) == 0);
	CHECK(signals_wait(0, &copy) == 1);
	CHECK(copy.si_signo == SIGUSR2 && copy.si_code == SI_USER);
	return 0;
}

static void test_forward(void **state)
{
	(void)state;
	assert_int_equal(forked(forward_values), 0);
	assert_int_equal(forked(forward_without_value), 0);
}

static int forward_to_nobody(void)
{
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_USER };
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(signals_forward(&info, pid) == -ESRCH);
	info.si_code = SI_QUEUE;
	CHECK(signals_forward(&info, pid) == -ESRCH);
	return 0;
}

static void test_forward_to_nobody(void **state)
{
	(void)state;
	assert_int_equal(forked(forward_to_nobody), 0);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_int_equal(signals_kind(SIGTERM), SIGNALS_END);
	assert_int_equal(signals_kind(SIGINT), SIGNALS_END);
	assert_int_equal(signals_kind(SIGCHLD), SIGNALS_CHILD);
	assert_int_equal(signals_kind(SIGTSTP), SIGNALS_SUSPEND);
	assert_int_equal(signals_kind(SIGTTIN), SIGNALS_SUSPEND);
	assert_int_equal(signals_kind(SIGTTOU), SIGNALS_SUSPEND);
	assert_int_equal(signals_kind(SIGCONT), SIGNALS_CONTINUE);
	assert_int_equal(signals_kind(SIGHUP), SIGNALS_FORWARD);
	assert_int_equal(signals_kind(SIGQUIT), SIGNALS_FORWARD);
	assert_int_equal(signals_kind(64), SIGNALS_FORWARD);
	assert_int_equal(signals_kind(65), SIGNALS_FORWARD);
	assert_int_equal(signals_kind(0), SIGNALS_FORWARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),	cmocka_unit_test(test_wait),
		cmocka_unit_test(test_forward), cmocka_unit_test(test_forward_to_nobody),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
