/* SPDX-License-Identifier: MIT */
#include "runner/folders.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/forked.h"
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

static void assert_made(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(folders_make(folder.path, name, NULL), 0);
	assert_int_equal(lstat(folder_file(&folder, name), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_gid, getegid());
}

/* Whatever the umask: the host writes in inbox/ as it does in the workspace. */
static void test_folders_are_made_like_the_workspace(void **state)
{
	mode_t old = umask(077);

	(void)state;
	assert_int_equal(chmod(folder.path, 0775), 0);
	assert_made("inbox", 0775);
	assert_int_equal(chmod(folder.path, 02750), 0);
	assert_made("agent", 02750);
	/* What is there already is left alone. */
	assert_made("inbox", 0775);
	umask(old);
}

static int make_as_a_stranger(void)
{
	CHECK(setgroups(0, NULL) == 0 && setegid(12345) == 0 && seteuid(12345) == 0);
	CHECK(folders_make(folder.path, "agent", NULL) == 0);
	return 0;
}

static void test_another_group_is_given_nothing_of_the_workspace_s(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(folder.path, (uid_t)-1, 4321), 0);
	assert_int_equal(chmod(folder.path, 0775), 0);
	assert_int_equal(folders_make(folder.path, "inbox", NULL), 0);
	assert_int_equal(lstat(folder_file(&folder, "inbox"), &st), 0);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 0775);
	/* Who is not in the group cannot give the folder to it. */
	assert_int_equal(chmod(folder.path, 0777), 0);
	assert_int_equal(forked(make_as_a_stranger), 0);
	assert_int_equal(lstat(folder_file(&folder, "agent"), &st), 0);
	assert_int_not_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 0707);
}

