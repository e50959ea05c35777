/* SPDX-License-Identifier: MIT */
#include "entrypoint/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "entrypoint/landlock.h"
#include "entrypoint/seccomp.h"
#include "tests/rights.h"
#include "tests/test.h"

/* In a child, what holds is told by the line that does not: 0 is success. */
#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

static void run_in_child(int (*fn)(void))
{
	int status, line = 0, fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		/* fds from 3 on are closed by what is tested. */
		(void)dup2(fds[1], STDOUT_FILENO);
		line = fn();
		(void)!write(STDOUT_FILENO, &line, sizeof(line));
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &line, sizeof(line)), sizeof(line));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The line of this file that does not hold. */
	assert_int_equal(line, 0);
}

static const struct privileges_user *target(void)
{
	static struct privileges_user user;

	user = (struct privileges_user){ .uid = 4321, .gid = 4322, .groups = { 7 }, .n_groups = 1 };
	return geteuid() == 0 ? &user : NULL;
}

/* At once what comes in two parts where a configuration is read between them. */
static int apply(enum policy_role role, const struct privileges_user *user, struct err *err)
{
	const struct privileges_request request = {
		.role = role,
		.user = user,
		.workspace = "/workspace",
	};
	int r = privileges_apply(&request, err);

	return r == 0 && role == POLICY_ROLE_RUNNER ? privileges_apply_rest(&request, NULL, err)
						    : r;
}

static int check_common(struct rights *rights)
{
	CHECK(rights_read(rights));
	CHECK(rights->cap_effective == 0 && rights->cap_permitted == 0);
	CHECK(rights->cap_inheritable == 0 && rights->cap_ambient == 0);
	CHECK(rights->no_new_privs == 1);
	CHECK(rights->seccomp == 2);
	CHECK(seccomp_is_installed(&(struct seccomp_options){ .is_for_children = true }));
	return 0;
}

static int apply_runner(void)
{
	const struct privileges_user *user = target();
	bool is_root = user != NULL;
	int high = fcntl(STDOUT_FILENO, F_DUPFD, 57);
	struct rights rights;
	struct rlimit limit;
	uid_t uids[3];
	gid_t gids[3], groups[8];
	struct err err = { .text = "" };
	int r;

	CHECK(high >= 57);
	CHECK(apply(POLICY_ROLE_RUNNER, user, &err) == 0);
	r = check_common(&rights);
	if (r != 0)
		return r;
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(fcntl(high, F_GETFD) < 0 && errno == EBADF);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	if (!is_root)
		return 0;
	CHECK(rights.cap_bounding == 0);
	CHECK(getresuid(&uids[0], &uids[1], &uids[2]) == 0);
	CHECK(getresgid(&gids[0], &gids[1], &gids[2]) == 0);
	CHECK(uids[0] == 4321 && uids[1] == 4321 && uids[2] == 4321);
	CHECK(gids[0] == 4322 && gids[1] == 4322 && gids[2] == 4322);
	CHECK(getgroups(8, groups) == 1 && groups[0] == 7);
	/* There is no way back. */
	CHECK(setresuid(0, 0, 0) < 0 && errno == EPERM);
	CHECK(setgroups(0, NULL) < 0 && errno == EPERM);
	return 0;
}

static void test_runner(void **state)
{
	(void)state;
	run_in_child(apply_runner);
}

static int apply_command(void)
{
	int high = fcntl(STDOUT_FILENO, F_DUPFD, 57);
	struct rights rights;
	struct rlimit before, after;
	struct err err = { .text = "" };
	int r;

	CHECK(getrlimit(RLIMIT_CORE, &before) == 0);
	CHECK(apply(POLICY_ROLE_COMMAND, target(), &err) == 0);
	r = check_common(&rights);
	if (r != 0)
		return r;
	CHECK(fcntl(high, F_GETFD) == 0);
	CHECK(getrlimit(RLIMIT_CORE, &after) == 0 && before.rlim_max == after.rlim_max);
	return 0;
}

static void test_command_keeps_fds_and_limits(void **state)
{
	(void)state;
	run_in_child(apply_command);
}

