/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "tests/test.h"

static void test_roles_are_found_by_name(void **state)
{
	enum policy_role role = POLICY_ROLE_COUNT;

	(void)state;
	for (int i = 0; i < POLICY_ROLE_COUNT; i++) {
		assert_int_equal(policy_find_role(policy_of((enum policy_role)i)->name, &role), 0);
		assert_int_equal(role, i);
		assert_non_null(policy_of(role)->help);
	}
	assert_int_equal(policy_find_role("agent", &role), 0);
	assert_int_equal(role, POLICY_ROLE_AGENT);
	assert_int_equal(policy_find_role("root", &role), -EINVAL);
	assert_int_equal(role, POLICY_ROLE_AGENT);
}

static void test_every_role_loses_capabilities_and_new_ones(void **state)
{
	(void)state;
	for (int i = 0; i < POLICY_ROLE_COUNT; i++) {
		const enum policy_mode *modes = policy_of((enum policy_role)i)->modes;

		assert_int_equal(modes[POLICY_PROTECTION_CAPS], POLICY_MODE_REQUIRE);
		assert_int_equal(modes[POLICY_PROTECTION_NO_NEW_PRIVS], POLICY_MODE_REQUIRE);
		assert_int_equal(modes[POLICY_PROTECTION_SECCOMP], POLICY_MODE_TRY);
	}
	assert_false(policy_of(POLICY_ROLE_COMMAND)->closes_fds);
	assert_true(policy_of(POLICY_ROLE_AGENT)->closes_fds);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(policy_protection(POLICY_PROTECTION_SECCOMP)->name, "SECCOMP");
	assert_string_equal(policy_mode_name(POLICY_MODE_TRY), "try");
	assert_null(policy_mode_name(POLICY_MODE_COUNT));
}

static void test_rows_are_complete(void **state)
{
	const struct policy_kept_cap *caps;
	size_t n;

	(void)state;
	caps = policy_init_caps(&n);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(caps[i].why) > 0);
		assert_true(cap_valid(caps[i].cap));
		/* With it PID 1 would be root in all but name. */
		assert_int_not_equal(caps[i].cap, CAP_SYS_ADMIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles_are_found_by_name),
		cmocka_unit_test(test_every_role_loses_capabilities_and_new_ones),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rows_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
