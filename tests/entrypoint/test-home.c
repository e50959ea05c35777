/* SPDX-License-Identifier: MIT */
#include "entrypoint/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

#define PATH_SIZE 512

struct scene {
	char top[64]; /* TMPDIR, and where the homes lie */
	struct privileges_user user;
	const struct privileges_user *who; /* NULL: who we are */
	char workspace[PATH_SIZE];	   /* "": it is no session */
};

static const char *at(const struct scene *s, const char *name)
{
	static char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", s->top, name);
	return path;
}

static void make_folder(const struct scene *s, const char *name, mode_t mode)
{
	assert_int_equal(mkdir(at(s, name), 0700), 0);
	assert_int_equal(chown(at(s, name), s->user.uid, s->user.gid), 0);
	assert_int_equal(chmod(at(s, name), mode), 0);
}

static void make_file(const struct scene *s, const char *name)
{
	int fd = open(at(s, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, s->user.uid, s->user.gid), 0);
	close(fd);
}

/* As root somebody else is looked for, in a child. */
static int setup(void **state)
{
	static struct scene s;

	s = (struct scene){ .top = "/tmp/test-home-XXXXXX" };
	assert_non_null(mkdtemp(s.top));
	s.user.uid = geteuid() == 0 ? 4321 : geteuid();
	s.user.gid = geteuid() == 0 ? 4322 : getegid();
	s.who = geteuid() == 0 ? &s.user : NULL;
	assert_int_equal(chown(s.top, s.user.uid, s.user.gid), 0);
	setenv("TMPDIR", s.top, 1);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	char command[PATH_SIZE];

	unsetenv("TMPDIR");
	(void)snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", s->top, s->top);
	return system(command);
}

static int find(const struct scene *s, struct home *home, struct err *err)
{
	const struct home_spec spec = {
		.user = s->who,
		.workspace = s->workspace[0] ? s->workspace : NULL,
	};

	return home_find(&spec, home, err);
}

static void check_fallback(const struct scene *s, const char *home)
{
	char wanted[PATH_SIZE];
	struct stat st;

	(void)snprintf(wanted, sizeof(wanted), "%s/agent-home-%u", s->top, s->user.uid);
	assert_string_equal(home, wanted);
	assert_int_equal(lstat(home, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_uid, s->user.uid);
}

static void test_the_hosts(void **state)
{
	const struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "home", 0700);
	setenv("HOME", at(s, "home"), 1);
	assert_int_equal(find(s, &home, &err), 0);
	assert_string_equal(home.path, at(s, "home"));
}

static void test_the_passwd_entrys(void **state)
{
	struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "closed", 0500);
	make_folder(s, "home", 0700);
	setenv("HOME", at(s, "closed"), 1);
	(void)snprintf(s->user.home, sizeof(s->user.home), "%s", at(s, "home"));
	s->who = &s->user;
	assert_int_equal(find(s, &home, &err), 0);
	assert_string_equal(home.path, at(s, "home"));
}

