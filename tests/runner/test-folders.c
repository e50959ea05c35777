/* SPDX-License-Identifier: MIT */
#include "runner/folders.h"

#include <string.h>

#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static void assert_working(const char *expected)
{
	char *path = folders_find_working(folder.path, "agent");

	assert_string_equal(path, expected);
	free(path);
}

static void test_working_folder(void **state)
{
	(void)state;
	folder_mkdir(&folder, "agent");
	assert_working(folder_file(&folder, "agent"));
}

static void test_without_one_it_is_the_workspace(void **state)
{
	(void)state;
	assert_working(folder.path);
	folder_write(&folder, "agent", "a file");
	assert_working(folder.path);
}

/* The names below extra/, joined by |. */
static void assert_extra(const char *expected)
{
	char **list = folders_list_extra(folder.path), names[4096] = "";
	size_t used = 0, prefix = strlen(folder.path) + strlen("/extra/");

	assert_non_null(list);
	for (char **path = list; *path; path++) {
		assert_memory_equal(*path, folder_file(&folder, "extra/"), prefix);
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s|", *path + prefix);
	}
	assert_string_equal(names, expected);
	folders_free(list);
}

static void test_extra_folders(void **state)
{
	(void)state;
	assert_extra("");
	folder_mkdir(&folder, "extra");
	assert_extra("");
	folder_mkdir(&folder, "extra/zoo");
	folder_mkdir(&folder, "extra/a b");
	folder_mkdir(&folder, "extra/.hidden");
	folder_write(&folder, "extra/file", "");
	/* A link to a folder is one: mounts are often reached so. */
	assert_int_equal(symlink("zoo", folder_file(&folder, "extra/link")), 0);
	assert_int_equal(symlink("nowhere", folder_file(&folder, "extra/dangling")), 0);
	assert_extra("a b|link|zoo|");
}

static void test_too_many_extra_folders(void **state)
{
	char **list, name[32], rest[96];
	const char *said;
	size_t count = 0;

	(void)state;
	folder_mkdir(&folder, "extra");
	for (int i = 0; i < FOLDERS_EXTRA_MAX + 2; i++) {
		snprintf(name, sizeof(name), "extra/%d", i);
		folder_mkdir(&folder, name);
	}
	capture_start(&capture, STDERR_FILENO);
	list = folders_list_extra(folder.path);
	said = capture_stop(&capture);
	while (list[count])
		count++;
	folders_free(list);
	assert_int_equal(count, FOLDERS_EXTRA_MAX);
	snprintf(rest, sizeof(rest),
		 "/extra holds more than %d folders: the agent is not told of 2\n",
		 FOLDERS_EXTRA_MAX);
	assert_non_null(strstr(said, rest));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	folders_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_working_folder),    CASE(test_without_one_it_is_the_workspace),
		CASE(test_extra_folders),     CASE(test_too_many_extra_folders),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