/* The socket through which the filter's listener goes is the only one that stays, until exec. */
static int tell_denied(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	const struct privileges_request told = {
		.role = POLICY_ROLE_AGENT,
		.user = target(),
		.workspace = "/workspace",
		.notify_fd = 50,
	};
	int ends[2], high, low;
	pid_t pid;
	struct err err = { .text = "" };

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	low = fcntl(STDOUT_FILENO, F_DUPFD, 40);
	high = fcntl(STDOUT_FILENO, F_DUPFD, 60);
	CHECK(dup2(ends[1], 50) == 50);
	pid = fork();
	if (pid == 0) {
		CHECK(privileges_apply(&told, &err) == 0);
		CHECK(fcntl(low, F_GETFD) < 0 && fcntl(high, F_GETFD) < 0);
		CHECK(fcntl(50, F_GETFD) == FD_CLOEXEC);
		_exit(0);
	}
	CHECK(recvmsg(ends[0], &message, 0) == 1);
	CHECK(CMSG_FIRSTHDR(&message) && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS);
	CHECK(waitpid(pid, &low, 0) == pid && low == 0);
	return 0;
}

static void test_denied_calls_are_told(void **state)
{
	(void)state;
	run_in_child(tell_denied);
}

static int oom_score(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);

	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return atoi(text);
}

/* The agent dies first when memory runs out: its score is half of all there is above the loop's. */
static int raise_oom_score(void)
{
	struct err err = { .text = "" };
	int before = oom_score();

	CHECK(apply(POLICY_ROLE_COMMAND, target(), &err) == 0);
	CHECK(oom_score() == before);
	return 0;
}

static int raise_oom_score_of_agent(void)
{
	struct err err = { .text = "" };
	int before = oom_score();

	CHECK(apply(POLICY_ROLE_AGENT, target(), &err) == 0);
	CHECK(oom_score() == (before > 500 ? before : 500));
	return 0;
}

/* Undumpable, its files in /proc are root's: it goes on. */
static int raise_oom_score_in_vain(void)
{
	struct err err = { .text = "" };
	int before = oom_score();

	CHECK(apply(POLICY_ROLE_RUNNER, target(), &err) == 0);
	CHECK(oom_score() == before);
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == 0);
	CHECK(geteuid() == 0 || oom_score() == before);
	return 0;
}

static void test_oom_score(void **state)
{
	(void)state;
	run_in_child(raise_oom_score);
	run_in_child(raise_oom_score_of_agent);
	run_in_child(raise_oom_score_in_vain);
}

static int apply_twice(void)
{
	const struct seccomp_options agent = { 0 };
	struct rights rights;
	struct err err = { .text = "" };

	CHECK(apply(POLICY_ROLE_RUNNER, target(), &err) == 0);
	CHECK(!seccomp_is_installed(&agent));
	/* As the loop does for each of its children. */
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == 0);
	CHECK(seccomp_is_installed(&agent));
	CHECK(check_common(&rights) == 0);
	return 0;
}

static void test_agent_below_runner(void **state)
{
	(void)state;
	run_in_child(apply_twice);
}

static int stay_root(void)
{
	struct rights rights;
	struct err err = { .text = "" };
	uid_t uid = geteuid();

	CHECK(apply(POLICY_ROLE_COMMAND, NULL, &err) == 0);
	CHECK(geteuid() == uid);
	/* Root in name only. */
	CHECK(check_common(&rights) == 0);
	return 0;
}

static void test_staying_who_we_are(void **state)
{
	(void)state;
	run_in_child(stay_root);
}

static int switch_off(void)
{
	struct rights before, after;
	struct err err = { .text = "" };

	CHECK(rights_read(&before));
	CHECK(setenv("AGENT_PROTECTION_CAPS", "off", 1) == 0);
	CHECK(setenv("AGENT_PROTECTION_SECCOMP", "off", 1) == 0);
	CHECK(setenv("AGENT_PROTECTION_NO_NEW_PRIVS", "off", 1) == 0);
	CHECK(setenv("AGENT_PROTECTION_UNDUMPABLE", "off", 1) == 0);
	CHECK(apply(POLICY_ROLE_RUNNER, NULL, &err) == 0);
	CHECK(rights_read(&after));
	CHECK(after.cap_effective == before.cap_effective);
	CHECK(after.cap_bounding == before.cap_bounding);
	CHECK(after.no_new_privs == before.no_new_privs);
	CHECK(!seccomp_is_installed(&(struct seccomp_options){ .is_for_children = true }));
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
	return 0;
}

static void test_off(void **state)
{
	(void)state;
	run_in_child(switch_off);
}

