/* SPDX-License-Identifier: MIT */
#include "runner/mcp/credentials.h"

#include <limits.h>

#include "common/table.h"
#include "tests/folder.h"

/* The variables that rows begin with, as the test found them. */
static const char *const variables[] = { "HOME", "CLAUDE_CONFIG_DIR", "AWS_CONFIG_FILE",
					 "KUBECONFIG" };

static struct folder home;

static int setup(void **state)
{
	(void)state;
	folder_make(&home);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	setenv("HOME", home.path, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&home);
	return 0;
}

/* As file_source_open() asks: by the real path, and the open file's state. NULL: of no store. */
static void assert_found(const char *path, const char *expected)
{
	char real[PATH_MAX], name[64] = "";
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_non_null(realpath(path, real));
	assert_int_equal(credentials_find(real, &st, name, sizeof(name)), expected != NULL);
	assert_string_equal(name, expected ? expected : "");
}

static void test_by_place(void **state)
{
	(void)state;
	folder_mkdir(&home, ".aws");
	folder_write(&home, ".aws/credentials", "");
	assert_found(home.file, "~/.aws");
	folder_mkdir(&home, ".claude");
	folder_write(&home, ".claude/.credentials.json", "");
	assert_found(home.file, "~/.claude/.credentials.json");
	folder_write(&home, ".claude/settings.json", "");
	assert_found(home.file, NULL);
	folder_write(&home, ".netrc-example", "");
	assert_found(home.file, NULL);
	folder_mkdir(&home, ".SSH");
	folder_write(&home, ".SSH/id_rsa", "");
	assert_found(home.file, "~/.ssh");
	/* Of nobody's home. */
	folder_mkdir(&home, "project");
	folder_mkdir(&home, "project/.ssh");
	folder_write(&home, "project/.ssh/config", "");
	assert_found(home.file, NULL);
}

/* A HOME that was made for want of a better one holds links to the settings of that one. */
static void test_by_link(void **state)
{
	char first[128], made[128];

	(void)state;
	folder_mkdir(&home, "first");
	folder_mkdir(&home, "first/.kube");
	folder_write(&home, "first/.kube/config", "");
	strcpy(first, home.file);
	folder_mkdir(&home, "made");
	strcpy(made, home.file);
	assert_found(first, NULL);
	setenv("HOME", made, 1);
	assert_found(first, NULL);
	assert_int_equal(symlink("../first/.kube", folder_file(&home, "made/.kube")), 0);
	assert_found(first, "~/.kube");
}

/* A file's other name. */
static void test_by_inode(void **state)
{
	char other[256];

	(void)state;
	folder_write(&home, ".git-credentials", "");
	strcpy(other, folder_file(&home, "readme.txt"));
	assert_int_equal(link(folder_file(&home, ".git-credentials"), other), 0);
	assert_found(other, "~/.git-credentials");
}

static void test_by_variable(void **state)
{
	(void)state;
	folder_mkdir(&home, "claude");
	setenv("CLAUDE_CONFIG_DIR", home.file, 1);
	folder_write(&home, "claude/.credentials.json", "");
	assert_found(home.file, "$CLAUDE_CONFIG_DIR/.credentials.json");
	folder_write(&home, "cloud.ini", "");
	assert_found(home.file, NULL);
	setenv("AWS_CONFIG_FILE", home.file, 1);
	assert_found(home.file, "$AWS_CONFIG_FILE");
	/* A relative one would be another file for each that is started elsewhere. */
	setenv("AWS_CONFIG_FILE", "cloud.ini", 1);
	assert_found(home.file, NULL);
}

/* kubectl reads all that are named, and goes by those that are there. */
static void test_a_list_of_files(void **state)
{
	char list[512], last[128];

	(void)state;
	folder_write(&home, "last.yaml", "");
	strcpy(last, home.file);
	folder_write(&home, "first.yaml", "");
	(void)snprintf(list, sizeof(list), "%s:/nowhere::relative:%s", home.file, last);
	assert_found(home.file, NULL);
	setenv("KUBECONFIG", list, 1);
	assert_found(home.file, "$KUBECONFIG");
	assert_found(last, "$KUBECONFIG");
	folder_write(&home, "first.yaml-2", "");
	assert_found(home.file, NULL);
	setenv("KUBECONFIG", last, 1);
	assert_found(last, "$KUBECONFIG");
	/* Other variables name one file, whatever its name is. */
	folder_write(&home, "a:b.ini", "");
	setenv("AWS_CONFIG_FILE", home.file, 1);
	assert_found(home.file, "$AWS_CONFIG_FILE");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_by_place),	CASE(test_by_link),	    CASE(test_by_inode),
		CASE(test_by_variable), CASE(test_a_list_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
