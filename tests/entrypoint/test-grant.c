/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/table.h"
#include "entrypoint/landlock.h"
#include "tests/forked.h"

/*
 * A workspace with all that belongs to a session, and beside it a home and a folder of the host's.
 * It does not lie in /tmp, which is the agent's.
 */
static struct {
	char base[PATH_MAX];
	char workspace[PATH_MAX + 8];
} place;

static const char *const folders[] = { "ws",	   "ws/agent",	"ws/extra", "ws/extra/x",
				       "ws/inbox", "ws/outbox", "home",	    "host" };
static const char *const files[] = { "ws/inbound.db", "ws/outbound.db", "ws/outbound.db-journal",
				     "ws/.heartbeat", "ws/agent/notes", "ws/inbox/photo",
				     "host/file",     "home/settings" };

static const char *at(const char *name)
{
	static char path[4][PATH_MAX + 64];
	static int next;

	next = (next + 1) % 4;
	(void)snprintf(path[next], sizeof(path[next]), "%s/%s", place.base, name);
	return path[next];
}

static int setup(void **state)
{
	(void)state;
	/* Root's checkout may be closed to others, whom some cases become. */
	if (geteuid() == 0)
		(void)strcpy(place.base, "/var/lib");
	else if (!realpath(".", place.base))
		return -1;
	(void)strncat(place.base, "/grant-XXXXXX", sizeof(place.base) - strlen(place.base) - 1);
	if (!mkdtemp(place.base) || chmod(place.base, 0755) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdir(at(folders[i]), 0755) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int fd = open(at(files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -1;
		close(fd);
	}
	(void)snprintf(place.workspace, sizeof(place.workspace), "%s", at("ws"));
	(void)unsetenv("TMPDIR");
	return setenv("HOME", at("home"), 1);
}

static int teardown(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", place.base);
	return system(command);
}

/* 0, or the errno. */
static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int become(enum policy_role role, const struct sandbox *sandbox)
{
	struct err err = { .text = "" };
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);

	if (r == 0)
		r = grant_enforce(
			&(struct grant_request){
				.role = role,
				.workspace = place.workspace,
				.sandbox = sandbox,
				.program = "sh",
			},
			&err);
	if (r != 0)
		(void)dprintf(STDERR_FILENO, "%s\n", err.text);
	return r;
}

static int agent_works(void)
{
	struct stat st;

	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("ws/agent/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(rename(at("ws/agent/new"), at("ws/extra/x/new")) == 0);
	CHECK(rename(at("ws/extra/x/new"), at("home/new")) == 0);
	CHECK(link(at("home/new"), at("home/other")) == 0);
	CHECK(symlink("new", at("home/link")) == 0);
	CHECK(mkdir(at("home/folder"), 0700) == 0 && rmdir(at("home/folder")) == 0);
	CHECK(truncate(at("home/new"), 0) == 0);
	CHECK(unlink(at("home/new")) == 0 && unlink(at("home/other")) == 0);
	CHECK(unlink(at("home/link")) == 0);
	CHECK(try_open(at("ws/inbox/photo"), O_RDONLY) == 0);
	CHECK(try_open(at("host/file"), O_RDONLY) == 0);
	CHECK(try_open("/dev/null", O_RDWR) == 0);
	CHECK(try_open("/proc/self/status", O_RDONLY) == 0);
	CHECK(try_open("/dev/urandom", O_RDONLY) == 0);
	CHECK(try_open("/dev", O_RDONLY | O_DIRECTORY) == 0);
	/* Names may be seen, everywhere. */
	CHECK(try_open("/", O_RDONLY | O_DIRECTORY) == 0);
	CHECK(try_open(place.workspace, O_RDONLY | O_DIRECTORY) == 0);
	CHECK(stat(at("ws/inbound.db"), &st) == 0);
	return 0;
}

/* What is kept there begins with a dot; inbox, outbox and the like are the runner's and the host's. */
static int agent_whose_home_is_the_workspace(void)
{
	CHECK(mkdir(at("ws/.claude"), 0700) == 0);
	CHECK(setenv("RUNNER_HOST_HOME", place.workspace, 1) == 0);
	CHECK(setenv("HOME", place.workspace, 1) == 0);
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("ws/.claude/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("ws/.claude/new")) == 0 && rmdir(at("ws/.claude")) < 0);
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("ws/inbox/photo"), O_RDONLY) == 0);
	CHECK(try_open(at("ws/inbox/photo"), O_WRONLY) == EACCES);
	CHECK(try_open(at("ws/.heartbeat"), O_WRONLY) == EACCES);
	return 0;
}

static int agent_is_kept_out(void)
{
	static const char *const hidden[] = { "ws/inbound.db", "ws/outbound.db",
					      "ws/outbound.db-journal", "ws/.heartbeat" };
	char proc[PATH_MAX + 96];

	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		CHECK(try_open(at(hidden[i]), O_RDONLY) == EACCES);
		CHECK(try_open(at(hidden[i]), O_WRONLY) == EACCES);
		CHECK(try_open(at(hidden[i]), O_RDONLY | O_TRUNC) == EACCES);
		CHECK(unlink(at(hidden[i])) < 0 && errno == EACCES);
		CHECK(rename(at(hidden[i]), at("ws/agent/stolen")) < 0);
		CHECK(rename(at("ws/agent/notes"), at(hidden[i])) < 0);
		CHECK(link(at(hidden[i]), at("ws/agent/stolen")) < 0);
		/* By another name of the same folder. */
		(void)snprintf(proc, sizeof(proc), "/proc/self/root/%s", at(hidden[i]));
		CHECK(try_open(proc, O_RDONLY) == EACCES);
	}
	CHECK(symlink(at("ws/inbound.db"), at("ws/agent/link")) == 0);
	CHECK(try_open(at("ws/agent/link"), O_RDONLY) == EACCES);
	CHECK(unlink(at("ws/agent/link")) == 0);
	CHECK(try_open(at("ws/inbound.db-journal"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("ws/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("ws/inbox/photo"), O_WRONLY) == EACCES);
	CHECK(try_open(at("host/file"), O_WRONLY) == EACCES);
	CHECK(rename(at("ws/agent"), at("ws/away")) < 0);
	CHECK(try_open("/proc/self/comm", O_WRONLY) == EACCES);
	/* Any device that has no row: a disk, for root. */
	CHECK(try_open("/dev/urandom", O_WRONLY) == EACCES);
	CHECK(access("/dev/kmsg", F_OK) < 0 || try_open("/dev/kmsg", O_RDONLY) != 0);
	CHECK(mknod(at("home/device"), S_IFCHR | 0600, 0x103) < 0);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	return 0;
}

/* A second way to the same folder, as a second mount would be. */
static int agent_is_kept_out_by_every_way(void)
{
	const struct sandbox sandbox = {
		.write = { .items = { place.base, "/dev/random" }, .count = 2 },
	};

	CHECK(become(POLICY_ROLE_AGENT, &sandbox) == 0);
	CHECK(try_open(at("host/file"), O_WRONLY) == 0);
	CHECK(try_open("/dev/random", O_WRONLY) == 0);
	/* Who names a folder above the workspace does not mean the workspace. */
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("ws/agent/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("ws/inbound.db"), O_WRONLY) == EACCES);
	CHECK(try_open(at("ws/outbound.db-wal"), O_WRONLY | O_CREAT) == EACCES);
	return 0;
}

static int agent_may_write_the_workspace(void)
{
	const struct sandbox sandbox = { .write = { .items = { place.workspace }, .count = 1 } };

	CHECK(become(POLICY_ROLE_AGENT, &sandbox) == 0);
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("ws/outbox/new")) == 0);
	CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == EACCES);
	return 0;
}

/* An agent of an earlier container made a link of what a variable names. */
static int agent_follows_no_link(void)
{
	static const char *const targets[] = { "/", "/proc/self/fd/0", "../ws", "/etc" };

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		pid_t child;
		int status;

		(void)unlink(at("home/.claude"));
		CHECK(symlink(targets[i], at("home/.claude")) == 0);
		CHECK(setenv("CLAUDE_CONFIG_DIR", at("home/.claude"), 1) == 0);
		child = fork();
		if (child == 0) {
			const struct sandbox sandbox = {
				.read = { .is_given = true },
				.write = { .items = { at("home/.claude") }, .count = 1 },
			};

			CHECK(become(POLICY_ROLE_AGENT, &sandbox) == 0);
			CHECK(try_open(at("host/file"), O_RDONLY) == EACCES);
			CHECK(try_open("/etc/passwd", O_WRONLY) == EACCES);
			CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == EACCES);
			CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == EACCES);
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
	return 0;
}

/* Landlock does not see chmod: a workspace that cannot be looked at is no empty one. */
static int agent_hides_nothing_by_chmod(void)
{
	CHECK(chmod(place.workspace, 0444) == 0);
	if (geteuid() == 0)
		CHECK(setresuid(4321, 4321, 4321) == 0);
	CHECK(grant_has_session(&(struct grant_request){ .workspace = place.workspace }));
	return 0;
}

/* The databases have not been made yet, or are gone: who starts it knows better. */
static int agent_of_a_session_told(void)
{
	const struct sandbox sandbox = { .is_session = true };

	(void)snprintf(place.workspace, sizeof(place.workspace), "%s", at("host"));
	CHECK(become(POLICY_ROLE_AGENT, &sandbox) == 0);
	CHECK(try_open(at("host/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("host/inbound.db"), O_RDONLY) == EACCES || errno == ENOENT);
	CHECK(try_open(at("host/file"), O_RDONLY) == 0);
	return 0;
}

static int mount_bind(const char *from, const char *to)
{
	return mount(from, to, NULL, MS_BIND, NULL);
}

/* The same folder, or one in which it lies, where it may be written by another name. */
static int agent_behind_second_mounts(void)
{
	static const char *const names[] = { "home/a", "home/b", "home/c", "home/d" };

	if (geteuid() != 0)
		return 77;
	CHECK(unshare(CLONE_NEWNS) == 0 &&
	      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(mkdir(at(names[i]), 0755) == 0);
	CHECK(try_open(at("home/d"), O_WRONLY | O_CREAT) == 0);
	CHECK(mount_bind(place.workspace, at("home/a")) == 0);
	CHECK(mount_bind(place.base, at("home/b")) == 0);
	CHECK(mkdir(at("home/c/deep"), 0755) == 0);
	CHECK(mount_bind(place.workspace, at("home/c/deep")) == 0);
	CHECK(mount_bind(at("ws/inbound.db"), at("home/d")) == 0);
	CHECK(try_open(at("home/b/ws/inbound.db"), O_RDONLY) == 0);
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("home/a/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/a/outbound.db"), O_WRONLY) == EACCES);
	CHECK(try_open(at("home/b/ws/outbound.db"), O_WRONLY) == EACCES);
	CHECK(try_open(at("home/b/ws/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/c/deep/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/c/deep/outbound.db"), O_WRONLY) == EACCES);
	CHECK(try_open(at("home/d"), O_RDONLY) == EACCES);
	/* What else is there stays usable. */
	CHECK(try_open(at("home/settings"), O_RDWR) == 0);
	return 0;
}

static int agent_reads_what_is_named(void)
{
	const struct sandbox sandbox = {
		.read = { .items = { place.base }, .count = 0, .is_given = true },
	};

	CHECK(become(POLICY_ROLE_AGENT, &sandbox) == 0);
	CHECK(try_open(at("host/file"), O_RDONLY) == EACCES);
	CHECK(try_open(at("ws/agent/notes"), O_RDONLY) == 0);
	CHECK(try_open(at("ws/inbox/photo"), O_RDONLY) == 0);
	CHECK(try_open("/etc/passwd", O_RDONLY) == 0);
	CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == EACCES);
	return 0;
}

static int runner_works(void)
{
	CHECK(become(POLICY_ROLE_RUNNER, NULL) == 0);
	CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == 0);
	CHECK(try_open(at("ws/outbound.db"), O_RDWR) == 0);
	CHECK(try_open(at("ws/outbound.db-new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("ws/outbound.db-new")) == 0);
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("ws/outbox/new")) == 0);
	CHECK(try_open(at("host/file"), O_RDONLY) == 0);
	CHECK(try_open(at("host/file"), O_WRONLY) == EACCES);
	CHECK(try_open(at("host/new"), O_WRONLY | O_CREAT) == EACCES);
	/* The agent's confinement goes on top of its own, and loses nothing by it. */
	return agent_works();
}

/*
 * What cannot be looked at: an agent has closed a folder in which the workspace is mounted again, or
 * the host has. It stays shut, and ends no start.
 */
static int agent_behind_closed_mounts(void)
{
	if (geteuid() != 0)
		return 77;
	CHECK(unshare(CLONE_NEWNS) == 0 &&
	      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mkdir(at("home/shut"), 0755) == 0 && mkdir(at("home/shut/a"), 0755) == 0);
	CHECK(try_open(at("home/shut/d"), O_WRONLY | O_CREAT) == 0);
	CHECK(mount_bind(place.workspace, at("home/shut/a")) == 0);
	CHECK(mount_bind(at("ws/inbound.db"), at("home/shut/d")) == 0);
	CHECK(chown(at("home/shut"), 4321, 4321) == 0 && chmod(at("home/shut"), 0) == 0);
	CHECK(chmod(at("ws/inbound.db"), 0644) == 0);
	CHECK(setresgid(4321, 4321, 4321) == 0 && setresuid(4321, 4321, 4321) == 0);
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(chmod(at("home/shut"), 0755) == 0);
	CHECK(try_open(at("home/shut/a/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/shut/d"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/settings"), O_RDONLY) == 0);
	return 0;
}

/* One database is a mount of the host's: its journal lies beside the file itself. */
static int agent_beside_a_mounted_file(void)
{
	if (geteuid() != 0)
		return 77;
	CHECK(unshare(CLONE_NEWNS) == 0 &&
	      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mkdir(at("home/db"), 0755) == 0);
	CHECK(try_open(at("home/db/inbound.db"), O_WRONLY | O_CREAT) == 0);
	CHECK(try_open(at("home/db/inbound.db-journal"), O_WRONLY | O_CREAT) == 0);
	CHECK(try_open(at("home/db/other"), O_WRONLY | O_CREAT) == 0);
	CHECK(mount_bind(at("home/db/inbound.db"), at("ws/inbound.db")) == 0);
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("home/db/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("home/db/inbound.db-journal"), O_WRONLY) == EACCES);
	CHECK(try_open(at("home/db/inbound.db-wal"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(try_open(at("home/db/other"), O_WRONLY) == 0);
	return 0;
}

/* Where no session is, the workspace is the place to work in. */
static int agent_without_session(void)
{
	/* By their names alone these are no session's. */
	CHECK(mkdir(at("host/agent"), 0755) == 0 && mkdir(at("host/group"), 0755) == 0);
	(void)snprintf(place.workspace, sizeof(place.workspace), "%s", at("host"));
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("host/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("host/new")) == 0);
	CHECK(rmdir(at("host/agent")) == 0 && rmdir(at("host/group")) == 0);
	return 0;
}

static int agent_without_workspace(void)
{
	(void)snprintf(place.workspace, sizeof(place.workspace), "/no/such/folder");
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open("/etc/passwd", O_RDONLY) == 0);
	CHECK(try_open("/etc/passwd", O_WRONLY) == EACCES);
	return 0;
}

/* "/" is a runtime's word for no home: it must not open everything. */
static int agent_without_home(void)
{
	CHECK(setenv("HOME", "//", 1) == 0);
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("host/file"), O_WRONLY) == EACCES);
	CHECK(try_open("/etc/new", O_WRONLY | O_CREAT) == EACCES);
	return 0;
}

static void run(int (*fn)(void))
{
	if (landlock_version() < LANDLOCK_VERSION_SCOPES)
		test_skip("this kernel's Landlock is too old for all of it");
	assert_int_equal(forked(fn), 0);
}

#define TEST(name)                            \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		run(name);                    \
	}

TEST(agent_works)
TEST(agent_whose_home_is_the_workspace)
TEST(agent_is_kept_out)
TEST(agent_is_kept_out_by_every_way)
TEST(agent_may_write_the_workspace)
TEST(agent_follows_no_link)

static void test_agent_hides_nothing_by_chmod(void **state)
{
	(void)state;
	run(agent_hides_nothing_by_chmod);
	assert_int_equal(chmod(place.workspace, 0755), 0);
}

TEST(agent_of_a_session_told)
TEST(agent_reads_what_is_named)
TEST(runner_works)
TEST(agent_without_session)
TEST(agent_without_workspace)
TEST(agent_without_home)

static void test_second_mounts(void **state)
{
	int (*const cases[])(void) = { agent_behind_second_mounts, agent_beside_a_mounted_file,
				       agent_behind_closed_mounts };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int status = forked(cases[i]);

		if (status == 77)
			test_skip("only root can mount");
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agent_works),
		cmocka_unit_test(test_agent_whose_home_is_the_workspace),
		cmocka_unit_test(test_agent_is_kept_out),
		cmocka_unit_test(test_agent_is_kept_out_by_every_way),
		cmocka_unit_test(test_agent_may_write_the_workspace),
		cmocka_unit_test(test_agent_follows_no_link),
		cmocka_unit_test(test_agent_hides_nothing_by_chmod),
		cmocka_unit_test(test_agent_of_a_session_told),
		cmocka_unit_test(test_second_mounts),
		cmocka_unit_test(test_agent_reads_what_is_named),
		cmocka_unit_test(test_runner_works),
		cmocka_unit_test(test_agent_without_session),
		cmocka_unit_test(test_agent_without_workspace),
		cmocka_unit_test(test_agent_without_home),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
