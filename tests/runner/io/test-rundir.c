/* SPDX-License-Identifier: MIT */
#include "runner/io/rundir.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "tests/folder.h"
#include "tests/test.h"

/* FNV-1a of "/workspace", as the rest of the world computes it. */
#define WORKSPACE     "/workspace"
#define WORKSPACE_DIR "agent-runner-c1a2c0ef"

static struct folder folder;
static char *saved_tmpdir;

static int setup(void **state)
{
	(void)state;
	saved_tmpdir = getenv("TMPDIR");
	folder_make(&folder);
	setenv("TMPDIR", folder.path, 1);
	unsetenv(RUNDIR_SOCKET_VARIABLE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (saved_tmpdir)
		setenv("TMPDIR", saved_tmpdir, 1);
	else
		unsetenv("TMPDIR");
	unsetenv(RUNDIR_SOCKET_VARIABLE);
	folder_remove(&folder);
	return 0;
}

static int use(void *userdata, const char *rundir, struct err *err)
{
	(void)userdata;
	(void)rundir;
	(void)err;
	return 0;
}

static int make(const char *workspace, char **ret_path, struct err *err)
{
	return rundir_make(workspace, use, NULL, ret_path, err);
}

static void make_socket(const char *path)
{
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode;
}

static void test_made_private(void **state)
{
	cleanup_free char *path = NULL, *again = NULL, *socket = NULL;
	mode_t mask = umask(0);
	struct err err;

	(void)state;
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	(void)umask(mask);
	assert_string_equal(path, folder_file(&folder, WORKSPACE_DIR));
	assert_int_equal(mode_of(path), S_IFDIR | 0700);
	/* The next loop takes it over, and what others may do there is taken back. */
	folder_write(&folder, WORKSPACE_DIR "/left", "");
	assert_int_equal(chmod(path, 01777), 0);
	assert_int_equal(make(WORKSPACE, &again, &err), 0);
	assert_string_equal(again, path);
	assert_int_equal(mode_of(path), S_IFDIR | 0700);
	assert_int_equal(access(folder_file(&folder, WORKSPACE_DIR "/left"), F_OK), 0);
	socket = rundir_socket(path);
	assert_string_equal(socket, folder_file(&folder, WORKSPACE_DIR "/socket"));
}

static void test_removed(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	rundir_remove(NULL);
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	make_socket(folder_file(&folder, WORKSPACE_DIR "/socket"));
	folder_write(&folder, WORKSPACE_DIR "/secrets", "");
	folder_mkdir(&folder, WORKSPACE_DIR "/other");
	rundir_remove(path);
	assert_int_equal(access(folder_file(&folder, WORKSPACE_DIR "/socket"), F_OK), -1);
	assert_int_equal(access(folder_file(&folder, WORKSPACE_DIR "/secrets"), F_OK), -1);
	assert_int_equal(rmdir(folder_file(&folder, WORKSPACE_DIR "/other")), 0);
	rundir_remove(path);
	assert_int_equal(access(path, F_OK), -1);
}

/* Only the folder itself is emptied, never what a link in its place leads to. */
static void test_remove_follows_no_link(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	assert_int_equal(rmdir(path), 0);
	folder_mkdir(&folder, "elsewhere");
	folder_write(&folder, "elsewhere/file", "");
	assert_int_equal(symlink("elsewhere", path), 0);
	rundir_remove(path);
	assert_int_equal(access(folder_file(&folder, "elsewhere/file"), F_OK), 0);
}

static void test_slashes_make_no_difference(void **state)
{
	static const char *const same[] = { "/workspace/", "//workspace", "/workspace///" };
	cleanup_free char *other = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		cleanup_free char *path = NULL;

		assert_int_equal(make(same[i], &path, &err), 0);
		assert_string_equal(path, folder_file(&folder, WORKSPACE_DIR));
	}
	assert_int_equal(make("/work/space", &other, &err), 0);
	assert_string_not_equal(other, folder_file(&folder, WORKSPACE_DIR));
}

/* A place that is not to be used is passed over; the folder is then in /tmp. */
static void assert_made_in_tmp(const char *workspace)
{
	cleanup_free char *path = NULL;
	struct err err;

	assert_int_equal(make(workspace, &path, &err), 0);
	assert_memory_equal(path, "/tmp/agent-runner-", strlen("/tmp/agent-runner-"));
	assert_int_equal(strlen(path), strlen("/tmp/" WORKSPACE_DIR));
	assert_int_equal(rmdir(path), 0);
}

