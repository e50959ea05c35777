/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-calls.h"

#include <string.h>

#include "tests/test.h"

static void test_rows_are_complete(void **state)
{
	const struct policy_call *calls;
	size_t n;

	(void)state;
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		assert_true(calls[i].answer > 0);
		assert_true(strlen(calls[i].why) > 0);
		assert_true(calls[i].group < POLICY_GROUP_COUNT);
		assert_true(calls[i].n_conditions <= POLICY_CONDITIONS_MAX);
		for (size_t j = 0; j < POLICY_CONDITIONS_MAX; j++) {
			const struct policy_condition *c = &calls[i].conditions[j];

			/* A value outside its mask would never match. */
			assert_int_equal(c->value & ~c->mask, 0);
			assert_int_equal(j < calls[i].n_conditions, c->mask != 0);
			assert_true(c->argument < 6);
		}
		for (size_t j = 0; j < i; j++)
			assert_false(strcmp(calls[i].name, calls[j].name) == 0 &&
				     memcmp(calls[i].conditions, calls[j].conditions,
					    sizeof(calls[i].conditions)) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
