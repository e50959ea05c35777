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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/table.h"
#include "entrypoint/policy-calls.h"
#include "entrypoint/seccomp-filter.h"
#include "tests/entrypoint/aarch64-filter.h"
#include "tests/entrypoint/i386-filter.h"
#include "tests/test.h"

/* A compiled filter, as it is or as it would be installed. */
struct filter {
	const struct sock_filter *rows;
	size_t n;
	uint32_t arch;
};

static const struct filter as_compiled = { seccomp_filter, ARRAY_LEN(seccomp_filter), 0 };

/* What the kernel would answer: the part of classic BPF that tools/compile-filter writes. */
static uint32_t filter_answer(const struct filter *filter, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < filter->n; pc++) {
		const struct sock_filter *row = &filter->rows[pc];
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
		case BPF_JMP | BPF_JGE | BPF_K:
			jump = a >= row->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			jump = (a & row->k) != 0;
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

static uint32_t answer_with(const struct filter *filter, uint32_t number, const uint64_t args[6])
{
	struct seccomp_data data = {
		.nr = (int)number,
		.arch = filter->arch ? filter->arch : seccomp_arch_native(),
	};

	memcpy(data.args, args, sizeof(data.args));
	return filter_answer(filter, &data);
}

static uint32_t answer_to(const struct filter *filter, int number, unsigned int argument,
			  uint64_t value)
{
	uint64_t args[6] = { 0 };

	args[argument] = value;
	return answer_with(filter, (uint32_t)number, args);
}

/* The call's number there; -1: this architecture does not have it. */
static int number_of(const struct filter *filter, const struct policy_call *call)
{
	uint32_t arch = filter->arch ? filter->arch : seccomp_arch_native();
	int number = seccomp_syscall_resolve_name_arch(arch, call->name);

	if (number == __NR_SCMP_ERROR)
		number = call->number;
	return number > 0 ? number : -1;
}

static bool holds(const struct policy_call *call, const uint64_t args[6])
{
	for (size_t i = 0; i < call->n_conditions; i++) {
		const struct policy_condition *c = &call->conditions[i];

		if (((args[c->argument] & c->mask) == c->value) == c->is_unequal)
			return false;
	}
	return true;
}

/* The table, read row by row: what the compiled tree must come to. */
static uint32_t expected(const struct filter *filter, uint32_t number, const uint64_t args[6])
{
	/* libseccomp is slow at names, and they are the same every time. */
	static int numbers[256];
	static uint32_t numbers_of = 1;
	const struct policy_call *calls;
	size_t n;

	calls = policy_calls(&n);
	assert_true(n <= ARRAY_LEN(numbers));
	for (size_t i = 0; numbers_of != filter->arch && i < n; i++)
		numbers[i] = number_of(filter, &calls[i]);
	numbers_of = filter->arch;
	for (size_t i = 0; i < n; i++)
		if (numbers[i] == (int)number && holds(&calls[i], args))
			return SECCOMP_RET_ERRNO | (uint32_t)calls[i].group << SECCOMP_GROUP_SHIFT |
			       (uint32_t)calls[i].answer;
	return SECCOMP_RET_ALLOW;
}

/* Every number, with arguments around the values that the table speaks of. */
static void check_all_numbers(const struct filter *filter)
{
	static const uint64_t values[] = { 0, 1, 3, 5, 8, 0x40000005, ~0ULL };

	for (uint32_t number = 0; number < 600; number++)
		for (size_t i = 0; i < ARRAY_LEN(values); i++)
			for (size_t j = 0; j < ARRAY_LEN(values); j++) {
				const uint64_t args[6] = { values[i], values[j], values[i] };

				assert_int_equal(answer_with(filter, number, args),
						 expected(filter, number, args));
			}
}

/* A row's arguments: such that it matches, or that its i-th condition alone does not. */
static void fill_args(const struct policy_call *call, size_t except, uint64_t args[6])
{
	memset(args, 0, 6 * sizeof(args[0]));
	for (size_t i = 0; i < call->n_conditions; i++) {
		const struct policy_condition *c = &call->conditions[i];
		bool equal = c->is_unequal == (i == except);

		args[c->argument] = equal ? c->value : c->value ^ (c->mask & -c->mask);
	}
}

/* Returns how many of the table's rows this architecture has. */
static size_t check_every_row(const struct filter *filter)
{
	const struct policy_call *calls;
	size_t n, seen = 0;

	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		const struct policy_call *call = &calls[i];
		uint32_t wanted = SECCOMP_RET_ERRNO | (uint32_t)call->group << SECCOMP_GROUP_SHIFT |
				  (uint32_t)call->answer;
		int number = number_of(filter, call);
		uint64_t args[6];

		if (number < 0)
			continue;
		seen++;
		fill_args(call, POLICY_CONDITIONS_MAX, args);
		assert_int_equal(answer_with(filter, (uint32_t)number, args), wanted);
		for (size_t j = 0; j < call->n_conditions; j++) {
			const struct policy_condition *c = &call->conditions[j];

			/* Other bits neither hide the value nor are mistaken for it. */
			args[c->argument] |= ~c->mask & 0xffffffff00000000;
			assert_int_equal(answer_with(filter, (uint32_t)number, args), wanted);
		}
		for (size_t j = 0; j < call->n_conditions; j++) {
			fill_args(call, j, args);
			assert_int_equal(answer_with(filter, (uint32_t)number, args),
					 expected(filter, (uint32_t)number, args));
		}
	}
	return seen;
}