static void test_reasons(void **state)
{
	struct scene *s = *state;
	struct home home;
	char wanted[PATH_SIZE];
	struct err err;

	make_folder(s, "closed", 0500);
	make_file(s, "file");
	unsetenv("HOME");
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(err.text, "HOME is not set");
	check_fallback(s, home.path);
	setenv("HOME", "relative", 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(err.text, "\"relative\" is no absolute path");
	setenv("HOME", at(s, "closed"), 1);
	(void)snprintf(wanted, sizeof(wanted), "%s cannot be written by uid %u: Permission denied",
		       at(s, "closed"), s->user.uid);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(err.text, wanted);
	setenv("HOME", at(s, "file"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_non_null(strstr(err.text, "/file is not a folder"));
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(err.text, "/nonexistent: No such file or directory");
	/* It is the same one each time. */
	check_fallback(s, home.path);
}

static void test_a_fallback_that_others_can_enter_is_not_taken(void **state)
{
	const struct scene *s = *state;
	struct home home;
	char name[64];
	struct err err;
	struct stat st;

	(void)snprintf(name, sizeof(name), "agent-home-%u", s->user.uid);
	make_folder(s, name, 0777);
	unsetenv("HOME");
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_not_equal(home.path, at(s, name));
	assert_int_equal(strncmp(home.path, s->top, strlen(s->top)), 0);
	assert_int_equal(lstat(home.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
}

/* Credentials mounted read-only into a home that cannot be written. */
static void test_settings_are_linked(void **state)
{
	const struct scene *s = *state;
	char link[PATH_SIZE], target[PATH_SIZE];
	struct home home;
	struct err err;
	struct stat st;
	ssize_t n;

	make_folder(s, "closed", 0700);
	make_folder(s, "closed/.claude", 0700);
	make_file(s, "closed/.claude/.credentials.json");
	make_folder(s, "closed/.aws", 0700);
	make_file(s, "closed/.gitconfig");
	make_file(s, "closed/other");
	make_folder(s, "closed/.kiro", 0);
	assert_int_equal(chmod(at(s, "closed/.claude"), 0500), 0);
	assert_int_equal(chmod(at(s, "closed"), 0500), 0);
	setenv("HOME", at(s, "closed"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	/* What cannot be written is a folder of its own, so that the CLI can write beside it. */
	(void)snprintf(link, sizeof(link), "%s/.claude", home.path);
	assert_int_equal(lstat(link, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	(void)snprintf(link, sizeof(link), "%s/.claude/.credentials.json", home.path);
	n = readlink(link, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, at(s, "closed/.claude/.credentials.json"));
	(void)snprintf(link, sizeof(link), "%s/.aws", home.path);
	assert_true(readlink(link, target, sizeof(target)) > 0);
	(void)snprintf(link, sizeof(link), "%s/.gitconfig", home.path);
	assert_true(readlink(link, target, sizeof(target)) > 0);
	(void)snprintf(link, sizeof(link), "%s/other", home.path);
	assert_int_equal(lstat(link, &st), -1);
	/* Nobody is let in there: a link would only take the name from the CLI. */
	(void)snprintf(link, sizeof(link), "%s/.kiro", home.path);
	assert_int_equal(lstat(link, &st), -1);
	/* Again: what is there stays. */
	assert_int_equal(find(s, &home, &err), 1);
}

static void set_workspace(struct scene *s, const char *name)
{
	(void)snprintf(s->workspace, sizeof(s->workspace), "%s", at(s, name));
}

static void check_link(const struct scene *s, const struct home *home, const char *name,
		       const char *wanted)
{
	char path[HOME_PATH_MAX + 64], target[PATH_SIZE];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", home->path, name);
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, at(s, wanted));
}

/* What the host mounted in it may be written, where it is. */
static void test_the_meant_one_is_told(void **state)
{
	const struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "closed", 0500);
	setenv("HOME", at(s, "closed"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(home.meant, at(s, "closed"));
	/* None of these is a folder in which something may be mounted. */
	assert_int_equal(symlink("closed", at(s, "link")), 0);
	setenv("HOME", at(s, "link"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(home.meant, "");
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(home.meant, "");
	unsetenv("HOME");
	assert_int_equal(find(s, &home, &err), 1);
	assert_string_equal(home.meant, "");
	make_folder(s, "home", 0700);
	setenv("HOME", at(s, "home"), 1);
	assert_int_equal(find(s, &home, &err), 0);
	assert_string_equal(home.meant, "");
	/* A runtime's word for none. */
	if (s->user.uid != geteuid() || faccessat(AT_FDCWD, "/", W_OK, AT_EACCESS) < 0) {
		setenv("HOME", "//", 1);
		assert_int_equal(find(s, &home, &err), 1);
		assert_string_equal(home.meant, "");
	}
}

/* A link of an earlier start that leads nowhere would keep its program from making the file. */
static void test_links_to_nothing_are_made_anew(void **state)
{
	const struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "closed", 0700);
	make_folder(s, "closed/.aws", 0700);
	assert_int_equal(chmod(at(s, "closed"), 0500), 0);
	setenv("HOME", at(s, "closed"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	check_link(s, &home, ".aws", "closed/.aws");
	make_folder(s, "later", 0700);
	make_folder(s, "later/.aws", 0700);
	assert_int_equal(chmod(at(s, "later"), 0500), 0);
	setenv("HOME", at(s, "later"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	check_link(s, &home, ".aws", "closed/.aws");
	assert_int_equal(chmod(at(s, "closed"), 0700), 0);
	assert_int_equal(rmdir(at(s, "closed/.aws")), 0);
	assert_int_equal(find(s, &home, &err), 1);
	check_link(s, &home, ".aws", "later/.aws");
}

static void check_inside(const struct scene *s, const struct home *home)
{
	char wanted[PATH_SIZE + 16];
	struct stat st;

	(void)snprintf(wanted, sizeof(wanted), "%s/.home", s->workspace);
	assert_string_equal(home->path, wanted);
	assert_int_equal(lstat(wanted, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_uid, s->user.uid);
}

static void test_one_that_holds_the_workspace(void **state)
{
	struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "home", 0700);
	make_folder(s, "home/.claude", 0700);
	make_folder(s, "home/work", 0700);
	setenv("HOME", at(s, "home"), 1);
	set_workspace(s, "home/work");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(find(s, &home, &err), 1);
		assert_non_null(strstr(err.text, "/home holds the workspace"));
		check_inside(s, &home);
		assert_string_equal(home.meant, at(s, "home"));
		check_link(s, &home, ".claude", "home/.claude");
	}
	/* It is the workspace itself; nor is the mode of an earlier one what an agent made of it. */
	assert_int_equal(chmod(at(s, "home/work/.home"), 0), 0);
	setenv("HOME", at(s, "home/work"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	check_inside(s, &home);
	assert_string_equal(home.meant, at(s, "home/work"));
	/* Beside it, or without a session, HOME is what it is. */
	s->workspace[0] = '\0';
	assert_int_equal(find(s, &home, &err), 0);
	assert_string_equal(home.path, at(s, "home/work"));
	set_workspace(s, "home/.claude");
	assert_int_equal(find(s, &home, &err), 0);
}

/* As podman makes it: HOME cannot be written, and passwd has the workspace. */
static void test_the_passwd_entrys_holds_the_workspace(void **state)
{
	struct scene *s = *state;
	struct home home;
	struct err err;

	make_folder(s, "closed", 0500);
	make_folder(s, "work", 0700);
	set_workspace(s, "work");
	(void)snprintf(s->user.home, sizeof(s->user.home), "%s", at(s, "work"));
	s->who = &s->user;
	setenv("HOME", at(s, "closed"), 1);
	assert_int_equal(find(s, &home, &err), 1);
	check_inside(s, &home);
	assert_string_equal(home.meant, at(s, "closed"));
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(find(s, &home, &err), 1);
	check_inside(s, &home);
	assert_string_equal(home.meant, at(s, "work"));
}

static void test_something_else_in_its_place(void **state)
{
	struct scene *s = *state;
	struct home home;
	struct err err;
	struct stat st;

	make_folder(s, "work", 0700);
	make_folder(s, "other", 0700);
	setenv("HOME", at(s, "work"), 1);
	set_workspace(s, "work");
	assert_int_equal(symlink("../other", at(s, "work/.home")), 0);
	make_file(s, "work/.netrc");
	assert_int_equal(find(s, &home, &err), 1);
	assert_non_null(strstr(err.text, "/work/.home: Not a directory"));
	check_fallback(s, home.path);
	check_link(s, &home, ".netrc", "work/.netrc");
	/* Nothing was done where it leads. */
	assert_int_equal(lstat(at(s, "other/.netrc"), &st), -1);
	assert_int_equal(unlink(at(s, "work/.home")), 0);
	make_file(s, "work/.home");
	assert_int_equal(find(s, &home, &err), 1);
	check_fallback(s, home.path);
	assert_int_equal(unlink(at(s, "work/.home")), 0);
	if (geteuid() == 0) {
		assert_int_equal(mkdir(at(s, "work/.home"), 0777), 0);
		assert_int_equal(find(s, &home, &err), 1);
		assert_non_null(strstr(err.text, "/work/.home belongs to uid 0"));
		check_fallback(s, home.path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_passwd_entrys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fallback_that_others_can_enter_is_not_taken,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings_are_linked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_meant_one_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_to_nothing_are_made_anew, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_that_holds_the_workspace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_passwd_entrys_holds_the_workspace, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_something_else_in_its_place, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