/* Without no_new_privs (and CAP_SYS_ADMIN) the kernel refuses filters. */
static int require_what_is_missing(void)
{
	struct err err = { .text = "" };

	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	CHECK(setenv("AGENT_PROTECTION_NO_NEW_PRIVS", "off", 1) == 0);
	CHECK(setenv("AGENT_PROTECTION_SECCOMP", "require", 1) == 0);
	CHECK(setenv("AGENT_PROTECTION_CAPS", "try", 1) == 0);
	CHECK(apply(POLICY_ROLE_RUNNER, target(), &err) == EXIT_CODE_NO_PERMISSION);
	CHECK(strcmp(err.text, "protection SECCOMP is required and missing: seccomp filter: "
			       "Permission denied; AGENT_PROTECTION_SECCOMP=try goes on without "
			       "it") == 0);
	return 0;
}

static void test_required_and_missing(void **state)
{
	(void)state;
	run_in_child(require_what_is_missing);
}

/* Stderr of the child goes to a pipe: the log has to name what is lacking. */
static int try_what_is_missing(void)
{
	struct err err = { .text = "" };
	char text[1024] = "";
	int fds[2];

	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	CHECK(setenv("AGENT_PROTECTION_NO_NEW_PRIVS", "off", 1) == 0);
	CHECK(pipe(fds) == 0);
	CHECK(dup2(fds[1], STDERR_FILENO) >= 0 && dup2(fds[0], STDIN_FILENO) >= 0);
	CHECK(setenv("AGENT_PROTECTION_CAPS", "try", 1) == 0);
	CHECK(apply(POLICY_ROLE_RUNNER, target(), &err) == 0);
	CHECK(read(STDIN_FILENO, text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "agent-runner: warning: protection SECCOMP is missing: seccomp filter: "
			   "Permission denied\n"));
	/* The agent's stderr is the agent's. */
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == 0);
	CHECK(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
	CHECK(read(STDIN_FILENO, text, sizeof(text)) < 0 && errno == EAGAIN);
	return 0;
}

static void test_tried_and_missing(void **state)
{
	(void)state;
	run_in_child(try_what_is_missing);
}

static void test_environment(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(privileges_check_environment(&err), 0);
	setenv("AGENT_PROTECTION_SECCOMP", "yes", 1);
	assert_int_equal(privileges_check_environment(&err), EXIT_CODE_CONFIG);
	assert_string_equal(err.text,
			    "AGENT_PROTECTION_SECCOMP=yes: the value is require, try or off");
	assert_int_equal(apply(POLICY_ROLE_RUNNER, NULL, &err), EXIT_CODE_CONFIG);
	unsetenv("AGENT_PROTECTION_SECCOMP");
	setenv("AGENT_PROTECTION_SECOMP", "require", 1);
	assert_int_equal(privileges_check_environment(&err), EXIT_CODE_CONFIG);
	assert_string_equal(err.text,
			    "AGENT_PROTECTION_SECOMP: there is no such protection; there are CAPS, "
			    "NO_NEW_PRIVS, UNDUMPABLE, LANDLOCK and SECCOMP");
	unsetenv("AGENT_PROTECTION_SECOMP");
	assert_int_equal(privileges_check_environment(&err), 0);
}

/* Only root gets so far; for others the kernel's refusal is the test. */
static int fail_to_switch(void)
{
	struct privileges_user user = { .uid = 4321, .gid = 4322 };
	struct err err = { .text = "" };

	if (geteuid() == 0)
		CHECK(setresuid(5555, 5555, 5555) == 0);
	CHECK(apply(POLICY_ROLE_COMMAND, &user, &err) == EXIT_CODE_NO_PERMISSION);
	CHECK(strcmp(err.text, "cannot become 4321:4322 (start the container with --user "
			       "4321:4322, or give it CAP_SETUID and CAP_SETGID): setgroups: "
			       "Operation not permitted") == 0);
	return 0;
}

static void test_a_failed_switch_is_fatal(void **state)
{
	(void)state;
	run_in_child(fail_to_switch);
}

/* Everybody may write there, but no row of the policy names it. */
static bool has_landlock(void)
{
	int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EACCES;
}

/* What the runner's files are it learns later; the agent gets its own at once. */
static int limit_files(void)
{
	const struct privileges_request request = {
		.role = POLICY_ROLE_RUNNER,
		.user = target(),
		.workspace = "/workspace",
	};
	struct err err = { .text = "" };
	int fd;

	CHECK(privileges_apply(&request, &err) == 0);
	CHECK(!seccomp_is_installed(&(struct seccomp_options){ .is_for_children = true }));
	fd = open("/etc/passwd", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	CHECK(!has_landlock());
	CHECK(privileges_apply_rest(&request, NULL, &err) == 0);
	CHECK(has_landlock());
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == 0);
	return 0;
}