static void test_every_row_is_in_the_filter(void **state)
{
	size_t n;

	(void)state;
	(void)policy_calls(&n);
	/* Few calls of the table are the other architecture's own. */
	assert_true(check_every_row(&as_compiled) + 12 >= n);
	check_all_numbers(&as_compiled);
}

static const struct filter for_aarch64 = {
	aarch64_filter,
	ARRAY_LEN(aarch64_filter),
	AUDIT_ARCH_AARCH64,
};

static void test_the_same_for_aarch64(void **state)
{
	static const struct {
		int number; /* asm-generic/unistd.h */
		uint32_t answer;
	} calls[] = {
		{ 40 /* mount */, SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | EPERM },
		{ 39 /* umount2 */, SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | EPERM },
		{ 219 /* keyctl */, SECCOMP_RET_ERRNO | EPERM },
		{ 280 /* bpf */, SECCOMP_RET_ERRNO | EPERM },
		{ 425 /* io_uring_setup */, SECCOMP_RET_ERRNO | ENOSYS },
		{ 435 /* clone3 */, SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | ENOSYS },
		{ 457 /* statmount */, SECCOMP_RET_ERRNO | EPERM },
		{ 42 /* nfsservctl */, SECCOMP_RET_ERRNO | POLICY_MARKER_ERRNO },
		{ 45 /* truncate */, SECCOMP_RET_ERRNO | 2u << SECCOMP_GROUP_SHIFT | EPERM },
		{ 46 /* ftruncate */, SECCOMP_RET_ALLOW },
		{ 63 /* read */, SECCOMP_RET_ALLOW },
		{ 64 /* write */, SECCOMP_RET_ALLOW },
		{ 220 /* clone */, SECCOMP_RET_ALLOW },
		{ 56 /* openat */, SECCOMP_RET_ALLOW },
		{ 221 /* execve */, SECCOMP_RET_ALLOW },
		{ 261 /* prlimit64 */, SECCOMP_RET_ALLOW },
		{ 198 /* socket */, SECCOMP_RET_ALLOW },
	};
	struct seccomp_data foreign = { .nr = 63, .arch = AUDIT_ARCH_ARM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(answer_to(&for_aarch64, calls[i].number, 0, 0), calls[i].answer);
	assert_int_equal(answer_to(&for_aarch64, 220, 0, CLONE_NEWUSER),
			 SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | EPERM);
	assert_int_equal(filter_answer(&for_aarch64, &foreign), SECCOMP_RET_ERRNO | ENOSYS);
	assert_true(check_every_row(&for_aarch64) > 70);
	check_all_numbers(&for_aarch64);
}

/* What the option i386 adds; the x86-64 part stays the same. */
static void test_the_same_for_i386(void **state)
{
	struct filter filter = { i386_filter, ARRAY_LEN(i386_filter), AUDIT_ARCH_I386 };
	struct seccomp_data x32 = { .nr = 0x40000000 | 165, .arch = AUDIT_ARCH_X86_64 };

	(void)state;
	assert_int_equal(answer_to(&filter, 21 /* mount */, 0, 0),
			 SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | EPERM);
	assert_int_equal(answer_to(&filter, 22 /* umount */, 0, 0),
			 SECCOMP_RET_ERRNO | 1u << SECCOMP_GROUP_SHIFT | EPERM);
	assert_int_equal(answer_to(&filter, 404 /* clock_settime64 */, 0, 0),
			 SECCOMP_RET_ERRNO | EPERM);
	/* socket(2) through another door: AF_ALG would be out of sight. */
	assert_int_equal(answer_to(&filter, 102 /* socketcall */, 0, 1 /* SYS_SOCKET */),
			 SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(answer_to(&filter, 102 /* socketcall */, 0, 3 /* SYS_CONNECT */),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(&filter, 3 /* read */, 0, 0), SECCOMP_RET_ALLOW);
	assert_true(check_every_row(&filter) > 80);
	check_all_numbers(&filter);
	filter.arch = AUDIT_ARCH_X86_64;
	check_every_row(&filter);
	check_all_numbers(&filter);
	assert_int_equal(filter_answer(&filter, &x32), SECCOMP_RET_ERRNO | ENOSYS);
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
		"personality",
		"process_madvise",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number >= 0)
			assert_int_equal(answer_to(&as_compiled, number, 0, 0), SECCOMP_RET_ALLOW);
	}
	/* Calls of the future too, and one that a tracer has skipped. */
	assert_int_equal(answer_to(&as_compiled, 999, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(&as_compiled, -1, 0, 0), SECCOMP_RET_ALLOW);
	/* What a thread and a process are made with. */
	assert_int_equal(answer_to(&as_compiled, SYS_clone, 0,
				   CLONE_VM | CLONE_FS | CLONE_THREAD | CLONE_SIGHAND),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(&as_compiled, SYS_unshare, 0, CLONE_FILES | CLONE_FS),
			 SECCOMP_RET_ALLOW);
	/* The exit signal SIGCHLD must not be read as a flag. */
	assert_int_equal(answer_to(&as_compiled, SYS_clone, 0, SIGCHLD), SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(&as_compiled, SYS_socket, 0, AF_UNIX), SECCOMP_RET_ALLOW);
	assert_int_equal(answer_to(&as_compiled, SYS_ioctl, 1, TIOCGWINSZ), SECCOMP_RET_ALLOW);
}

static void test_other_architectures_are_not_there(void **state)
{
	struct seccomp_data data = { .nr = 1, .arch = AUDIT_ARCH_MIPS };

	(void)state;
	assert_int_equal(filter_answer(&as_compiled, &data), SECCOMP_RET_ERRNO | ENOSYS);
#if defined(__x86_64__)
	/* x32 has the same architecture and a bit in the number. */
	assert_int_equal(answer_to(&as_compiled, 0x40000000 | SYS_mount, 0, 0),
			 SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(answer_to(&as_compiled, 0x40000000 | SYS_read, 0, 0),
			 SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

/* What is answered to a call under these options, where EPERM became 0x1234. */
static uint32_t answer_under(struct seccomp_options options, int number, unsigned int argument,
			     uint64_t value)
{
	static struct sock_filter rows[SECCOMP_ROWS_MAX];
	const struct filter filter = { rows, seccomp_program(&options, 0x1234, rows), 0 };

	return answer_to(&filter, number, argument, value);
}

static void test_groups(void **state)
{
	const struct seccomp_options strict = { 0 }, namespaces = { .namespaces_allowed = true },
				     truncate = { .truncate_denied = true },
				     children = { .is_for_children = true,
						  .namespaces_allowed = true };
	static const uint64_t flags[] = {
		CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
		CLONE_NEWIPC,  CLONE_NEWPID, CLONE_NEWNET,
	};
	const uint32_t allow = SECCOMP_RET_ALLOW;

	(void)state;
	assert_int_equal(answer_under(strict, SYS_unshare, 0, CLONE_NEWUSER), 0x1234);
	assert_int_equal(answer_under(strict, SYS_mount, 0, 0), 0x1234);
	assert_int_equal(answer_under(strict, SYS_keyctl, 0, 0), 0x1234);
	assert_int_equal(answer_under(strict, SYS_truncate, 0, 0), allow);
	assert_int_equal(answer_under(strict, SYS_clone3, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(answer_under(strict, SYS_seccomp, 1, 8), SECCOMP_RET_ERRNO | EBUSY);
	assert_int_equal(answer_under(strict, SYS_socket, 0, AF_ALG),
			 SECCOMP_RET_ERRNO | EAFNOSUPPORT);

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		assert_int_equal(answer_under(strict, SYS_unshare, 0, flags[i]), 0x1234);
		assert_int_equal(answer_under(strict, SYS_clone, 0, flags[i] | SIGCHLD), 0x1234);
	}
	assert_int_equal(answer_under(strict, SYS_unshare, 0, 0x80 /* CLONE_NEWTIME */), 0x1234);

	assert_int_equal(answer_under(namespaces, SYS_unshare, 0, CLONE_NEWUSER), allow);
	assert_int_equal(answer_under(namespaces, SYS_mount, 0, 0), allow);
	assert_int_equal(answer_under(namespaces, SYS_clone3, 0, 0), allow);
	assert_int_equal(answer_under(namespaces, SYS_keyctl, 0, 0), 0x1234);
	assert_int_equal(answer_under(namespaces, SYS_seccomp, 1, 8), SECCOMP_RET_ERRNO | EBUSY);

	assert_int_equal(answer_under(truncate, SYS_truncate, 0, 0), SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(answer_under(truncate, SYS_ftruncate, 0, 0), allow);

	/* It could not be taken back. */
	assert_int_equal(answer_under(children, SYS_unshare, 0, CLONE_NEWUSER), allow);
	assert_int_equal(answer_under(children, SYS_seccomp, 1, 8), allow);
	assert_int_equal(answer_under(children, SYS_keyctl, 0, 0), 0x1234);
	assert_int_equal(answer_under(children, SYS_io_uring_setup, 0, 0),
			 SECCOMP_RET_ERRNO | ENOSYS);
}

static void test_names_of_calls(void **state)
{
	(void)state;
	assert_string_equal(seccomp_call_name(seccomp_arch_native(), SYS_mount), "mount");
	assert_string_equal(seccomp_call_name(seccomp_arch_native(), SYS_open_tree), "open_tree");
	assert_null(seccomp_call_name(seccomp_arch_native(), SYS_read));
	assert_null(seccomp_call_name(AUDIT_ARCH_MIPS, SYS_mount));
}

#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

/* Runs fn in a child. What does not hold there is the line it returns, else 0. */
static int in_child(int (*fn)(void))
{
	int status, line = -1, fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		line = fn();
		(void)!write(fds[1], &line, sizeof(line));
		_exit(0);
	}
	close(fds[1]);
	/* A killed one writes nothing. */
	(void)!read(fds[0], &line, sizeof(line));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return line;
}

static const struct seccomp_options usual = { 0 };

#if defined(__x86_64__)
#ifdef SECCOMP_HAS_I386
#define I386_GETPID getpid()
#define I386_UMOUNT (-EPERM)
#else
#define I386_GETPID (-ENOSYS)
#define I386_UMOUNT (-ENOSYS)
#endif

static long call_i386(long number, long first)
{
	long result;

	/* r8 to r11: the kernel clears them on this way. */
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(first)
			 : "r8", "r9", "r10", "r11", "memory");
	return result;
}

/* Without its part for i386 the kernel answers with a signal, whatever filters say. */
static bool runs_i386(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(call_i386(20 /* getpid */, 0) == getpid() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}
#endif

/* In a child: the number of the line that failed, or 0. */
static int try_in_kernel(void)
{
	const struct rlimit limit = { .rlim_cur = 7, .rlim_max = 7 };
	const struct seccomp_options more = { .truncate_denied = true };
	const struct sched_param param = { 0 };
	struct err err = { .text = "" };
	struct rlimit got;
#if defined(__x86_64__)
	const bool has_i386 = runs_i386();
#endif
	CHECK(!seccomp_is_installed(&usual));
	/* What these calls answer without the filter, else the rest would prove nothing. */
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL);
	CHECK(unshare(CLONE_FILES) == 0);
	CHECK(prlimit(getpid(), RLIMIT_CORE, NULL, &got) == 0);
	CHECK(truncate("/nowhere/at/all", 0) < 0 && errno == ENOENT);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	CHECK(seccomp_install(&usual, &err) == 0);
	CHECK(seccomp_is_installed(&usual));
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
	/* Of others one may learn the limits, and set one's own. */
	CHECK(prlimit(getppid(), RLIMIT_CORE, &limit, NULL) < 0 && errno == EPERM);
	CHECK(prlimit(getpid(), RLIMIT_CORE, NULL, &got) == 0);
	CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
	CHECK(sched_setscheduler(getppid(), SCHED_IDLE, &param) < 0 && errno == EPERM);
	CHECK(sched_setscheduler(getpid(), SCHED_OTHER, &param) == 0);
	CHECK(sched_setscheduler(0, SCHED_IDLE, &param) == 0);
	CHECK(syscall(SYS_ioprio_set, 1, getppid(), 0) < 0 && errno == EPERM);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 8, NULL) < 0 && errno == EBUSY);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) < 0 && errno == EFAULT);
#if defined(__x86_64__)
	CHECK(syscall(0x40000000L | SYS_getpid) < 0 && errno == ENOSYS);
	CHECK(!has_i386 || call_i386(20 /* getpid */, 0) == I386_GETPID);
	CHECK(!has_i386 || call_i386(22 /* umount */, 0) == I386_UMOUNT);
#endif
	/* Once is enough: a second one would be passed by every call. */
	CHECK(seccomp_install(&usual, &err) == 0);
	CHECK(truncate("/nowhere/at/all", 0) < 0 && errno == ENOENT);
	/* Unless it denies more. */
	CHECK(!seccomp_is_installed(&more));
	CHECK(seccomp_install(&more, &err) == 0);
	CHECK(seccomp_is_installed(&more) && seccomp_is_installed(&usual));
	CHECK(truncate("/nowhere/at/all", 0) < 0 && errno == EPERM);
	CHECK(unshare(CLONE_NEWUSER) < 0 && errno == EPERM);
	return 0;
}

