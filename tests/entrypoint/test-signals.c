/* SPDX-License-Identifier: MIT */
#include "entrypoint/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static int read_all_numbers(void)
{
	struct signalfd_siginfo info;
	int fd = -1;

	CHECK(signals_take() == 0);
	CHECK(signals_open(&fd) == 0);
	CHECK(signals_read(fd, &info) == 0);
	/* By number and by the kernel: the C library refuses 32 and 33. */
	for (int signo = 1; signo <= SIGNALS_LAST; signo++) {
		if (signo == SIGKILL || signo == SIGSTOP)
			continue;
		CHECK(syscall(SYS_kill, getpid(), signo) == 0);
		CHECK(signals_read(fd, &info) == 1);
		CHECK(info.ssi_signo == (uint32_t)signo);
		CHECK(signals_is_own(&info));
		CHECK(signals_read(fd, &info) == 0);
	}
	close(fd);
	CHECK(signals_read(fd, &info) == -EBADF);
	return 0;
}

static void test_read(void **state)
{
	(void)state;
	assert_int_equal(forked(read_all_numbers), 0);
}

static int forward_values(void)
{
	const union sigval values[] = { { .sival_int = 42 }, { .sival_ptr = (void *)0x1234567 } };
	struct signalfd_siginfo info, copy;
	int fd = -1;

	CHECK(signals_take() == 0);
	CHECK(signals_open(&fd) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN + 3, values[i]) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(signals_read(fd, &info) == 1);
		CHECK(!signals_is_own(&info));
		info.ssi_pid = 77;
		info.ssi_uid = 88;
		CHECK(signals_forward(&info, getpid()) == 0);
	}
	for (int i = 0; i < 2; i++) {
		CHECK(signals_read(fd, &copy) == 1);
		CHECK(copy.ssi_signo == (uint32_t)SIGRTMIN + 3 && copy.ssi_code == SI_QUEUE);
		CHECK(copy.ssi_ptr == (uintptr_t)values[i].sival_ptr);
		CHECK(copy.ssi_pid == 77 && copy.ssi_uid == 88);
	}
	return 0;
}

static int forward_without_value(void)
{
	const struct signalfd_siginfo info = { .ssi_signo = SIGUSR2, .ssi_code = SI_USER };
	struct signalfd_siginfo copy;
	int fd = -1;

	CHECK(signals_take() == 0);
	CHECK(signals_open(&fd) == 0);
	CHECK(signals_forward(&info, getpid()) == 0);
	CHECK(signals_read(fd, &copy) == 1);
	CHECK(copy.ssi_signo == SIGUSR2 && copy.ssi_code == SI_USER);
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
	struct signalfd_siginfo info = { .ssi_signo = SIGUSR1, .ssi_code = SI_USER };
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(signals_forward(&info, pid) == -ESRCH);
	info.ssi_code = SI_QUEUE;
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),	cmocka_unit_test(test_read),
		cmocka_unit_test(test_forward), cmocka_unit_test(test_forward_to_nobody),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
