/* SPDX-License-Identifier: MIT */
#include "entrypoint/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "tests/test.h"

#define PATH_SIZE 64

struct folder {
	char path[PATH_SIZE];
	struct privileges_user other;
	struct workspace_spec spec;
	unsigned int uid, gid; /* who the checks run as */
};

/* As root the checks run as 4321, in a child; else as ourselves, in this process. */
static int setup(void **state)
{
	static struct folder f;

	f = (struct folder){ .path = "/tmp/test-workspace-XXXXXX",
			     .uid = geteuid(),
			     .gid = getegid() };
	assert_non_null(mkdtemp(f.path));
	f.spec = (struct workspace_spec){ .path = f.path, .is_session = true, .check_mount = true };
	if (geteuid() == 0) {
		f.other = (struct privileges_user){ .uid = 4321, .gid = 4322 };
		f.spec.user = &f.other;
		f.uid = 4321;
		f.gid = 4322;
		assert_int_equal(chown(f.path, f.uid, f.gid), 0);
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct folder *f = *state;
	char command[PATH_SIZE + 64];

	(void)chmod(f->path, 0700);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->path);
	return system(command);
}

static const char *in_folder(const struct folder *f, const char *name)
{
	static char path[PATH_SIZE * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
	return path;
}

static void make_file(const struct folder *f, const char *name, mode_t mode)
{
	int fd = open(in_folder(f, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, f->uid, f->gid), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* The line has to say what, where and as whom. */
static void check_fails(const struct folder *f, int code, const char *text)
{
	struct err err = { .text = "" };
	char uid[32];

	assert_int_equal(workspace_check(&f->spec, &err), code);
	assert_non_null(strstr(err.text, text));
	(void)snprintf(uid, sizeof(uid), "uid %u", f->uid);
	assert_non_null(strstr(err.text, uid));
}

static void test_good(void **state)
{
	struct folder *f = *state;
	struct err err = { .text = "" };

	assert_int_equal(workspace_check(&f->spec, &err), 0);
	make_file(f, "inbound.db", 0400);
	make_file(f, "outbound.db", 0600);
	assert_int_equal(workspace_check(&f->spec, &err), 0);
	assert_string_equal(err.text, "");
}

/* As an agent with the same uid can leave it. */
static void test_locked_out(void **state)
{
	struct folder *f = *state;
	struct err err = { .text = "" };

	make_file(f, "inbound.db", 0);
	make_file(f, "outbound.db", 0);
	assert_int_equal(chmod(f->path, 0), 0);
	check_fails(f, EXIT_CODE_NO_PERMISSION, "cannot be entered by");
	f->spec.mends = true;
	assert_int_equal(workspace_check(&f->spec, &err), 0);
	f->spec.mends = false;
	assert_int_equal(workspace_check(&f->spec, &err), 0);
}

static void test_missing(void **state)
{
	struct folder *f = *state;

	f->spec.path = "/tmp/no-such-workspace";
	check_fails(f, EXIT_CODE_NO_WORKSPACE,
		    "/tmp/no-such-workspace does not exist (looked for as uid");
	f->spec.is_session = false;
	check_fails(f, EXIT_CODE_NO_WORKSPACE,
		    "mount a folder there, or name another one with "
		    "--workspace");
}

static void test_not_a_folder(void **state)
{
	struct folder *f = *state;
	char path[PATH_SIZE * 2];

	make_file(f, "file", 0600);
	(void)snprintf(path, sizeof(path), "%s", in_folder(f, "file"));
	f->spec.path = path;
	check_fails(f, EXIT_CODE_NO_WORKSPACE, "/file is not a folder (seen as uid");
}

static void test_not_permitted(void **state)
{
	static const struct {
		mode_t mode;
		const char *text;
	} rows[] = {
		{ 0600, " cannot be entered by uid" },
		{ 0300, " cannot be listed by uid" },
		{ 0500, " cannot be written by uid" },
	};
	struct folder *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(chmod(f->path, rows[i].mode), 0);
		check_fails(f, EXIT_CODE_NO_PERMISSION, rows[i].text);
	}
	/* In command mode it is the caller who decides what it means. */
	f->spec.is_session = false;
	check_fails(f, EXIT_CODE_NO_PERMISSION, " cannot be written by uid");
}

static void test_a_folder_above_is_closed(void **state)
{
	struct folder *f = *state;
	char path[PATH_SIZE * 2];

	(void)snprintf(path, sizeof(path), "%s", in_folder(f, "inner"));
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(f->path, 0600), 0);
	f->spec.path = path;
	check_fails(f, EXIT_CODE_NO_PERMISSION, "/inner cannot be reached by uid");
}

static void test_databases(void **state)
{
	struct folder *f = *state;
	struct err err;

	make_file(f, "inbound.db", 0200);
	check_fails(f, EXIT_CODE_NO_PERMISSION, "/inbound.db cannot be read by uid");
	assert_int_equal(unlink(in_folder(f, "inbound.db")), 0);
	make_file(f, "outbound.db", 0400);
	check_fails(f, EXIT_CODE_NO_PERMISSION, "/outbound.db cannot be read and written by uid");
	/* They are the session's business only. */
	f->spec.is_session = false;
	assert_int_equal(workspace_check(&f->spec, &err), 0);
}

static void test_a_database_that_is_no_file(void **state)
{
	struct folder *f = *state;

	/* What Docker makes when the file that is to be mounted does not exist. */
	assert_int_equal(mkdir(in_folder(f, "inbound.db"), 0755), 0);
	check_fails(f, EXIT_CODE_NO_WORKSPACE, "/inbound.db is not a regular file (seen as uid");
}

static void test_mounts(void **state)
{
	struct folder *f = *state;
	char path[PATH_SIZE * 2];

	assert_int_equal(workspace_is_mount("/"), 1);
	assert_int_equal(workspace_is_mount("/proc"), 1);
	assert_int_equal(workspace_is_mount(f->path), 0);
	(void)snprintf(path, sizeof(path), "%s", in_folder(f, "missing"));
	assert_int_equal(workspace_is_mount(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_permitted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_folder_above_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_databases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_database_that_is_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