/* A parent's filter must leave its children what they may do, and no more than that. */
static int try_below_parent(void)
{
	const struct seccomp_options parent = { .is_for_children = true,
						.namespaces_allowed = true };
	struct err err = { .text = "" };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	CHECK(seccomp_install(&parent, &err) == 0);
	CHECK(seccomp_is_installed(&parent) && !seccomp_is_installed(&usual));
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	      (errno == ENOSYS || errno == EPERM));
	CHECK(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL) < 0);
	CHECK(setns(-1, 0) < 0 && errno == EBADF);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL);
	CHECK(seccomp_install(&usual, &err) == 0);
	CHECK(seccomp_is_installed(&usual));
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	      errno == EPERM);
	CHECK(setns(-1, 0) < 0 && errno == EPERM);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	return 0;
}

/* The listener that came through socket, or -1. */
static int receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &message, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* Asks in another process, and answers it. 0, or what is wrong. */
static int ask_and_answer(int listener)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp answer = { .error = -EIDRM };
	const char *name;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL) < 0 ? errno : 0);
	CHECK(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0);
	CHECK(asked.data.nr == SYS_mount);
	name = seccomp_call_name(asked.data.arch, asked.data.nr);
	CHECK(name && strcmp(name, "mount") == 0);
	answer.id = asked.id;
	CHECK(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == EIDRM);
	return 0;
}