/* The sandbox's word, then the environment's. */
static int choose_modes(void)
{
	struct sandbox sandbox = { .has_mode = { [POLICY_PROTECTION_LANDLOCK] = true },
				   .modes = { [POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_OFF } };
	const struct privileges_request request = { .role = POLICY_ROLE_AGENT,
						    .workspace = "/workspace",
						    .sandbox = &sandbox };
	struct err err = { .text = "" };

	CHECK(privileges_apply(&request, &err) == 0);
	CHECK(!has_landlock());
	CHECK(setenv("AGENT_PROTECTION_LANDLOCK", "require", 1) == 0);
	CHECK(privileges_apply(&request, &err) == 0);
	CHECK(has_landlock());
	return 0;
}

/* Sixteen rulesets are all that the kernel keeps for a process. */
static int narrow_in_vain(void)
{
	struct sandbox sandbox = { .connect = { .is_given = true } };
	const struct privileges_request request = { .role = POLICY_ROLE_AGENT,
						    .workspace = "/workspace",
						    .sandbox = &sandbox };
	struct err err = { .text = "" };
	int r = 0;

	for (int i = 0; r == 0 && i < 20; i++)
		r = privileges_apply(&request, &err);
	/* Asked for a limit, it does not go on without. */
	CHECK(r == EXIT_CODE_NO_PERMISSION);
	CHECK(strstr(err.text, "the sandbox limits what is read, or TCP ports, which only LANDLOCK "
			       "can do: Landlock: "));
	/* Nor without: the kernel has it, and why it failed nobody knows. */
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == EXIT_CODE_NO_PERMISSION);
	CHECK(strstr(err.text, "protection LANDLOCK cannot be put in place: Landlock: "));
	/* Off, it is the host's decision; but then no limit can be asked for. */
	CHECK(setenv("AGENT_PROTECTION_LANDLOCK", "off", 1) == 0);
	CHECK(apply(POLICY_ROLE_AGENT, NULL, &err) == 0);
	CHECK(privileges_apply(&request, &err) == EXIT_CODE_CONFIG);
	CHECK(strstr(err.text, "which only LANDLOCK can do, and that is off"));
	return 0;
}

static void test_landlock(void **state)
{
	(void)state;
	if (landlock_version() == 0)
		test_skip("this kernel has no Landlock");
	run_in_child(limit_files);
	run_in_child(choose_modes);
	run_in_child(narrow_in_vain);
}

static int limit_resources(void)
{
	const struct rlimit few = { .rlim_cur = 4000, .rlim_max = 5000 };
	struct err err = { .text = "" };
	struct rlimit limit;

	CHECK(setrlimit(RLIMIT_NPROC, &few) == 0);
	CHECK(apply(POLICY_ROLE_AGENT, target(), &err) == 0);
	CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
	CHECK(limit.rlim_cur == 3984 && limit.rlim_max == 3984);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	CHECK(getrlimit(RLIMIT_RTPRIO, &limit) == 0 && limit.rlim_max == 0);
	return 0;
}

static void test_limits(void **state)
{
	(void)state;
	run_in_child(limit_resources);
}

static int protect_init(void)
{
	const uint64_t kept = 1u << 5 /* KILL */ | 1u << 6 /* SETGID */ | 1u << 7 /* SETUID */ |
			      1u << 8 /* SETPCAP */;
	struct rights before, after;
	struct err err = { .text = "" };

	CHECK(rights_read(&before));
	CHECK(privileges_protect_init(target(), &err) == 0);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(rights_read(&after));
	CHECK(after.no_new_privs == 1);
	if (geteuid() != 0) {
		CHECK(after.cap_permitted == before.cap_permitted);
		return 0;
	}
	CHECK(after.cap_permitted == (before.cap_permitted & kept));
	CHECK(after.cap_effective == after.cap_permitted);
	/* With what is left a child can still become the user and lose everything. */
	CHECK(apply(POLICY_ROLE_RUNNER, target(), &err) == 0);
	CHECK(check_common(&after) == 0);
	CHECK(after.cap_bounding == 0);
	return 0;
}

static void test_protect_init(void **state)
{
	(void)state;
	run_in_child(protect_init);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runner),
		cmocka_unit_test(test_command_keeps_fds_and_limits),
		cmocka_unit_test(test_agent_below_runner),
		cmocka_unit_test(test_denied_calls_are_told),
		cmocka_unit_test(test_oom_score),
		cmocka_unit_test(test_staying_who_we_are),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_required_and_missing),
		cmocka_unit_test(test_tried_and_missing),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_a_failed_switch_is_fatal),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_protect_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
