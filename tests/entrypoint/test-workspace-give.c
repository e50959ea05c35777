/* SPDX-License-Identifier: MIT */
/*
 * Only in private folders. Without root nothing can be given away: what is tested then is that
 * nothing breaks; tests/system/test_startup.py tests the rest in a mount namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "entrypoint/workspace.h"
#include "tests/test.h"

#define PATH_SIZE 256

static const struct privileges_user target = { .uid = 4321, .gid = 4322 };

struct tree {
	char top[PATH_SIZE]; /* holds workspace/ and what lies outside of it */
	char workspace[PATH_SIZE];
};

static const char *join(const char *folder, const char *name)
{
	static char path[PATH_SIZE * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void make_file(const char *folder, const char *name)
{
	int fd = open(join(folder, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void make_folder(const char *folder, const char *name)
{
	assert_int_equal(mkdir(join(folder, name), 0755), 0);
}

/* The uid that a file has, itself and not what it links to. */
static unsigned int owner(const char *folder, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(join(folder, name), &st), 0);
	return st.st_uid;
}

/* Whom a thing belongs to once it was given away. */
static unsigned int given(void)
{
	return geteuid() == 0 ? target.uid : geteuid();
}

static int setup(void **state)
{
	static struct tree t;

	(void)strcpy(t.top, "/tmp/test-give-XXXXXX");
	assert_non_null(mkdtemp(t.top));
	(void)snprintf(t.workspace, sizeof(t.workspace), "%s/workspace", t.top);
	make_folder(t.top, "workspace");
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;
	char command[PATH_SIZE + 64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", t->top);
	return system(command);
}

static void test_known_entries_only(void **state)
{
	const struct tree *t = *state;
	struct err err = { .text = "" };

	make_folder(t->workspace, "agent");
	make_folder(t->workspace, "outbox");
	make_folder(t->workspace, "inbox");
	make_folder(t->workspace, "other");
	make_file(t->workspace, "outbound.db");
	make_file(t->workspace, "inbound.db");
	make_file(t->workspace, ".heartbeat");
	make_file(t->workspace, "agent/file");
	assert_int_equal(workspace_give(t->workspace, &target, false, &err), 0);
	assert_int_equal(owner(t->workspace, "."), given());
	assert_int_equal(owner(t->workspace, "agent"), given());
	assert_int_equal(owner(t->workspace, "outbox"), given());
	assert_int_equal(owner(t->workspace, "outbound.db"), given());
	assert_int_equal(owner(t->workspace, ".heartbeat"), given());
	assert_int_equal(owner(t->workspace, "inbox"), geteuid());
	assert_int_equal(owner(t->workspace, "other"), geteuid());
	assert_int_equal(owner(t->workspace, "inbound.db"), geteuid());
	assert_int_equal(owner(t->workspace, "agent/file"), geteuid());
	assert_int_equal(owner(t->top, "."), geteuid());
}

static void test_recursive(void **state)
{
	const struct tree *t = *state;
	struct err err = { .text = "" };

	make_folder(t->workspace, "agent");
	make_folder(t->workspace, "agent/deep");
	make_file(t->workspace, "agent/deep/file");
	make_folder(t->workspace, "other");
	assert_int_equal(workspace_give(t->workspace, &target, true, &err), 0);
	assert_int_equal(owner(t->workspace, "."), given());
	assert_int_equal(owner(t->workspace, "agent/deep"), given());
	assert_int_equal(owner(t->workspace, "agent/deep/file"), given());
	assert_int_equal(owner(t->workspace, "other"), given());
	assert_int_equal(owner(t->top, "."), geteuid());
}

/* Whatever an agent can leave behind to have root change a file outside. */
static void test_links_lead_nowhere(void **state)
{
	const struct tree *t = *state;
	struct err err = { .text = "" };
	char target_path[PATH_SIZE * 2];

	make_file(t->top, "secret");
	make_folder(t->top, "outside");
	make_file(t->top, "outside/file");
	(void)strcpy(target_path, join(t->top, "outside"));
	assert_int_equal(symlink(target_path, join(t->workspace, "agent")), 0);
	assert_int_equal(symlink("../secret", join(t->workspace, ".heartbeat")), 0);
	assert_int_equal(symlink("..", join(t->workspace, "up")), 0);
	(void)strcpy(target_path, join(t->top, "secret"));
	assert_int_equal(link(target_path, join(t->workspace, "outbound.db")), 0);
	make_folder(t->workspace, "inbox");
	assert_int_equal(link(target_path, join(t->workspace, "inbox/hard")), 0);
	assert_int_equal(mkfifo(join(t->workspace, "inbox/fifo"), 0600), 0);
	assert_int_equal(workspace_give(t->workspace, &target, true, &err), 0);
	assert_int_equal(owner(t->workspace, "inbox"), given());
	assert_int_equal(owner(t->workspace, "inbox/fifo"), geteuid());
	assert_int_equal(owner(t->workspace, "agent"), geteuid());
	assert_int_equal(owner(t->top, "secret"), geteuid());
	assert_int_equal(owner(t->top, "outside"), geteuid());
	assert_int_equal(owner(t->top, "outside/file"), geteuid());
	assert_int_equal(owner(t->top, "."), geteuid());
}

static void refuse(const char *path, const char *what)
{
	struct err err = { .text = "" };
	char wanted[PATH_SIZE * 2];

	(void)snprintf(wanted, sizeof(wanted),
		       "--chown=recursive: %s: %s: its files are not given away", path, what);
	assert_int_equal(workspace_give(path, &target, true, &err), EXIT_CODE_NO_PERMISSION);
	assert_string_equal(err.text, wanted);
	/* Not asked for in so many words: the start goes on, and the checks decide. */
	assert_int_equal(workspace_give(path, &target, false, &err), 0);
}

static void test_refusals(void **state)
{
	const struct tree *t = *state;

	make_file(t->top, "file");
	refuse(join(t->top, "file"), "not a folder");
	assert_int_equal(symlink("workspace", join(t->top, "link")), 0);
	refuse(join(t->top, "link"), "not a folder");
	assert_int_equal(chmod(t->workspace, 01777), 0);
	refuse(t->workspace, "shared by all users (sticky)");
	assert_int_equal(owner(t->workspace, "."), geteuid());
	assert_int_equal(owner(t->top, "file"), geteuid());
}

/* The host's folders, mounted by mistake. Their copies here are private. */
static void test_system_folders_are_recognised(void **state)
{
	const struct tree *t = *state;

	make_folder(t->workspace, "etc");
	make_file(t->workspace, "etc/passwd");
	make_file(t->workspace, "etc/group");
	make_file(t->workspace, "etc/hosts");
	make_folder(t->workspace, "usr");
	make_folder(t->workspace, "usr/bin");
	refuse(t->workspace, "the root of a system");
	refuse(join(t->workspace, "etc"), "a system's /etc");
	make_folder(t->workspace, "usr/sbin");
	make_folder(t->workspace, "usr/lib");
	make_folder(t->workspace, "usr/share");
	refuse(join(t->workspace, "usr"), "a system's /usr");
	assert_int_equal(owner(t->workspace, "."), geteuid());
	assert_int_equal(owner(t->workspace, "usr"), geteuid());
}

static void test_a_known_entry_is_refused_alone(void **state)
{
	const struct tree *t = *state;
	struct err err = { .text = "" };

	make_folder(t->workspace, "agent");
	assert_int_equal(chmod(join(t->workspace, "agent"), 01777), 0);
	make_folder(t->workspace, "outbox");
	assert_int_equal(workspace_give(t->workspace, &target, false, &err), 0);
	assert_int_equal(owner(t->workspace, "agent"), geteuid());
	assert_int_equal(owner(t->workspace, "outbox"), given());
}

static void test_missing_is_for_the_checks(void **state)
{
	struct err err = { .text = "" };

	(void)state;
	assert_int_equal(workspace_give("/tmp/no-such-workspace", &target, true, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_known_entries_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recursive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_lead_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_system_folders_are_recognised, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_known_entry_is_refused_alone, setup,
						teardown),
		cmocka_unit_test(test_missing_is_for_the_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
