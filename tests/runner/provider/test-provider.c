/* SPDX-License-Identifier: MIT */
#include "runner/provider/provider.h"

#include <errno.h>

#include "tests/test.h"

static void test_names_lead_back_to_their_class(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < PROVIDER_ERROR_COUNT; i++) {
		enum provider_error error = PROVIDER_ERROR_COUNT;

		assert_int_equal(provider_error_from_name(provider_error_name(i), &error), 0);
		assert_int_equal(error, i);
	}
}

static void test_names_are_as_documented(void **state)
{
	(void)state;
	assert_string_equal(provider_error_name(PROVIDER_OK), "ok");
	assert_string_equal(provider_error_name(PROVIDER_TRANSIENT), "transient");
	assert_string_equal(provider_error_name(PROVIDER_TOO_LONG), "too_long");
	assert_string_equal(provider_error_name(PROVIDER_INVALID_SESSION), "invalid_session");
	assert_string_equal(provider_error_name(PROVIDER_UNAVAILABLE), "unavailable");
}

static void test_unknown(void **state)
{
	enum provider_error error = PROVIDER_AUTH;

	(void)state;
	assert_string_equal(provider_error_name(PROVIDER_ERROR_COUNT), "other");
	assert_int_equal(provider_error_from_name("Transient", &error), -EINVAL);
	assert_int_equal(provider_error_from_name("", &error), -EINVAL);
	assert_int_equal(error, PROVIDER_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_lead_back_to_their_class),
		cmocka_unit_test(test_names_are_as_documented),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
