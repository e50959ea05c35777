/* SPDX-License-Identifier: MIT */
#include "common/scratch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/capture.h"
#include "tests/folder.h"

/* What was made before is older, what is made later is not: the kernel's clock for files is coarse. */
static int64_t now_ms(void)
{
	int64_t now;

	(void)usleep(20 * 1000);
	now = clock_realtime_ms();
	(void)usleep(20 * 1000);
	return now;
}

static struct folder folder;
static struct capture said;
static struct scratch_spec spec;

/* On a tmpfs, which /tmp need not be. */
static int setup(void **state)
{
	(void)state;
	strcpy(folder.path, "/dev/shm/agent-runner-test-XXXXXX");
	assert_non_null(mkdtemp(folder.path));
	spec = (struct scratch_spec){ .since_ms = now_ms() };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static size_t clear(void)
{
	size_t n;

	capture_start(&said, STDERR_FILENO);
	n = scratch_clear_folder(folder.path, &spec);
	(void)capture_stop(&said);
	return n;
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(folder_file(&folder, name), &st) == 0;
}

static void test_all_goes(void **state)
{
	char expected[256];

	(void)state;
	folder_write(&folder, "file", "x");
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "a/b");
	folder_write(&folder, "a/b/file", "x");
	assert_int_equal(mkfifo(folder_file(&folder, "a/fifo"), 0600), 0);
	/* Many: more than one look into the folder. */
	folder_mkdir(&folder, "many");
	for (int i = 0; i < 200; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "many/one-with-a-longer-name-%d", i);
		folder_write(&folder, name, "");
	}
	assert_int_equal(clear(), 203);
	snprintf(expected, sizeof(expected),
		 "agent-runner: warning: removed 203 files of 8192 bytes from %s: what an agent "
		 "leaves there stays the container's memory\n",
		 folder.path);
	assert_string_equal(said.text, expected);
	/* Nothing is in it. */
	assert_int_equal(rmdir(folder.path), 0);
	assert_int_equal(mkdir(folder.path, 0700), 0);
	assert_int_equal(clear(), 0);
	assert_string_equal(said.text, "");
}

static void test_what_was_there_before_stays(void **state)
{
	(void)state;
	folder_write(&folder, "old", "x");
	folder_mkdir(&folder, "old-folder");
	folder_mkdir(&folder, "full");
	spec.since_ms = now_ms();
	folder_write(&folder, "full/new", "x");
	assert_int_equal(clear(), 1);
	assert_true(is_there("old"));
	assert_true(is_there("old-folder"));
	assert_false(is_there("full/new"));
	/* What is written to has become new. */
	folder_write(&folder, "old", "y");
	assert_int_equal(clear(), 1);
	assert_false(is_there("old"));
}

static void test_a_folder_that_is_emptied(void **state)
{
	char path[300];

	(void)state;
	folder_mkdir(&folder, "tmp");
	folder_write(&folder, "tmp/new", "x");
	(void)snprintf(path, sizeof(path), "%s", folder_file(&folder, "tmp"));
	spec.emptied = path;
	assert_int_equal(clear(), 1);
	assert_true(is_there("tmp"));
	assert_false(is_there("tmp/new"));
	spec.emptied = NULL;
	assert_int_equal(clear(), 0);
	assert_false(is_there("tmp"));
}

static void test_links_lead_nowhere(void **state)
{
	struct folder other;
	char path[300];

	(void)state;
	folder_make(&other);
	folder_write(&other, "file", "x");
	assert_int_equal(symlink(other.path, folder_file(&folder, "folder")), 0);
	assert_int_equal(symlink(folder_file(&other, "file"), folder_file(&folder, "link")), 0);
	assert_int_equal(clear(), 2);
	assert_false(is_there("folder"));
	assert_int_equal(access(folder_file(&other, "file"), F_OK), 0);
	/* Not at the beginning either. */
	(void)snprintf(path, sizeof(path), "%s/start", other.path);
	assert_int_equal(symlink(folder.path, path), 0);
	folder_write(&folder, "file", "x");
	assert_int_equal(scratch_clear_folder(path, &spec), 0);
	assert_true(is_there("file"));
	folder_remove(&other);
}

