/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant-review.h"

#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entrypoint/landlock.h"
#include "tests/folder.h"
#include "tests/forked.h"

static struct folder folder;
static char reviewed[2048];

static void note(enum log_level level, const char *text)
{
	/* Which mounts this machine has is its own affair. */
	if (level == LOG_LEVEL_INFO && !strstr(text, folder.path))
		return;
	(void)strncat(reviewed, text, sizeof(reviewed) - strlen(reviewed) - 2);
	(void)strcat(reviewed, "\n");
}

static const char *review(const struct sandbox *sandbox)
{
	const struct grant_request request = {
		.role = POLICY_ROLE_RUNNER,
		.workspace = folder.path,
		.sandbox = sandbox,
	};

	reviewed[0] = '\0';
	grant_review(&request, note);
	return reviewed;
}

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	folder_mkdir(&folder, "agent");
	/* Elsewhere than the workspace, which lies in /tmp. */
	return setenv("TMPDIR", "/usr", 1) == 0 ? setenv("HOME", "/usr", 1) : -1;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static void test_nothing_to_say(void **state)
{
	(void)state;
	if (landlock_version() < LANDLOCK_VERSION_SCOPES)
		test_skip("this kernel's Landlock is too old for all of it");
	assert_string_equal(review(NULL), "");
	/* Without a session nothing is split. */
	assert_int_equal(unsetenv("TMPDIR"), 0);
	assert_string_equal(review(NULL), "");
}

static void test_paths(void **state)
{
	struct sandbox sandbox = { .is_session = true };

	(void)state;
	assert_int_equal(symlink("/usr", folder_file(&folder, "link")), 0);
	assert_int_equal(sandbox_add_path(&sandbox.write, "/usr", NULL), 0);
	assert_int_equal(sandbox_add_path(&sandbox.write, "/no/such", NULL), 0);
	assert_int_equal(sandbox_add_path(&sandbox.read, folder_file(&folder, "link"), NULL), 0);
	(void)review(&sandbox);
	assert_non_null(strstr(reviewed, "sandbox: /no/such, which the agent may write: "
					 "No such file or directory\n"));
	assert_non_null(strstr(reviewed, "/link, which the agent may read, is reached through a "
					 "link: name the place itself\n"));
	assert_null(strstr(reviewed, "/usr,"));
}

static void test_places_above_the_workspace(void **state)
{
	const struct sandbox sandbox = { .is_session = true };

	(void)state;
	assert_int_equal(unsetenv("TMPDIR"), 0);
	assert_int_equal(setenv("HOME", folder.path, 1), 0);
	(void)review(&sandbox);
	assert_non_null(strstr(reviewed, " lies in /tmp, so the agent can make nothing new there; "
					 "move it, or set TMPDIR to a folder elsewhere\n"));
	assert_non_null(strstr(reviewed, "set HOME to a folder elsewhere\n"));
	/* Below it they are fine. */
	assert_int_equal(setenv("TMPDIR", folder_file(&folder, "agent"), 1), 0);
	assert_int_equal(setenv("HOME", folder_file(&folder, "agent"), 1), 0);
	assert_null(strstr(review(&sandbox), "lies in"));
}

static void test_a_working_folder_that_is_a_link(void **state)
{
	(void)state;
	assert_int_equal(rmdir(folder_file(&folder, "agent")), 0);
	assert_int_equal(symlink("/usr", folder_file(&folder, "agent")), 0);
	assert_non_null(strstr(review(NULL), "/agent is a link, which gives the agent no right"));
}

/* Of many mounts a few are named only, and a machine may have any number. */
static int leave_few_mounts(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	CHECK(mounts);
	while ((entry = getmntent(mounts)))
		if (strncmp(folder.path, entry->mnt_dir, strlen(entry->mnt_dir)) != 0 &&
		    strcmp(entry->mnt_dir, "/proc") != 0)
			(void)umount2(entry->mnt_dir, MNT_DETACH);
	(void)endmntent(mounts);
	return 0;
}

static int review_mounts(void)
{
	const struct sandbox sandbox = { .is_session = true };
	struct sandbox more = { .is_session = true };
	char point[300];

	(void)snprintf(point, sizeof(point), "%s/data", folder.path);
	CHECK(unshare(CLONE_NEWNS) == 0 &&
	      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(leave_few_mounts() == 0);
	CHECK(mkdir(point, 0755) == 0 && mount("none", point, "tmpfs", 0, NULL) == 0);
	CHECK(strstr(review(&sandbox), "/data can be written, but not by the agent: "));
	CHECK(sandbox_add_path(&more.write, point, NULL) == 0);
	CHECK(!strstr(review(&more), "/data"));
	CHECK(mount("none", point, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	CHECK(!strstr(review(&sandbox), "/data"));
	return 0;
}

static void test_mounts_that_the_agent_cannot_write(void **state)
{
	(void)state;
	if (geteuid() != 0)
		test_skip("only root can mount");
	assert_int_equal(forked(review_mounts), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_to_say),
		CASE(test_paths),
		CASE(test_places_above_the_workspace),
		CASE(test_a_working_folder_that_is_a_link),
		CASE(test_mounts_that_the_agent_cannot_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