static void test_what_is_not_ours_is_not_used(void **state)
{
	char workspace[128], name[64];
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	if (geteuid() != 0)
		test_skip("only root can give a folder away");
	/* The workspace's name is the test's own, since the folder is made in /tmp. */
	(void)snprintf(workspace, sizeof(workspace), "%s/workspace", folder.path);
	assert_int_equal(make(workspace, &path, &err), 0);
	(void)snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_made_in_tmp(workspace);
	assert_int_equal(rmdir(path), 0);
	folder_write(&folder, name, "");
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_made_in_tmp(workspace);
	assert_int_equal(access(path, F_OK), 0);
}

/* What an agent, with our uid, can put in its place. */
static void test_what_an_agent_put_there_is_replaced(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	folder_mkdir(&folder, "elsewhere");
	folder_write(&folder, "elsewhere/socket", "");
	for (int i = 0; i < 4; i++) {
		cleanup_free char *again = NULL;

		assert_int_equal(rmdir(path), 0);
		if (i == 0)
			assert_int_equal(symlink("elsewhere", path), 0);
		else if (i == 1)
			folder_write(&folder, WORKSPACE_DIR, "");
		else if (i == 2)
			assert_int_equal(mkfifo(path, 0600), 0);
		else
			assert_int_equal(mkdir(path, 0), 0);
		assert_int_equal(make(WORKSPACE, &again, &err), 0);
		assert_string_equal(again, path);
		assert_int_equal(mode_of(path), S_IFDIR | 0700);
	}
	assert_int_equal(access(folder_file(&folder, "elsewhere/socket"), F_OK), 0);
	/* In it. */
	folder_mkdir(&folder, WORKSPACE_DIR "/socket");
	folder_write(&folder, WORKSPACE_DIR "/socket/full", "");
	assert_int_equal(rundir_renew(path, &err), 0);
	assert_int_equal(access(folder_file(&folder, WORKSPACE_DIR "/socket"), F_OK), -1);
}

static void test_written(void **state)
{
	cleanup_free char *path = NULL;
	char text[8] = "";
	struct err err;
	FILE *file;

	(void)state;
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	/* A folder in its place, a link, a folder that is a link, and none at all. */
	folder_mkdir(&folder, WORKSPACE_DIR "/list");
	folder_write(&folder, WORKSPACE_DIR "/list/full", "");
	assert_int_equal(rundir_write(path, "list", "one", 3, &err), 0);
	assert_int_equal(mode_of(folder_file(&folder, WORKSPACE_DIR "/list")), S_IFREG | 0600);
	folder_write(&folder, "elsewhere", "old");
	assert_int_equal(unlink(folder_file(&folder, WORKSPACE_DIR "/list")), 0);
	assert_int_equal(symlink("../elsewhere", folder.file), 0);
	assert_int_equal(rundir_write(path, "list", "two", 3, &err), 0);
	assert_int_equal(mode_of(folder_file(&folder, WORKSPACE_DIR "/list")), S_IFREG | 0600);
	assert_int_equal(rename(path, folder_file(&folder, "moved")), 0);
	assert_int_equal(symlink("moved", path), 0);
	assert_int_equal(unlink(folder_file(&folder, "moved/list")), 0);
	assert_int_equal(rundir_write(path, "list", "three", 5, &err), 0);
	assert_int_equal(access(folder_file(&folder, "moved/list"), F_OK), -1);
	assert_int_equal(mode_of(path), S_IFDIR | 0700);
	rundir_remove(path);
	assert_int_equal(rundir_write(path, "list", "four", 4, &err), 0);
	file = fopen(folder_file(&folder, WORKSPACE_DIR "/list"), "re");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 4);
	assert_int_equal(fclose(file), 0);
	assert_string_equal(text, "four");
	file = fopen(folder_file(&folder, "elsewhere"), "re");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 3);
	assert_int_equal(fclose(file), 0);
	assert_memory_equal(text, "old", 3);
}

