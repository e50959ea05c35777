/* SPDX-License-Identifier: MIT */
#include "entrypoint/sandbox.h"

#include <errno.h>

#include "tests/test.h"

static void test_paths(void **state)
{
	struct sandbox_paths paths = { .count = 0 };
	struct err err;

	(void)state;
	assert_int_equal(sandbox_add_path(&paths, "none", &err), 0);
	assert_true(paths.is_given);
	assert_int_equal(paths.count, 0);
	assert_int_equal(sandbox_add_path(&paths, "/data", &err), 0);
	assert_string_equal(paths.items[0], "/data");
	assert_int_equal(sandbox_add_path(&paths, "data", &err), -EINVAL);
	assert_string_equal(err.text, "\"data\" is no absolute path");
	for (size_t i = 1; i < SANDBOX_PATHS_MAX; i++)
		assert_int_equal(sandbox_add_path(&paths, "/more", &err), 0);
	assert_int_equal(sandbox_add_path(&paths, "/more", &err), -EINVAL);
	assert_string_equal(err.text, "more than 64 paths");
}

static void test_ports(void **state)
{
	static const char *const wrong[] = { "", "-1", "65536", "http", "80 ", "8e1" };
	struct sandbox_ports ports = { .count = 0 };
	struct err err;

	(void)state;
	assert_int_equal(sandbox_add_port(&ports, "443", &err), 0);
	assert_int_equal(sandbox_add_port(&ports, "0", &err), 0);
	assert_int_equal(sandbox_add_port(&ports, "65535", &err), 0);
	assert_int_equal(ports.count, 3);
	assert_int_equal(ports.items[2], 65535);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(sandbox_add_port(&ports, wrong[i], &err), -EINVAL);
	assert_string_equal(err.text, "\"8e1\" is no port from 0 to 65535");
	while (ports.count < SANDBOX_PORTS_MAX)
		assert_int_equal(sandbox_add_port(&ports, "1", &err), 0);
	assert_int_equal(sandbox_add_port(&ports, "1", &err), -EINVAL);
	assert_string_equal(err.text, "more than 64 ports");
}

static void test_modes(void **state)
{
	struct sandbox sandbox = { .allows_namespaces = false };
	struct err err;

	(void)state;
	assert_int_equal(sandbox_set_mode(&sandbox, "LANDLOCK=off", &err), 0);
	assert_true(sandbox.has_mode[POLICY_PROTECTION_LANDLOCK]);
	assert_false(sandbox.has_mode[POLICY_PROTECTION_SECCOMP]);
	assert_int_equal(sandbox.modes[POLICY_PROTECTION_LANDLOCK], POLICY_MODE_OFF);
	assert_int_equal(sandbox_set_mode(&sandbox, "LANDLOCK", &err), -EINVAL);
	assert_string_equal(err.text, "LANDLOCK: the value is require, try or off");
	assert_int_equal(sandbox_set_mode(&sandbox, "LANDLOCK=on", &err), -EINVAL);
	assert_int_equal(sandbox_set_mode(&sandbox, "LAND=off", &err), -EINVAL);
	assert_string_equal(err.text, "LAND: there is no such protection; there are CAPS, "
				      "NO_NEW_PRIVS, UNDUMPABLE, LANDLOCK and SECCOMP");
	assert_int_equal(sandbox_set_mode(&sandbox, "", &err), -EINVAL);
}

static void test_narrowing(void **state)
{
	struct sandbox sandbox = { .allows_namespaces = true };

	(void)state;
	assert_int_equal(sandbox_add_path(&sandbox.write, "/data", NULL), 0);
	assert_false(sandbox_narrows(&sandbox));
	assert_int_equal(sandbox_add_port(&sandbox.bind, "none", NULL), 0);
	assert_true(sandbox_narrows(&sandbox));
}

static void test_adding(void **state)
{
	struct sandbox sandbox = { .allows_namespaces = false }, over = sandbox, full = sandbox;
	struct err err;

	(void)state;
	assert_int_equal(sandbox_add_path(&sandbox.write, "/a", NULL), 0);
	assert_int_equal(sandbox_add_port(&sandbox.connect, "443", NULL), 0);
	assert_int_equal(sandbox_set_mode(&sandbox, "SECCOMP=require", NULL), 0);
	assert_int_equal(sandbox_set_mode(&sandbox, "LANDLOCK=require", NULL), 0);
	assert_int_equal(sandbox_add(&sandbox, &over, &err), 0);
	assert_false(sandbox.read.is_given || sandbox.bind.is_given || sandbox.allows_namespaces);
	assert_int_equal(sandbox.connect.count, 1);

	assert_int_equal(sandbox_add_path(&over.write, "/b", NULL), 0);
	assert_int_equal(sandbox_add_path(&over.read, "none", NULL), 0);
	assert_int_equal(sandbox_add_port(&over.connect, "none", NULL), 0);
	assert_int_equal(sandbox_add_port(&over.bind, "80", NULL), 0);
	assert_int_equal(sandbox_set_mode(&over, "LANDLOCK=off", NULL), 0);
	over.allows_namespaces = over.is_session = true;
	assert_int_equal(sandbox_add(&sandbox, &over, &err), 0);
	assert_int_equal(sandbox.write.count, 2);
	assert_string_equal(sandbox.write.items[0], "/a");
	assert_string_equal(sandbox.write.items[1], "/b");
	assert_true(sandbox.read.is_given && sandbox.bind.is_given);
	assert_true(sandbox.allows_namespaces && sandbox.is_session);
	assert_int_equal(sandbox.read.count, 0);
	/* "none" takes nothing away. */
	assert_int_equal(sandbox.connect.count, 1);
	assert_int_equal(sandbox.bind.items[0], 80);
	assert_int_equal(sandbox.modes[POLICY_PROTECTION_LANDLOCK], POLICY_MODE_OFF);
	assert_int_equal(sandbox.modes[POLICY_PROTECTION_SECCOMP], POLICY_MODE_REQUIRE);
	assert_false(sandbox.has_mode[POLICY_PROTECTION_CAPS]);

	for (size_t i = 0; i < SANDBOX_PORTS_MAX; i++)
		assert_int_equal(sandbox_add_port(&full.connect, "1", NULL), 0);
	assert_int_equal(sandbox_add(&sandbox, &full, &err), -EINVAL);
	assert_string_equal(err.text, "more than 64 ports");
	for (size_t i = 0; i < SANDBOX_PATHS_MAX; i++)
		assert_int_equal(sandbox_add_path(&full.write, "/", NULL), 0);
	assert_int_equal(sandbox_add(&sandbox, &full, &err), -EINVAL);
	assert_string_equal(err.text, "more than 64 paths");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),  cmocka_unit_test(test_ports),
		cmocka_unit_test(test_modes),  cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_adding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