static void test_nothing_is_made_through_a_link(void **state)
{
	struct stat st;

	(void)state;
	folder_mkdir(&folder, "elsewhere");
	assert_int_equal(symlink("elsewhere", folder_file(&folder, "inbox")), 0);
	assert_int_equal(symlink("nowhere", folder_file(&folder, "agent")), 0);
	assert_int_equal(chmod(folder.path, 0777), 0);
	assert_int_equal(folders_make(folder.path, "inbox", NULL), 0);
	assert_int_equal(folders_make(folder.path, "agent", NULL), 0);
	assert_int_equal(stat(folder_file(&folder, "elsewhere"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(lstat(folder_file(&folder, "nowhere"), &st), -1);
}

static void test_a_folder_that_cannot_be_made(void **state)
{
	char expected[256];
	struct err err;

	(void)state;
	assert_int_equal(folders_make("/proc/self", "agent", &err), -ENOENT);
	assert_string_equal(err.text, "cannot make /proc/self/agent: No such file or directory");
	assert_int_equal(folders_make(folder_file(&folder, "none"), "agent", &err), -ENOENT);
	snprintf(expected, sizeof(expected), "%s/none: No such file or directory", folder.path);
	assert_string_equal(err.text, expected);
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

static void test_whose_workspace_it_is(void **state)
{
	static const char *const names[] = { "ipc",   "global",	    "extra",
					     "group", "inbound.db", "outbound.db" };
	static const char *const others[] = { "agent", "src", ".git", "groups" };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		folder_mkdir(&folder, others[i]);
	assert_false(folders_is_shared(folder.path));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		folder_mkdir(&folder, names[i]);
		assert_true(folders_is_shared(folder.path));
		assert_int_equal(rmdir(folder.file), 0);
		/* Whatever it has become since. */
		assert_int_equal(symlink("nowhere", folder.file), 0);
		assert_true(folders_is_shared(folder.path));
		assert_int_equal(unlink(folder.file), 0);
	}
	assert_false(folders_is_shared(folder.path));
	/* Who cannot tell gives less. */
	assert_true(folders_is_shared(folder_file(&folder, "none")));
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

static bool lists(char **list, const char *path)
{
	for (; *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

/* The folders for these words, in the folder of the test. */
static char **list_readable(const char *const *words)
{
	char **list = NULL;

	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(folders_list_readable(folder.path, words, &list), 1);
	(void)capture_stop(&capture);
	return list;
}

static void test_readable_folders(void **state)
{
	static const char *const unlimited[] = { "--write=/usr", "--connect=none", NULL };
	static const char *const none[] = { "--read=none", NULL };
	char word[256], home[256];
	const char *const some[] = { "--write=/usr", word, "--read=/no/such", NULL };
	char **list = (char **)&folder;

	(void)state;
	assert_int_equal(folders_list_readable(folder.path, unlimited, &list), 0);
	assert_null(list);
	folder_mkdir(&folder, "agent");
	folder_mkdir(&folder, "data");
	assert_int_equal(setenv("HOME", "/", 1), 0);
	assert_int_equal(setenv("TMPDIR", "//.", 1), 0);
	list = list_readable(none);
	assert_true(lists(list, folder_file(&folder, "agent")));
	assert_true(lists(list, "/tmp"));
	assert_false(lists(list, "/"));
	assert_false(lists(list, folder_file(&folder, "inbox")));
	folders_free(list);
	/* However it is written. */
	(void)snprintf(word, sizeof(word), "--read=/%s/.//data/", folder.path);
	folder_mkdir(&folder, "home");
	strcpy(home, folder.file);
	assert_int_equal(setenv("HOME", strcat(home, "/."), 1), 0);
	list = list_readable(some);
	assert_string_equal(capture.text, "");
	assert_true(lists(list, folder_file(&folder, "data")));
	assert_true(lists(list, folder_file(&folder, "home")));
	assert_true(lists(list, "/usr"));
	assert_false(lists(list, "/no/such"));
	folders_free(list);
}

/* An agent of an earlier loop can have put them there, and lead them to whatever it may not read. */
static void test_links_lead_to_nothing_readable(void **state)
{
	char word[256], home[256], expected[512];
	const char *const words[] = { "--read=/usr", word, NULL };
	char **list;

	(void)state;
	folder_mkdir(&folder, "truth");
	folder_mkdir(&folder, "truth/home");
	assert_int_equal(symlink("/", folder_file(&folder, "agent")), 0);
	assert_int_equal(symlink("/", folder_file(&folder, "tmp")), 0);
	assert_int_equal(setenv("TMPDIR", folder.file, 1), 0);
	/* Above it, too. */
	assert_int_equal(symlink("truth", folder_file(&folder, "above")), 0);
	strcpy(home, folder_file(&folder, "above/home"));
	assert_int_equal(setenv("HOME", home, 1), 0);
	(void)snprintf(word, sizeof(word), "--write=%s", home);
	list = list_readable(words);
	assert_false(lists(list, "/"));
	assert_false(lists(list, folder_file(&folder, "truth/home")));
	assert_true(lists(list, "/usr"));
	(void)snprintf(expected, sizeof(expected),
		       "sandbox: a symbolic link leads to %s: nothing in it can be sent; name the "
		       "folder that it is in truth\n",
		       home);
	assert_non_null(strstr(capture.text, expected));
	folders_free(list);
}

/* The workspace itself is the host's. */
static void test_a_workspace_by_a_link(void **state)
{
	static const char *const none[] = { "--read=none", NULL };
	char truth[256], link[256], **list;

	(void)state;
	folder_mkdir(&folder, "truth");
	folder_mkdir(&folder, "truth/agent");
	strcpy(truth, folder.file);
	strcpy(link, folder_file(&folder, "workspace"));
	assert_int_equal(symlink("truth", link), 0);
	assert_int_equal(folders_list_readable(link, none, &list), 1);
	assert_true(lists(list, truth));
	folders_free(list);
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
		CASE(test_folders_are_made_like_the_workspace),
		CASE(test_another_group_is_given_nothing_of_the_workspace_s),
		CASE(test_nothing_is_made_through_a_link),
		CASE(test_a_folder_that_cannot_be_made),
		CASE(test_working_folder),
		CASE(test_without_one_it_is_the_workspace),
		CASE(test_whose_workspace_it_is),
		CASE(test_extra_folders),
		CASE(test_too_many_extra_folders),
		CASE(test_readable_folders),
		CASE(test_links_lead_to_nothing_readable),
		CASE(test_a_workspace_by_a_link),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
