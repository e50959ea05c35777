/* SPDX-License-Identifier: MIT */
#include "entrypoint/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/table.h"
#include "entrypoint/policy.h"
#include "entrypoint/seccomp-filter.h"
#include "tests/test.h"

/* What the kernel would answer: the part of classic BPF that libseccomp writes. */
static uint32_t filter_answer(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < ARRAY_LEN(seccomp_filter); pc++) {
		const struct sock_filter *row = &seccomp_filter[pc];
		bool jump;

		switch (row->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(row->k + sizeof(a) <= sizeof(*data));
			memcpy(&a, (const char *)data + row->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= row->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += row->k;
			continue;
		case BPF_RET | BPF_K:
			return row->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			jump = a == row->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			jump = a > row->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			jump = a >= row->k;
			break;
		default:
			fail_msg("row %zu: unknown code 0x%x", pc, row->code);
			return 0;
		}
		pc += jump ? row->jt : row->jf;
	}
	fail_msg("the filter ends without an answer");
	return 0;
}

static uint32_t answer_to(int number, unsigned int argument, uint64_t value)
{
	struct seccomp_data data = { .nr = number, .arch = seccomp_arch_native() };

	data.args[argument] = value;
	return filter_answer(&data);
}

/* The call's number here; -1: this architecture does not have it. */
static int number_of(const struct policy_call *call)
{
	int number = seccomp_syscall_resolve_name(call->name);

	if (number == __NR_SCMP_ERROR)
		number = call->number;
	return number > 0 ? number : -1;
}

static void test_every_row_is_in_the_filter(void **state)
{
	const struct policy_call *calls;
	size_t n, seen = 0;

	(void)state;
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		uint32_t wanted = SECCOMP_RET_ERRNO | (uint32_t)calls[i].answer;
		int number = number_of(&calls[i]);

		if (number < 0)
			continue;
		seen++;
		assert_int_equal(answer_to(number, calls[i].argument, calls[i].value), wanted);
		if (!calls[i].has_condition)
			continue;
		/* Other bits neither hide the value nor are mistaken for it. */
		assert_int_equal(answer_to(number, calls[i].argument,
					   calls[i].value | (~calls[i].mask & 0xffffffff00000000)),
				 wanted);
		assert_int_equal(answer_to(number, calls[i].argument, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(answer_to(number, calls[i].argument + 1, calls[i].value),
				 SECCOMP_RET_ALLOW);
	}
	/* Few calls of the table are x86's own. */
	assert_true(seen + 5 >= n);
}

static void test_the_rest_is_allowed(void **state)
{
	static const char *const names[] = {
		"read",
		"write",
		"openat",
		"close",
		"execve",
		"clone",
		"fork",
		"ptrace",
		"kill",
		"process_vm_readv",
		"prctl",
		"seccomp",
		"landlock_create_ruleset",
		"socket",
		"connect",
		"ioctl",
		"unshare",
		"epoll_wait",
		"pidfd_open",
		"pidfd_send_signal",
		"memfd_create",
		"futex",
		"mmap",
		"inotify_init1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number >= 0)
			assert_int_equal(answer_to(number, 0, 0), SECCOMP_RET_ALLOW);
	}
	/* Calls of the future too. */
	assert_int_equal(answer_to(999, 0, 0), SECCOMP_RET_ALLOW);
	/* What a thread and a process are made with. */
	assert_int_equal(
		answer_to(SYS_clone, 0, CLONE_VM | CLONE_FS | CLONE_THREAD | CLONE_SIGHAND),
		SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(SYS_unshare, 0, CLONE_FILES | CLONE_FS), SECCOMP_RET_ALLOW);
	/* The exit signal SIGCHLD must not be read as a flag. */
	assert_int_equal(answer_to(SYS_clone, 0, SIGCHLD), SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(SYS_socket, 0, AF_UNIX), SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(SYS_ioctl, 1, TIOCGWINSZ), SECCOMP_RET_ALLOW);
}

static void test_other_architectures_are_killed(void **state)
{
	struct seccomp_data data = { .nr = 1, .arch = AUDIT_ARCH_I386 };

	(void)state;
	assert_int_equal(filter_answer(&data), SECCOMP_RET_KILL_PROCESS);
	data.arch = AUDIT_ARCH_MIPS;
	assert_int_equal(filter_answer(&data), SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
	/* x32 has the same architecture and a bit in the number. */
	assert_int_equal(answer_to(0x40000000 | SYS_mount, 0, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(answer_to(0x40000000 | SYS_read, 0, 0), SECCOMP_RET_KILL_PROCESS);
#endif
}

#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

/* In a child: the number of the line that failed, or 0. */
static int try_in_kernel(void)
{
	struct err err = { .text = "" };

	CHECK(!seccomp_is_installed());
	/* What these calls answer without the filter, else the rest would prove nothing. */
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL);
	CHECK(unshare(CLONE_FILES) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	CHECK(seccomp_install(&err) == 0);
	CHECK(seccomp_is_installed());
	CHECK(prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	      errno == EPERM);
	CHECK(unshare(CLONE_NEWUSER) < 0 && errno == EPERM);
	CHECK(unshare(CLONE_FILES) == 0);
	CHECK(ioctl(-1, TIOCSTI, "x") < 0 && errno == EPERM);
	CHECK(ioctl(-1, TIOCGWINSZ, NULL) < 0 && errno == EBADF);
	CHECK(socket(AF_VSOCK, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
	CHECK(socket(AF_ALG, SOCK_SEQPACKET, 0) < 0 && errno == EAFNOSUPPORT);
	/* Once is enough: a second one would be passed by every call. */
	CHECK(seccomp_install(&err) == 0);
	return 0;
}

static void test_the_kernel_takes_it(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(try_in_kernel() & 0xff);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	/* The low byte of the line in try_in_kernel() that does not hold. */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int install_without_no_new_privs(void)
{
	struct err err = { .text = "" };

	if (geteuid() == 0)
		CHECK(setresuid(4321, 4321, 4321) == 0);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	CHECK(seccomp_install(&err) == -EACCES);
	CHECK(strcmp(err.text, "seccomp filter: Permission denied") == 0);
	CHECK(!seccomp_is_installed());
	return 0;
}

static void test_a_refusal_is_told(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(install_without_no_new_privs() & 0xff);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_is_in_the_filter),
		cmocka_unit_test(test_the_rest_is_allowed),
		cmocka_unit_test(test_other_architectures_are_killed),
		cmocka_unit_test(test_the_kernel_takes_it),
		cmocka_unit_test(test_a_refusal_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