/* Below a parent's filter, as the loop's children are. */
static int try_to_tell(void)
{
	const struct seccomp_options parent = { .is_for_children = true };
	struct seccomp_options options = { 0 };
	struct err err = { .text = "" };
	int sockets[2], listener, r;

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	options.notify_fd = sockets[1];
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	CHECK(seccomp_install(&parent, &err) == 0);
	CHECK(seccomp_install(&options, &err) == 0);
	CHECK(seccomp_is_installed(&usual));
	listener = receive(sockets[0]);
	CHECK(listener >= 0);
	r = ask_and_answer(listener);
	if (r != 0)
		return r;
	/* What callers fall back from is not worth a word. */
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
	/* A second one, and nobody hears of it: the first stays. */
	CHECK(seccomp_install(&options, &err) == 0);
	CHECK(receive(sockets[0]) < 0);
	/* The loop is gone: a listener of the agent's own would let calls through. */
	close(listener);
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	      errno == ENOSYS);
	CHECK(setns(-1, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		      NULL) < 0 &&
	      errno == EBUSY);
	return 0;
}

static void test_denied_calls_are_told(void **state)
{
	(void)state;
	assert_int_equal(in_child(try_to_tell), 0);
}

/* Somebody has a listener already: as denied, and in silence. */
static int try_to_tell_below_a_listener(void)
{
	struct sock_filter row = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &row };
	struct seccomp_options options = { 0 };
	struct err err = { .text = "" };
	int sockets[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	options.notify_fd = sockets[1];
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		      &program) >= 0);
	CHECK(seccomp_install(&options, &err) == 0);
	CHECK(receive(sockets[0]) < 0);
	CHECK(setns(-1, 0) < 0 && errno == EPERM);
	return 0;
}

