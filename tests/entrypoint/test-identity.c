/* SPDX-License-Identifier: MIT */
#include "entrypoint/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "tests/test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "\n"
			     "# a comment\n"
			     "+::::::\n"
			     "short:x:7:7\n"
			     "node:x:1000:1001:,,,:/home/node:/bin/bash\n"
			     "bad:x:1e3:5::/home/bad:/bin/sh\n"
			     "nobody-ever:x:4294967295:5::/:/bin/sh\n"
			     "negative:x:-1:5::/:/bin/sh\n"
			     "second:x:1000:1002::/home/second:/bin/sh\n"
			     "last:x:4294967294:3::/l:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "node:x:1001:node\n"
			    "docker:x:999:other,node\n"
			    "broken:x\n"
			    "audio:x:29:nodejs,xnode\n"
			    "video:x:44:node\n";

struct files {
	char passwd[32], group[32];
};

static void write_file(char path[32], const char *text)
{
	int fd;

	strcpy(path, "/tmp/test-identity-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static int setup(void **state)
{
	static struct files files;

	write_file(files.passwd, passwd);
	write_file(files.group, group);
	*state = &files;
	return 0;
}

static int teardown(void **state)
{
	struct files *files = *state;

	unlink(files->passwd);
	unlink(files->group);
	return 0;
}

static void test_by_name(void **state)
{
	const struct files *files = *state;
	struct identity found;
	struct err err;

	assert_int_equal(identity_by_name(files->passwd, "node", &found, &err), 0);
	assert_int_equal(found.uid, 1000);
	assert_int_equal(found.gid, 1001);
	assert_string_equal(found.name, "node");
	assert_string_equal(found.home, "/home/node");
	assert_int_equal(identity_by_name(files->passwd, "nod", &found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "has no user \"nod\""));
	assert_int_equal(identity_by_name("/nonexistent", "node", &found, &err), -ENOENT);
}

static void test_by_uid(void **state)
{
	const struct files *files = *state;
	struct identity found;
	struct err err;

	assert_int_equal(identity_by_uid(files->passwd, 0, &found, &err), 0);
	assert_string_equal(found.name, "root");
	/* The first of two counts, as for everybody. */
	assert_int_equal(identity_by_uid(files->passwd, 1000, &found, &err), 0);
	assert_string_equal(found.name, "node");
	/* The last line has no newline. */
	assert_int_equal(identity_by_uid(files->passwd, 4294967294u, &found, &err), 0);
	assert_string_equal(found.home, "/l");
	assert_int_equal(identity_by_uid(files->passwd, 4321, &found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "has no user 4321"));
}

static void test_malformed_lines_are_nobody(void **state)
{
	static const char *const names[] = { "short",	    "bad", "nobody-ever", "negative", "+",
					     "# a comment", "" };
	const struct files *files = *state;
	struct identity found;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(identity_by_name(files->passwd, names[i], &found, NULL), -ENOENT);
}

static void test_groups(void **state)
{
	const struct files *files = *state;
	gid_t groups[4], gid;
	struct err err;
	size_t n;

	assert_int_equal(identity_group(files->group, "docker", &gid, &err), 0);
	assert_int_equal(gid, 999);
	assert_int_equal(identity_group(files->group, "broken", &gid, &err), -ENOENT);
	assert_non_null(strstr(err.text, "has no group \"broken\""));
	assert_int_equal(identity_groups(files->group, "node", 1001, groups, 4, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(groups[0], 999);
	assert_int_equal(groups[1], 44);
	assert_int_equal(identity_groups(files->group, "node", 1001, groups, 1, &n, &err), -E2BIG);
	assert_string_equal(err.text, "node is in more than 1 groups");
	assert_int_equal(identity_groups("/nonexistent", "node", 1, groups, 4, &n, &err), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_by_uid),
		cmocka_unit_test(test_malformed_lines_are_nobody),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
