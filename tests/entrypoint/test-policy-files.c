/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-files.h"

#include "tests/test.h"

static bool covers(const struct policy_file *row, enum policy_role role)
{
	return row->roles & POLICY_ROLE_BIT(role);
}

static void test_rows_are_complete(void **state)
{
	const struct policy_file *rows;
	size_t n;

	(void)state;
	rows = policy_files(&n);
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(rows[i].why) > 0);
		assert_true(rows[i].roles != 0);
		/* Nobody knows the folders of a command. */
		assert_false(covers(&rows[i], POLICY_ROLE_COMMAND));
		if (rows[i].base == POLICY_BASE_ROOT)
			assert_int_equal(rows[i].name[0], '/');
		else
			assert_int_not_equal(rows[i].name[0], '/');
	}
}

/* The agent lives inside the runner's rights: what it may write, the runner must be able to. */
static void test_the_runner_may_what_the_agent_may(void **state)
{
	const struct policy_file *rows;
	size_t n;

	(void)state;
	rows = policy_files(&n);
	for (size_t i = 0; i < n; i++)
		/* Of the workspace the runner has all, and it reads everything; of /proc, a row. */
		if (rows[i].when != POLICY_WHEN_NAMESPACES && covers(&rows[i], POLICY_ROLE_AGENT) &&
		    rows[i].access > POLICY_ACCESS_READ && rows[i].base != POLICY_BASE_WORKSPACE)
			assert_true(covers(&rows[i], POLICY_ROLE_RUNNER));
}

/* Of the system the agent may write nothing but temporary files and a few devices. */
static void test_the_agent_writes_in_few_places(void **state)
{
	static const char *const places[] = {
		"/tmp",	     "/var/tmp", "/dev/shm",  "/dev/null", "/dev/zero",
		"/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts",
	};
	const struct policy_file *rows;
	size_t n, found = 0;

	(void)state;
	rows = policy_files(&n);
	for (size_t i = 0; i < n; i++) {
		bool is_named = false;

		if (rows[i].when == POLICY_WHEN_NAMESPACES ||
		    !covers(&rows[i], POLICY_ROLE_AGENT) || rows[i].access <= POLICY_ACCESS_READ ||
		    rows[i].base != POLICY_BASE_ROOT)
			continue;
		for (size_t j = 0; j < sizeof(places) / sizeof(places[0]); j++)
			is_named = is_named || strcmp(rows[i].name, places[j]) == 0;
		assert_true(is_named);
		found++;
	}
	assert_int_equal(found, sizeof(places) / sizeof(places[0]));
}

static void test_hidden_and_limits(void **state)
{
	const struct policy_limit *limits;
	size_t n;

	(void)state;
	assert_non_null(policy_hidden(&n));
	assert_int_equal(n, 3);
	limits = policy_limits(&n);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(limits[i].name) > 0 && strlen(limits[i].why) > 0);
		/* Either way it limits something. */
		assert_true(limits[i].most != RLIM_INFINITY || limits[i].reserve > 0);
	}
	assert_string_equal(policy_access_name(POLICY_ACCESS_WRITE), "write");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_the_runner_may_what_the_agent_may),
		cmocka_unit_test(test_the_agent_writes_in_few_places),
		cmocka_unit_test(test_hidden_and_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
