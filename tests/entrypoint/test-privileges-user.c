/* SPDX-License-Identifier: MIT */
#include "entrypoint/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "tests/forked.h"
#include "tests/test.h"

/* The user that the tests may become: anybody as root, else nobody but us. */
static uid_t some_uid(void)
{
	return geteuid() == 0 ? 4321 : geteuid();
}

static gid_t some_gid(void)
{
	return geteuid() == 0 ? 4322 : getegid();
}

static void test_numbers(void **state)
{
	struct privileges_user user;
	struct err err;
	char spec[64];

	(void)state;
	(void)snprintf(spec, sizeof(spec), "%u:%u", some_uid(), some_gid());
	assert_int_equal(privileges_find_user(spec, "/nonexistent", &user, &err), 0);
	assert_int_equal(user.uid, some_uid());
	assert_int_equal(user.gid, some_gid());
	assert_int_equal(user.n_groups, 0);
	if (geteuid() != 0)
		return;
	/* Without passwd entry the group is the user's own, never root's. */
	assert_int_equal(privileges_find_user("4321", "/nonexistent", &user, &err), 0);
	assert_int_equal(user.gid, 4321);
	assert_string_equal(user.name, "");
	assert_string_equal(user.home, "");
}

static void test_names(void **state)
{
	struct privileges_user user;
	struct err err;
	int r = privileges_find_user("daemon:nogroup", "/nonexistent", &user, &err);

	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(r, 0);
		assert_int_equal(user.uid, 1);
		assert_int_equal(user.gid, 65534);
		assert_string_equal(user.name, "daemon");
		assert_string_equal(user.home, "/usr/sbin");
	} else {
		assert_int_equal(r, EXIT_CODE_NO_PERMISSION);
		assert_non_null(strstr(err.text, "--user daemon:nogroup: only root can become"));
	}
}

static void test_bad_specs(void **state)
{
	static const struct {
		const char *spec;
		const char *text;
	} rows[] = {
		{ "", "--user : it is UID, UID:GID, NAME or NAME:GROUP" },
		{ ":5", "--user :5: it is UID, UID:GID, NAME or NAME:GROUP" },
		{ "no-such-user", "--user no-such-user: /etc/passwd has no user \"no-such-user\"" },
		{ "1:no-such-group",
		  "--user 1:no-such-group: /etc/group has no group \"no-such-group\"" },
		/* (uid_t)-1 leaves the uid as it is: we would stay root. */
		{ "4294967295", "--user 4294967295: /etc/passwd has no user \"4294967295\"" },
		{ "-1", "--user -1: /etc/passwd has no user \"-1\"" },
		{ "4294967296", "--user 4294967296: /etc/passwd has no user \"4294967296\"" },
		{ "1:4294967295", "--user 1:4294967295: /etc/group has no group \"4294967295\"" },
		{ "1:", "--user 1:: /etc/group has no group \"\"" },
	};
	struct privileges_user user = { .uid = 77 };
	struct err err;
	char longer[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(privileges_find_user(rows[i].spec, "/", &user, &err),
				 EXIT_CODE_USAGE);
		assert_string_equal(err.text, rows[i].text);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(privileges_find_user(longer, "/", &user, &err), EXIT_CODE_USAGE);
	assert_int_equal(user.uid, 77);
}

static void test_root_has_to_be_asked_for(void **state)
{
	struct privileges_user user;
	struct err err;

	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(privileges_find_user("0", "/", &user, &err), EXIT_CODE_USAGE);
		assert_string_equal(
			err.text, "--user 0 is root: to stay root, say --allow-root instead of it");
		assert_int_equal(privileges_find_user("root:daemon", "/", &user, &err),
				 EXIT_CODE_USAGE);
	} else {
		assert_int_equal(privileges_find_user("0", "/", &user, &err),
				 EXIT_CODE_NO_PERMISSION);
	}
}

static void test_the_owner_of_the_workspace(void **state)
{
	char workspace[] = "/tmp/test-privileges-XXXXXX";
	struct privileges_user user;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(workspace));
	if (geteuid() == 0) {
		/* Root's own, or missing: the usual user. */
		assert_int_equal(privileges_find_user(NULL, workspace, &user, &err), 0);
		assert_int_equal(user.uid, 1000);
		assert_int_equal(user.gid, 1000);
		assert_int_equal(privileges_find_user(NULL, "/nonexistent", &user, &err), 0);
		assert_int_equal(user.uid, 1000);
		assert_int_equal(chown(workspace, 4321, 20), 0);
	}
	assert_int_equal(privileges_find_user(NULL, workspace, &user, &err), 0);
	assert_int_equal(user.uid, some_uid());
	assert_int_equal(user.gid, geteuid() == 0 ? 20 : getegid());
	assert_int_equal(rmdir(workspace), 0);
}

static uid_t seen_uid;

static void note_uid(const void *data)
{
	(void)data;
	seen_uid = geteuid();
}

static int run_as(void)
{
	const struct privileges_user user = { .uid = 4321 }, self = { .uid = geteuid() };
	const uid_t before = geteuid();

	CHECK(privileges_run_as(NULL, note_uid, NULL) == 0 && seen_uid == before);
	seen_uid = 0x7fffffff;
	CHECK(privileges_run_as(&self, note_uid, NULL) == 0 && seen_uid == before);
	seen_uid = 0x7fffffff;
	if (before != 0) {
		CHECK(privileges_run_as(&user, note_uid, NULL) == -EPERM);
		CHECK(seen_uid == 0x7fffffff);
		return 0;
	}
	CHECK(prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) == 0);
	CHECK(privileges_run_as(&user, note_uid, NULL) == 0);
	CHECK(seen_uid == 4321);
	CHECK(getuid() == 0 && geteuid() == 0);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	/* What it may do is as it was. */
	CHECK(setresuid(4321, 0, 0) == 0);
	CHECK(privileges_run_as(&user, note_uid, NULL) == 0);
	CHECK(getuid() == 4321 && geteuid() == 0);
	return 0;
}

static void test_rights_of_another(void **state)
{
	(void)state;
	assert_int_equal(forked(run_as), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_root_has_to_be_asked_for),
		cmocka_unit_test(test_the_owner_of_the_workspace),
		cmocka_unit_test(test_rights_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