static void test_below_a_listener(void **state)
{
	(void)state;
	assert_int_equal(in_child(try_to_tell_below_a_listener), 0);
}

static void test_below_a_parent(void **state)
{
	(void)state;
	assert_int_equal(in_child(try_below_parent), 0);
}

static void test_the_kernel_takes_it(void **state)
{
	(void)state;
	assert_int_equal(in_child(try_in_kernel), 0);
}

static int install_without_no_new_privs(void)
{
	struct err err = { .text = "" };

	if (geteuid() == 0)
		CHECK(setresuid(4321, 4321, 4321) == 0);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	CHECK(seccomp_install(&usual, &err) == -EACCES);
	CHECK(strcmp(err.text, "seccomp filter: Permission denied") == 0);
	CHECK(!seccomp_is_installed(&usual));
	return 0;
}

static void test_a_refusal_is_told(void **state)
{
	(void)state;
	assert_int_equal(in_child(install_without_no_new_privs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_is_in_the_filter),
		cmocka_unit_test(test_the_rest_is_allowed),
		cmocka_unit_test(test_other_architectures_are_not_there),
		cmocka_unit_test(test_the_same_for_aarch64),
		cmocka_unit_test(test_the_same_for_i386),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_names_of_calls),
		cmocka_unit_test(test_below_a_parent),
		cmocka_unit_test(test_denied_calls_are_told),
		cmocka_unit_test(test_below_a_listener),
		cmocka_unit_test(test_the_kernel_takes_it),
		cmocka_unit_test(test_a_refusal_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
