/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-print.h"

#include "common/cleanup.h"
#include "entrypoint/policy-calls.h"
#include "entrypoint/policy-files.h"
#include "tests/test.h"

static char *print(void (*fn)(FILE *out))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fn(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Every row of every table is shown: nobody keeps a second list. */
static void check_rows(const char *text)
{
	const struct policy_file *files;
	const struct policy_call *calls;
	size_t n;

	for (int i = 0; i < POLICY_ROLE_COUNT; i++)
		assert_non_null(strstr(text, policy_of((enum policy_role)i)->name));
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++)
		assert_non_null(strstr(text, policy_protection((enum policy_protection)i)->name));
	files = policy_files(&n);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(strstr(text, files[i].name));
		assert_non_null(strstr(text, files[i].why));
	}
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(strstr(text, calls[i].name));
		assert_non_null(strstr(text, calls[i].why));
	}
}

static void test_text(void **state)
{
	cleanup_free char *text = print(policy_print);

	(void)state;
	check_rows(text);
	assert_non_null(strstr(text, "\nrole agent: "));
	assert_non_null(strstr(text, "    write   WORKSPACE/agent  "));
	assert_non_null(strstr(text, "    write   WORKSPACE/extra/*  "));
	assert_non_null(strstr(text, "    nproc         -16  "));
	assert_non_null(strstr(text, "\n    WORKSPACE/outbound.db\n"));
	assert_non_null(strstr(text, "\n    CAP_KILL") ? text : strstr(text, "\n    cap_kill"));
	assert_non_null(strstr(text, "\nthis kernel's Landlock: "));
}

static void test_json(void **state)
{
	cleanup_free char *text = print(policy_print_json);

	(void)state;
	check_rows(text);
	/* One line, so that what reads lines can read it. */
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, "{\"name\":\"LANDLOCK\",\"mode\":\"try\","));
	assert_non_null(strstr(text, "{\"access\":\"write\",\"path\":\"WORKSPACE/agent\","));
	assert_null(strstr(text, ",}"));
	assert_null(strstr(text, ",]"));
	assert_null(strstr(text, "[,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