static void test_bases_that_are_not_used(void **state)
{
	char workspace[128], deep[128];

	(void)state;
	(void)snprintf(workspace, sizeof(workspace), "%s/workspace", folder.path);
	setenv("TMPDIR", "relative", 1);
	assert_made_in_tmp(workspace);
	setenv("TMPDIR", "/nowhere/at/all", 1);
	assert_made_in_tmp(workspace);
	/* The mount. */
	assert_int_equal(mkdir(workspace, 0700), 0);
	setenv("TMPDIR", workspace, 1);
	assert_made_in_tmp(workspace);
	/* A socket's address has 107 bytes. */
	(void)snprintf(deep, sizeof(deep), "%s/%.*s", folder.path,
		       (int)(107 - strlen(folder.path) - strlen("//" WORKSPACE_DIR "/socket") + 1),
		       "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
	assert_int_equal(mkdir(deep, 0700), 0);
	setenv("TMPDIR", deep, 1);
	assert_made_in_tmp(workspace);
	/* PID 1's own: a client beside it knows nothing of it. */
	setenv("TMPDIR", folder.path, 1);
	setenv(RUNDIR_TMPDIR_VARIABLE, folder.path, 1);
	assert_made_in_tmp(workspace);
	unsetenv(RUNDIR_TMPDIR_VARIABLE);
}

/* A folder that turns out to be of no use does not stay behind. */
static void test_a_base_that_fails_is_left_as_it_was(void **state)
{
	char workspace[128];
	cleanup_free char *path = NULL;
	struct rlimit before, none;
	struct err err;
	int r;

	(void)state;
	(void)snprintf(workspace, sizeof(workspace), "%s/workspace", folder.path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = make(workspace, &path, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(rmdir(folder.path), 0);
	assert_int_equal(mkdir(folder.path, 0700), 0);
}

/* A file system that takes no sockets: another one does; and a place that is in use is in use. */
static int refuse(void *userdata, const char *rundir, struct err *err)
{
	int *answers = userdata;

	if (strncmp(rundir, folder.path, strlen(folder.path)) == 0)
		return err_set(err, answers[0], "%s: refused", rundir);
	return 0;
}

static void test_a_base_that_takes_no_sockets(void **state)
{
	cleanup_free char *path = NULL, *none = NULL;
	char workspace[128];
	int answer = -EPERM;
	struct err err;

	(void)state;
	(void)snprintf(workspace, sizeof(workspace), "%s/workspace", folder.path);
	assert_int_equal(rundir_make(workspace, refuse, &answer, &path, &err), 0);
	assert_memory_equal(path, "/tmp/agent-runner-", strlen("/tmp/agent-runner-"));
	assert_int_equal(rmdir(path), 0);
	answer = -EADDRINUSE;
	assert_int_equal(rundir_make(workspace, refuse, &answer, &none, &err), -EADDRINUSE);
	assert_null(none);
	assert_non_null(strstr(err.text, ": refused"));
	/* Neither is left behind. */
	assert_int_equal(rmdir(folder.path), 0);
	assert_int_equal(mkdir(folder.path, 0700), 0);
}

static void test_the_longest_address(void **state)
{
	cleanup_free char *path = NULL, *socket = NULL;
	char deep[128];
	struct err err;

	(void)state;
	(void)snprintf(deep, sizeof(deep), "%s/%.*s", folder.path,
		       (int)(107 - strlen(folder.path) - strlen("//" WORKSPACE_DIR "/socket")),
		       "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
	assert_int_equal(mkdir(deep, 0700), 0);
	setenv("TMPDIR", deep, 1);
	assert_int_equal(make(WORKSPACE, &path, &err), 0);
	assert_memory_equal(path, deep, strlen(deep));
	socket = rundir_socket(path);
	assert_int_equal(strlen(socket), 107);
}

static void test_found_by_its_name(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	folder_mkdir(&folder, WORKSPACE_DIR);
	make_socket(folder_file(&folder, WORKSPACE_DIR "/socket"));
	assert_int_equal(rundir_find_socket(WORKSPACE, &path, &err), 0);
	assert_string_equal(path, folder_file(&folder, WORKSPACE_DIR "/socket"));
}

static void test_found_by_the_variable(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	make_socket(folder_file(&folder, "other"));
	setenv(RUNDIR_SOCKET_VARIABLE, folder.file, 1);
	assert_int_equal(rundir_find_socket(WORKSPACE, &path, &err), 0);
	assert_string_equal(path, folder.file);
}

static void assert_not_found(int code, const char *text)
{
	char workspace[128];
	char *path = NULL;
	struct err err = { "" };

	(void)snprintf(workspace, sizeof(workspace), "%s/workspace", folder.path);
	assert_int_equal(rundir_find_socket(workspace, &path, &err), code);
	assert_null(path);
	assert_string_equal(err.text, text);
}

static void test_not_found(void **state)
{
	char text[512];

	(void)state;
	(void)snprintf(text, sizeof(text),
		       "no session loop serves %s/workspace: start agent-runner there, or name its "
		       "socket in AGENT_SOCKET",
		       folder.path);
	assert_not_found(-ENOENT, text);
	setenv(RUNDIR_SOCKET_VARIABLE, "", 1);
	assert_not_found(-ENOENT, text);

	setenv(RUNDIR_SOCKET_VARIABLE, "/nowhere/socket", 1);
	assert_not_found(-ENOENT, "AGENT_SOCKET: /nowhere/socket: No such file or directory");
	setenv(RUNDIR_SOCKET_VARIABLE, "/dev/null/socket", 1);
	assert_not_found(-ENOENT, "AGENT_SOCKET: /dev/null/socket: No such file or directory");
	setenv(RUNDIR_SOCKET_VARIABLE, "/dev/null", 1);
	assert_not_found(-EINVAL, "AGENT_SOCKET: /dev/null: not a socket");
	memset(text, 'd', 108);
	text[108] = '\0';
	setenv(RUNDIR_SOCKET_VARIABLE, text, 1);
	(void)snprintf(text, sizeof(text), "AGENT_SOCKET: %s: too long for a socket's address",
		       getenv(RUNDIR_SOCKET_VARIABLE));
	assert_not_found(-ENAMETOOLONG, text);
}

/* A link leads to a place that somebody else chose. */
static void test_a_link_is_not_followed(void **state)
{
	char link[128], text[256];
	struct err err;
	char *path = NULL;

	(void)state;
	folder_mkdir(&folder, "elsewhere");
	make_socket(folder_file(&folder, "elsewhere/socket"));
	(void)snprintf(link, sizeof(link), "%s/" WORKSPACE_DIR, folder.path);
	assert_int_equal(symlink("elsewhere", link), 0);
	assert_int_equal(rundir_find_socket(WORKSPACE, &path, &err), -EINVAL);
	(void)snprintf(text, sizeof(text), "%s: not a folder", link);
	assert_string_equal(err.text, text);

	assert_int_equal(unlink(link), 0);
	folder_mkdir(&folder, WORKSPACE_DIR);
	(void)snprintf(link, sizeof(link), "%s/" WORKSPACE_DIR "/socket", folder.path);
	assert_int_equal(symlink("../elsewhere/socket", link), 0);
	assert_int_equal(rundir_find_socket(WORKSPACE, &path, &err), -EINVAL);
	(void)snprintf(text, sizeof(text), "%s: not a socket", link);
	assert_string_equal(err.text, text);
}

static void test_another_user_s(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;
	char text[256];
	int r;

	(void)state;
	if (geteuid() != 0)
		test_skip("only root can be another user, too");
	folder_mkdir(&folder, WORKSPACE_DIR);
	assert_int_equal(chown(folder.file, 12345, 12345), 0);
	(void)snprintf(text, sizeof(text), "%s: belongs to uid 12345, and we are uid 54321",
		       folder.file);
	make_socket(folder_file(&folder, WORKSPACE_DIR "/socket"));
	assert_int_equal(chown(folder.file, 12345, 12345), 0);
	assert_int_equal(rundir_find_socket(WORKSPACE, &path, &err), 0);

	assert_int_equal(chmod(folder.path, 0755), 0);
	assert_int_equal(seteuid(54321), 0);
	r = rundir_find_socket(WORKSPACE, &path, &err);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EACCES);
	assert_string_equal(err.text, text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_made_private),
		CASE(test_removed),
		CASE(test_remove_follows_no_link),
		CASE(test_slashes_make_no_difference),
		CASE(test_what_is_not_ours_is_not_used),
		CASE(test_what_an_agent_put_there_is_replaced),
		CASE(test_written),
		CASE(test_bases_that_are_not_used),
		CASE(test_a_base_that_fails_is_left_as_it_was),
		CASE(test_a_base_that_takes_no_sockets),
		CASE(test_the_longest_address),
		CASE(test_found_by_its_name),
		CASE(test_found_by_the_variable),
		CASE(test_not_found),
		CASE(test_a_link_is_not_followed),
		CASE(test_another_user_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
