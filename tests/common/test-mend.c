/* SPDX-License-Identifier: MIT */
#include "common/mend.h"

#include <stdint.h>
#include <sys/xattr.h>

#include "tests/folder.h"

static struct folder workspace;

static int setup(void **state)
{
	(void)state;
	folder_make(&workspace);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&workspace);
	return 0;
}

static void set_mode(const char *name, mode_t mode)
{
	assert_int_equal(chmod(folder_file(&workspace, name), mode), 0);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(folder_file(&workspace, name), &st), 0);
	return st.st_mode & ALLPERMS;
}

static void test_mended(void **state)
{
	(void)state;
	folder_write(&workspace, "inbound.db", "");
	folder_write(&workspace, "outbound.db", "");
	folder_mkdir(&workspace, "agent");
	folder_write(&workspace, "agent/container.json", "");
	set_mode("inbound.db", 0);
	set_mode("outbound.db", 0040);
	set_mode("agent/container.json", 0);
	set_mode("agent", 0);
	set_mode("", 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 5);
	assert_int_equal(mode_of(""), 0700);
	assert_int_equal(mode_of("inbound.db"), 0400);
	assert_int_equal(mode_of("outbound.db"), 0640);
	assert_int_equal(mode_of("agent"), 0700);
	assert_int_equal(mode_of("agent/container.json"), 0400);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
}

static void test_what_is_good_stays(void **state)
{
	(void)state;
	folder_write(&workspace, "inbound.db", "");
	folder_write(&workspace, "other", "");
	set_mode("inbound.db", 0444);
	set_mode("other", 0);
	set_mode("", 02750);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
	assert_int_equal(mode_of("inbound.db"), 0444);
	assert_int_equal(mode_of("other"), 0);
	assert_int_equal(mode_of(""), 02750);
	assert_int_equal(mend_workspace("/nonexistent", NULL), 0);
}

/* A host with another uid, as in a rootless container. */
static void test_what_others_had(void **state)
{
	struct mend mend = { .seen = { 0 } };

	(void)state;
	folder_write(&workspace, "outbound.db", "");
	folder_mkdir(&workspace, "agent");
	set_mode("outbound.db", 0644);
	set_mode("agent", 0755);
	set_mode("", 0750);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	set_mode("outbound.db", 0600);
	set_mode("agent", 0700);
	set_mode("", 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 2);
	assert_int_equal(mode_of(""), 0750);
	assert_int_equal(mode_of("outbound.db"), 0644);
	/* Its own folder is the agent's affair. */
	assert_int_equal(mode_of("agent"), 0700);
	/* What is wider stays so. */
	set_mode("outbound.db", 0666);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	assert_int_equal(mode_of("outbound.db"), 0666);
}

/* The owner's, the group's and the others' rights on what is made in a folder. */
static void set_default_acl(const char *name, uint8_t owner, uint8_t others)
{
	const uint8_t acl[] = {
		2,    0, 0,	 0,			    /* the version */
		0x01, 0, owner,	 0, 0xff, 0xff, 0xff, 0xff, /* ACL_USER_OBJ */
		0x04, 0, others, 0, 0xff, 0xff, 0xff, 0xff, /* ACL_GROUP_OBJ */
		0x20, 0, others, 0, 0xff, 0xff, 0xff, 0xff, /* ACL_OTHER */
	};

	assert_int_equal(setxattr(folder_file(&workspace, name), "system.posix_acl_default", acl,
				  sizeof(acl), 0),
			 0);
}

static bool has_default_acl(const char *name)
{
	return getxattr(folder_file(&workspace, name), "system.posix_acl_default", NULL, 0) >= 0;
}

static void test_default_acl(void **state)
{
	struct mend mend = { .seen = { 0 } };

	(void)state;
	folder_mkdir(&workspace, "outbox");
	set_default_acl("", 0, 0);
	set_default_acl("outbox", 7, 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 1);
	assert_false(has_default_acl(""));
	/* Somebody may want it so; not if it comes while an agent runs. */
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	assert_true(has_default_acl("outbox"));
	set_default_acl("", 7, 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 1);
	assert_false(has_default_acl(""));
	assert_true(has_default_acl("outbox"));
}

/* What stands there instead is not ours to open. */
static void test_another_thing(void **state)
{
	(void)state;
	folder_write(&workspace, "other", "");
	set_mode("other", 0);
	assert_int_equal(symlink("other", folder_file(&workspace, "inbound.db")), 0);
	folder_mkdir(&workspace, "outbound.db");
	set_mode("outbound.db", 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
	assert_int_equal(mode_of("other"), 0);
	assert_int_equal(mode_of("outbound.db"), 0);
	set_mode("outbound.db", 0700);
}

static void test_another_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		test_skip("only root can give a file away");
	folder_write(&workspace, "inbound.db", "");
	set_mode("inbound.db", 0);
	assert_int_equal(chown(workspace.file, 4321, 4321), 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
	assert_int_equal(mode_of("inbound.db"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_mended),	  CASE(test_what_is_good_stays), CASE(test_what_others_had),
		CASE(test_another_thing), CASE(test_default_acl),	 CASE(test_another_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
