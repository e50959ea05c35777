/* SPDX-License-Identifier: MIT */
#include "entrypoint/mounts.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/folder.h"
#include "tests/forked.h"

static struct folder folder;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "a/inner");
	folder_mkdir(&folder, "b c");
	folder_mkdir(&folder, "d");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static int count_lines(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int lines = 0, c;

	assert_non_null(file);
	while ((c = fgetc(file)) != EOF)
		lines += c == '\n';
	assert_int_equal(fclose(file), 0);
	return lines;
}

static void test_read(void **state)
{
	struct mounts mounts;

	(void)state;
	assert_int_equal(mounts_read(&mounts), 0);
	/* Every one, the last one too. */
	assert_true(mounts.count > 1);
	assert_int_equal(mounts.count, count_lines());
	for (size_t i = 0; i < mounts.count; i++) {
		assert_int_equal(mounts.entries[i].root[0], '/');
		assert_int_equal(mounts.entries[i].point[0], '/');
		assert_true(mounts.entries[i].type[0] != '\0' && mounts.entries[i].id > 0);
	}
	mounts_deinit(&mounts);
}

/* What is said, in one text. */
static char told[4096];

static int tell(void *userdata, const char *alias)
{
	size_t used = strlen(told);

	(void)userdata;
	(void)snprintf(told + used, sizeof(told) - used, "%s\n", alias);
	return 0;
}

static bool is_told(const char *name, const char *rest)
{
	char line[PATH_MAX];

	(void)snprintf(line, sizeof(line), "%s%s\n", folder_file(&folder, name), rest);
	return strstr(told, line) != NULL;
}

/* As they are now. */
static int aliases(const char *path)
{
	cleanup_mounts struct mounts mounts = { .count = 0 };
	int r = mounts_read(&mounts);

	return r == 0 ? mounts_aliases(&mounts, path, tell, NULL) : r;
}

static int find_aliases(void)
{
	char a[256], inner[300], other[256], deep[256];

	(void)snprintf(a, sizeof(a), "%s/a", folder.path);
	(void)snprintf(inner, sizeof(inner), "%s/a/inner", folder.path);
	(void)snprintf(other, sizeof(other), "%s/b c", folder.path);
	(void)snprintf(deep, sizeof(deep), "%s/d", folder.path);
	CHECK(unshare(CLONE_NEWNS) == 0 &&
	      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(aliases(inner) == 0);
	CHECK(!is_told("b c", "/inner"));
	CHECK(mount(a, other, NULL, MS_BIND, NULL) == 0);
	CHECK(mount(inner, deep, NULL, MS_BIND, NULL) == 0);
	told[0] = '\0';
	CHECK(aliases(inner) == 0);
	/* The one in which it lies, with a blank in its name; and the one of itself. */
	CHECK(is_told("b c", "/inner"));
	CHECK(is_told("d", ""));
	/* Seen from the second mount, the first is the other. */
	told[0] = '\0';
	CHECK(aliases(deep) == 0);
	CHECK(is_told("b c", "/inner"));
	CHECK(is_told("a", "/inner"));
	CHECK(!is_told("d", ""));
	return 0;
}

static void test_aliases(void **state)
{
	(void)state;
	if (geteuid() != 0)
		test_skip("only root can mount");
	assert_int_equal(forked(find_aliases), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_read),
		CASE(test_aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
