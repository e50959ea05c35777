/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/table.h"
#include "entrypoint/landlock.h"
#include "tests/forked.h"

/*
 * A workspace with all that belongs to a session, and beside it a home and a folder of the host's.
 * It lies in the folder that the tests run in, since /tmp is the agent's.
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
	if (!realpath(".", place.base))
		return -1;
	(void)strncat(place.base, "/grant-XXXXXX", sizeof(place.base) - strlen(place.base) - 1);
	if (!mkdtemp(place.base))
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
		r = grant_enforce(role, place.workspace, sandbox, &err);
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
	CHECK(try_open(at("ws/outbox/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("ws/outbox/new")) == 0);
	CHECK(try_open(at("ws/inbound.db"), O_RDONLY) == EACCES);
	CHECK(try_open(at("ws/inbound.db"), O_WRONLY) == EACCES);
	CHECK(try_open(at("ws/outbound.db-wal"), O_WRONLY | O_CREAT) == EACCES);
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

/* Where no session is, the workspace is the place to work in. */
static int agent_without_session(void)
{
	(void)snprintf(place.workspace, sizeof(place.workspace), "%s", at("host"));
	CHECK(become(POLICY_ROLE_AGENT, NULL) == 0);
	CHECK(try_open(at("host/new"), O_WRONLY | O_CREAT) == 0);
	CHECK(unlink(at("host/new")) == 0);
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
	CHECK(setenv("HOME", "/", 1) == 0);
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
TEST(agent_is_kept_out)
TEST(agent_is_kept_out_by_every_way)
TEST(agent_reads_what_is_named)
TEST(runner_works)
TEST(agent_without_session)
TEST(agent_without_workspace)
TEST(agent_without_home)

static char reviewed[1024];

static void note(const char *text)
{
	(void)strncat(reviewed, text, sizeof(reviewed) - strlen(reviewed) - 2);
	(void)strcat(reviewed, "\n");
}

static void test_review(void **state)
{
	const struct sandbox sandbox = { .write = { .items = { "/usr", "/no/such" }, .count = 2 } };

	(void)state;
	if (landlock_version() < LANDLOCK_VERSION_SCOPES)
		test_skip("this kernel's Landlock is too old for all of it");
	grant_review(place.workspace, NULL, note);
	assert_string_equal(reviewed, "");
	grant_review(place.workspace, &sandbox, note);
	assert_string_equal(reviewed, "sandbox: /no/such, which the agent may write: "
				      "No such file or directory\n");
}

static void test_review_of_a_workspace_in_tmp(void **state)
{
	char workspace[] = "/tmp/grant-XXXXXX", agent[64];

	(void)state;
	if (landlock_version() < LANDLOCK_VERSION_SCOPES)
		test_skip("this kernel's Landlock is too old for all of it");
	assert_non_null(mkdtemp(workspace));
	(void)snprintf(agent, sizeof(agent), "%s/agent", workspace);
	assert_int_equal(mkdir(agent, 0700), 0);
	reviewed[0] = '\0';
	grant_review(workspace, NULL, note);
	assert_non_null(strstr(reviewed, "lies in /tmp, so the agent can make nothing new there"));
	reviewed[0] = '\0';
	assert_int_equal(setenv("TMPDIR", agent, 1), 0);
	grant_review(workspace, NULL, note);
	assert_string_equal(reviewed, "");
	assert_int_equal(unsetenv("TMPDIR"), 0);
	assert_int_equal(rmdir(agent), 0);
	assert_int_equal(rmdir(workspace), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agent_works),
		cmocka_unit_test(test_agent_is_kept_out),
		cmocka_unit_test(test_agent_is_kept_out_by_every_way),
		cmocka_unit_test(test_agent_reads_what_is_named),
		cmocka_unit_test(test_runner_works),
		cmocka_unit_test(test_agent_without_session),
		cmocka_unit_test(test_agent_without_workspace),
		cmocka_unit_test(test_agent_without_home),
		cmocka_unit_test(test_review),
		cmocka_unit_test(test_review_of_a_workspace_in_tmp),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
