/* SPDX-License-Identifier: MIT */
#include "entrypoint/own-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

#define PATH_SIZE 512

static char top[64]; /* TMPDIR */

static const char *at(const char *name)
{
	static char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/test-own-folder-XXXXXX");
	assert_non_null(mkdtemp(top));
	setenv("TMPDIR", top, 1);
	return 0;
}

static int teardown(void **state)
{
	char command[PATH_SIZE];

	(void)state;
	unsetenv("TMPDIR");
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void make_folder(const char *name)
{
	assert_int_equal(mkdir(at(name), 0700), 0);
}

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, at(name)), 0);
}

static int open_at(const char *name)
{
	int fd = own_folder_open(at(name));

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void test_open(void **state)
{
	int fd = own_folder_open("/");

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	make_folder("a");
	make_folder("a/b");
	assert_int_equal(open_at("a/b"), 0);
	assert_int_equal(open_at("/a//b/"), 0);
	assert_int_equal(open_at("a/c"), -ENOENT);
	assert_int_equal(own_folder_open("a/b"), -ENOTDIR);
	assert_int_equal(own_folder_open(""), -ENOTDIR);
	make_link("b", "a/last");
	assert_int_equal(open_at("a/last"), -ELOOP);
	make_link("a", "first");
	assert_int_equal(open_at("first/b"), -ELOOP);
	assert_int_equal(close(open(at("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	assert_int_equal(open_at("file"), -ENOTDIR);
}

static bool holds(const char *folder, const char *other)
{
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s", at(folder));
	return own_folder_holds(path, at(other));
}

static void test_holds(void **state)
{
	(void)state;
	make_folder("a");
	make_folder("a/b");
	make_folder("ab");
	assert_true(holds("a", "a"));
	assert_true(holds("a", "a/b"));
	assert_true(own_folder_holds("/", at("a/b")));
	assert_false(holds("a/b", "a"));
	assert_false(holds("a", "ab"));
	assert_false(holds("a", "missing"));
	assert_false(holds("missing", "a"));
	/* Whatever the names are. */
	make_link("a", "other");
	assert_true(holds("other", "a/b"));
	make_link("a/b", "inner");
	assert_true(holds("a", "inner"));
}

static void check_made(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_uid, geteuid());
}

static const char *usual_name(void)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "agent-x-%u", geteuid());
	return name;
}

static void test_the_same_each_time(void **state)
{
	char path[OWN_FOLDER_PATH_MAX];
	struct err err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(own_folder_make("x", path, &err), 0);
		assert_string_equal(path, at(usual_name()));
		check_made(path);
	}
}

static void test_others_can_enter(void **state)
{
	char path[OWN_FOLDER_PATH_MAX];
	struct err err;

	(void)state;
	make_folder(usual_name());
	assert_int_equal(chmod(at(usual_name()), 0711), 0);
	assert_int_equal(own_folder_make("x", path, &err), 0);
	assert_string_not_equal(path, at(usual_name()));
	assert_int_equal(strncmp(path, at("agent-x-"), strlen(at("agent-x-"))), 0);
	check_made(path);
}

/* An agent has put it there: where it leads is not looked at. */
static void test_a_link_in_its_place(void **state)
{
	char path[OWN_FOLDER_PATH_MAX];
	struct err err;
	struct stat st;

	(void)state;
	make_folder("target");
	make_link("target", usual_name());
	assert_int_equal(own_folder_make("x", path, &err), 0);
	assert_string_equal(path, at(usual_name()));
	check_made(path);
	assert_int_equal(lstat(at("target"), &st), 0);
}

static void test_a_link_on_the_way(void **state)
{
	char path[OWN_FOLDER_PATH_MAX];
	struct err err;

	(void)state;
	make_folder("target");
	make_link("target", "way");
	setenv("TMPDIR", at("way"), 1);
	assert_int_equal(own_folder_make("x", path, &err), 0);
	assert_int_equal(strncmp(path, "/tmp/agent-x-", strlen("/tmp/agent-x-")), 0);
	check_made(path);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(at("target")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_same_each_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_can_enter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_in_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_on_the_way, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