static void test_one_folder_is_kept(void **state)
{
	char keep[300];

	(void)state;
	folder_mkdir(&folder, "keep");
	folder_write(&folder, "keep/socket", "");
	folder_write(&folder, "file", "");
	(void)snprintf(keep, sizeof(keep), "%s", folder_file(&folder, "keep"));
	spec.keep[1] = keep;
	assert_int_equal(clear(), 1);
	assert_true(is_there("keep/socket"));
	/* Not what has its name when it is gone. */
	assert_int_equal(rename(keep, folder_file(&folder, "moved")), 0);
	assert_int_equal(clear(), 1);
	assert_false(is_there("moved"));
	/* Or all of it. */
	spec.keep[0] = folder.path;
	folder_write(&folder, "file", "");
	assert_int_equal(clear(), 0);
}

static void test_a_folder_that_is_locked(void **state)
{
	(void)state;
	folder_mkdir(&folder, "locked");
	folder_mkdir(&folder, "locked/too");
	folder_write(&folder, "locked/too/file", "x");
	assert_int_equal(chmod(folder_file(&folder, "locked/too"), 0), 0);
	assert_int_equal(chmod(folder_file(&folder, "locked"), 0), 0);
	assert_int_equal(clear(), 1);
	assert_false(is_there("locked"));
}

/* A workspace may be named through a link, and one that cannot be looked at could be anything. */
static void test_what_stays_is_told_by_where_it_is(void **state)
{
	char link[600], path[300];

	(void)state;
	folder_mkdir(&folder, "workspace");
	folder_write(&folder, "workspace/outbound.db", "x");
	(void)snprintf(path, sizeof(path), "%s", folder_file(&folder, "workspace"));
	(void)snprintf(link, sizeof(link), "%s", folder_file(&folder, "link"));
	assert_int_equal(symlink(path, link), 0);
	spec.keep[2] = link;
	(void)clear();
	assert_true(is_there("workspace/outbound.db"));
	(void)snprintf(link, sizeof(link), "%s/%0*d", folder.path, 256, 0);
	assert_int_equal(clear(), 0);
	assert_true(is_there("workspace/outbound.db"));
}

static void test_another_name_keeps_the_memory(void **state)
{
	struct folder aside = folder;

	(void)state;
	spec.since_ms = 0;
	(void)strcat(aside.path, ".aside");
	folder_write(&folder, "file", "x");
	assert_int_equal(link(folder_file(&folder, "file"), aside.path), 0);
	assert_int_equal(clear(), 1);
	assert_non_null(strstr(said.text, "removed 1 file of 0 bytes from "));
	assert_int_equal(unlink(aside.path), 0);
}

/* So deep that it cannot be a use. */
static void test_depth(void **state)
{
	const int levels = SCRATCH_DEPTH_MAX + 3;
	int saved = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(chdir(folder.path), 0);
	for (int i = 0; i < levels; i++) {
		int fd = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		(void)close(fd);
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(fchdir(saved), 0);
	(void)close(saved);
	assert_int_equal(clear(), SCRATCH_DEPTH_MAX + 1);
}

static void test_only_of_a_tmpfs(void **state)
{
	char path[] = "scratch-XXXXXX", file[64];
	struct statfs fs;

	(void)state;
	/* In the build folder. */
	assert_non_null(mkdtemp(path));
	assert_int_equal(statfs(path, &fs), 0);
	(void)snprintf(file, sizeof(file), "%s/file", path);
	(void)close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(scratch_clear_folder(path, &spec), fs.f_type == TMPFS_MAGIC);
	assert_int_equal(access(file, F_OK) == 0, fs.f_type != TMPFS_MAGIC);
	(void)unlink(file);
	(void)rmdir(path);
	assert_int_equal(scratch_clear_folder("/nonexistent", &spec), 0);
}

/* 0: it is as it should be; 77: it cannot be tried here. */
static int try_mounts(void)
{
	char path[300];

	if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0)
		return 77;
	(void)snprintf(path, sizeof(path), "%s", folder_file(&folder, "mount"));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", path, "tmpfs", 0, NULL) < 0)
		return 77;
	folder_write(&folder, "mount/file", "x");
	if (scratch_clear_folder(folder.path, &spec) != 0)
		return 1;
	return is_there("mount/file") ? 0 : 2;
}

static void test_another_file_system(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	folder_mkdir(&folder, "mount");
	pid = fork();
	if (pid == 0)
		_exit(try_mounts());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_goes),
		TEST(test_what_was_there_before_stays),
		TEST(test_a_folder_that_is_emptied),
		TEST(test_links_lead_nowhere),
		TEST(test_one_folder_is_kept),
		TEST(test_a_folder_that_is_locked),
		TEST(test_what_stays_is_told_by_where_it_is),
		TEST(test_another_name_keeps_the_memory),
		TEST(test_depth),
		TEST(test_only_of_a_tmpfs),
		TEST(test_another_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
