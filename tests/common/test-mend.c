/* SPDX-License-Identifier: MIT */
#include "common/mend.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>

#include "common/table.h"
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

/* All rows, as at a start. */
static size_t mend_all(void)
{
	struct mend mend = { .seen = { 0 } };

	return mend_workspace(workspace.path, &mend) + mend_workspace(workspace.path, NULL);
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
	assert_int_equal(mend_all(), 5);
	assert_int_equal(mode_of(""), 0700);
	assert_int_equal(mode_of("inbound.db"), 0400);
	assert_int_equal(mode_of("outbound.db"), 0640);
	assert_int_equal(mode_of("agent"), 0700);
	assert_int_equal(mode_of("agent/container.json"), 0400);
	assert_int_equal(mend_all(), 0);
}

static void test_what_is_good_stays(void **state)
{
	(void)state;
	folder_write(&workspace, "inbound.db", "");
	folder_write(&workspace, "other", "");
	set_mode("inbound.db", 0444);
	set_mode("other", 0);
	set_mode("", 02750);
	assert_int_equal(mend_all(), 0);
	assert_int_equal(mode_of("inbound.db"), 0444);
	assert_int_equal(mode_of("other"), 0);
	assert_int_equal(mode_of(""), 02750);
	assert_int_equal(mend_workspace("/nonexistent", NULL), 0);
}

/* A host that is in the group. What is taken from it alone may be an operator's will. */
static void test_what_the_group_had(void **state)
{
	struct mend mend = { .seen = { 0 } };

	(void)state;
	folder_write(&workspace, "outbound.db", "");
	set_mode("outbound.db", 0644);
	set_mode("", 0757);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	set_mode("outbound.db", 0400);
	set_mode("", 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 2);
	assert_int_equal(mode_of(""), 0750);
	assert_int_equal(mode_of("outbound.db"), 0640);
	/* Nobody is locked out by who narrows it for others. */
	set_mode("outbound.db", 0600);
	set_mode("", 0700);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	assert_int_equal(mode_of(""), 0700);
	assert_int_equal(mode_of("outbound.db"), 0600);
	/* And that counts from then on. */
	set_mode("", 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 1);
	assert_int_equal(mode_of(""), 0700);
	/* Who starts something in the agent's folder forgets nothing of it. */
	set_mode("", 0750);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	set_mode("", 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 1);
	assert_int_equal(mode_of(""), 0750);
	/* What is wider stays so. */
	set_mode("outbound.db", 0666);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	assert_int_equal(mode_of("outbound.db"), 0666);
}

/* An operator may keep the agent from writing there, and, while none is to be started, from all. */
static void test_the_folder_of_the_agent(void **state)
{
	struct mend mend = { .seen = { 0 } };

	(void)state;
	folder_mkdir(&workspace, "agent");
	set_mode("agent", 0555);
	assert_int_equal(mend_workspace(workspace.path, NULL), 0);
	assert_int_equal(mode_of("agent"), 0555);
	set_mode("agent", 0);
	assert_int_equal(mend_workspace(workspace.path, &mend), 0);
	assert_int_equal(mode_of("agent"), 0);
	assert_int_equal(mend_workspace(workspace.path, NULL), 1);
	assert_int_equal(mode_of("agent"), 0700);
	set_mode("agent", 0655);
	assert_int_equal(mend_workspace(workspace.path, NULL), 1);
	assert_int_equal(mode_of("agent"), 0755);
}

#define NO_MASK 0xff

/* On what is made in a folder: the rights of the owner, of uid 65534, of the mask, and of others. */
static void set_default_acl(const char *name, uint8_t owner, uint8_t named, uint8_t mask,
			    uint8_t others)
{
	const uint8_t id[] = { 0xfe, 0xff, 0, 0 };
	const struct {
		uint8_t tag, rights;
		bool is_named;
	} rows[] = {
		{ 0x01, owner, false },	 /* ACL_USER_OBJ */
		{ 0x02, named, true },	 /* ACL_USER */
		{ 0x04, others, false }, /* ACL_GROUP_OBJ */
		{ 0x10, mask, false },	 /* ACL_MASK */
		{ 0x20, others, false }, /* ACL_OTHER */
	};
	uint8_t acl[4 + ARRAY_LEN(rows) * 8] = { 2 }; /* the version */
	size_t at = 4;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (mask == NO_MASK && (rows[i].is_named || rows[i].tag == 0x10))
			continue;
		acl[at] = rows[i].tag;
		acl[at + 2] = rows[i].rights;
		memset(acl + at + 4, 0xff, 4);
		if (rows[i].is_named)
			memcpy(acl + at + 4, id, sizeof(id));
		at += 8;
	}
	assert_int_equal(
		setxattr(folder_file(&workspace, name), "system.posix_acl_default", acl, at, 0), 0);
}

static bool has_default_acl(const char *name)
{
	return getxattr(folder_file(&workspace, name), "system.posix_acl_default", NULL, 0) >= 0;
}

static void test_default_acl(void **state)
{
	static const struct {
		uint8_t owner, named, mask, others;
		bool stays;
	} rows[] = {
		{ 7, 0, NO_MASK, 0, true },  { 7, 7, 7, 0, true },  { 7, 5, 5, 0, true },
		{ 7, 0, 0, 0, true }, /* somebody is kept out on purpose */
		{ 0, 0, NO_MASK, 0, false }, { 5, 7, 7, 5, false }, { 7, 7, 0, 5, false },
	};
	struct mend mend = { .seen = { 0 } };

	(void)state;
	folder_mkdir(&workspace, "outbox");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name = i % 2 ? "" : "outbox";

		set_default_acl(name, rows[i].owner, rows[i].named, rows[i].mask, rows[i].others);
		assert_int_equal(mend_workspace(workspace.path, &mend), !rows[i].stays);
		assert_int_equal(has_default_acl(name), rows[i].stays);
		(void)removexattr(folder_file(&workspace, name), "system.posix_acl_default");
	}
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
	assert_int_equal(mend_all(), 0);
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
	assert_int_equal(mend_all(), 0);
	assert_int_equal(mode_of("inbound.db"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_mended),
		CASE(test_what_is_good_stays),
		CASE(test_what_the_group_had),
		CASE(test_the_folder_of_the_agent),
		CASE(test_another_thing),
		CASE(test_default_acl),
		CASE(test_another_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
