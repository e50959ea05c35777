/* SPDX-License-Identifier: MIT */
#include "entrypoint/hidden.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/folder.h"
#include "tests/forked.h"

static struct folder folder;
static struct hidden hidden;

static int setup(void **state)
{
	(void)state;
	hidden = (struct hidden){ .n_above = 0 };
	folder_make(&folder);
	folder_mkdir(&folder, "ws");
	folder_mkdir(&folder, "ws/agent");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static struct stat look(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st;
}

static char *workspace(void)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/ws", folder.path);
	return path;
}

static void test_a_session(void **state)
{
	struct stat st;

	(void)state;
	assert_false(hidden_has_session(workspace()));
	assert_false(hidden_has_session("/no/such/folder"));
	folder_write(&folder, "ws/outbound.db", "");
	assert_true(hidden_has_session(workspace()));
	assert_int_equal(hidden_find(&hidden, POLICY_ROLE_AGENT, workspace(), true, NULL), 0);
	st = look(workspace());
	assert_true(hidden_is_workspace(&hidden, &st));
	assert_true(hidden_is_above(&hidden, &st));
	st = look(folder.path);
	assert_true(hidden_is_above(&hidden, &st));
	st = look("/");
	assert_true(hidden_is_above(&hidden, &st));
	st = look(folder_file(&folder, "ws/agent"));
	assert_false(hidden_is_above(&hidden, &st));
	st = look("/usr");
	assert_false(hidden_is_above(&hidden, &st));
}

static void test_names(void **state)
{
	static const char *const names[] = { "inbound.db",  "inbound.db-journal", "inbound.db.tmp",
					     "outbound.db", "outbound.db-wal",	  ".heartbeat" };
	const struct stat other = look("/usr");

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(hidden_is_withheld(&hidden, &other, names[i], true));
		assert_false(hidden_is_withheld(&hidden, &other, names[i], false));
	}
	assert_false(hidden_is_withheld(&hidden, &other, "inbox", true));
	assert_false(hidden_is_withheld(&hidden, &other, "agent", true));
}

/* Devices are withheld from the agent without a session, too; from the runner nothing is. */
static void test_devices(void **state)
{
	const struct stat dev = look("/dev"), root = look("/");

	(void)state;
	assert_int_equal(hidden_find(&hidden, POLICY_ROLE_AGENT, workspace(), false, NULL), 0);
	assert_true(hidden_is_withheld(&hidden, &dev, "dev", false));
	assert_true(hidden_is_above(&hidden, &root));
	assert_false(hidden_is_above(&hidden, &dev));
	hidden = (struct hidden){ .n_above = 0 };
	assert_int_equal(hidden_find(&hidden, POLICY_ROLE_RUNNER, workspace(), true, NULL), 0);
	assert_false(hidden_is_withheld(&hidden, &dev, "dev", false));
	assert_false(hidden_is_above(&hidden, &root));
}

static int look_from_outside(void)
{
	if (geteuid() == 0)
		CHECK(setresuid(4321, 4321, 4321) == 0);
	CHECK(hidden_has_session(workspace()));
	CHECK(hidden_find(&hidden, POLICY_ROLE_AGENT, workspace(), true, NULL) != 0 ||
	      geteuid() == 0);
	return 0;
}

/* What cannot be looked at may hold anything: an agent can take away the right to look. */
static void test_a_closed_folder(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder.path, 0), 0);
	assert_int_equal(forked(look_from_outside), 0);
	assert_int_equal(chmod(folder.path, 0755), 0);
}

/* Who may replace the link decides which workspace it is the next time. */
static void test_a_workspace_behind_links(void **state)
{
	struct stat st;
	char path[256];

	(void)state;
	folder_mkdir(&folder, "home");
	folder_mkdir(&folder, "other");
	assert_int_equal(symlink("../other/second", folder_file(&folder, "home/first")), 0);
	assert_int_equal(symlink(workspace(), folder_file(&folder, "other/second")), 0);
	(void)snprintf(path, sizeof(path), "%s/home/first", folder.path);
	assert_int_equal(hidden_find(&hidden, POLICY_ROLE_AGENT, path, true, NULL), 0);
	st = look(workspace());
	assert_true(hidden_is_workspace(&hidden, &st));
	assert_true(hidden_has_names(&hidden, &st));
	st = look(folder_file(&folder, "home"));
	assert_true(hidden_is_above(&hidden, &st));
	assert_false(hidden_has_names(&hidden, &st));
	st = look(folder_file(&folder, "other"));
	assert_true(hidden_is_above(&hidden, &st));
}

static void test_no_workspace(void **state)
{
	(void)state;
	assert_int_equal(hidden_find(&hidden, POLICY_ROLE_AGENT, "/no/such/folder", true, NULL), 0);
	assert_false(hidden.has_session);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_session),
		CASE(test_names),
		CASE(test_devices),
		CASE(test_a_closed_folder),
		CASE(test_a_workspace_behind_links),
		CASE(test_no_workspace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
