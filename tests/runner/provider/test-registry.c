/* SPDX-License-Identifier: MIT */
#include "runner/provider/registry.h"

#include <string.h>

#include "tests/test.h"

static void test_find(void **state)
{
	(void)state;
	assert_string_equal(registry_find("claude")->name, "claude");
	assert_string_equal(registry_find("mock")->name, "mock");
	assert_string_equal(registry_find("CLAUDE")->name, "claude");
	assert_null(registry_find("claud"));
	assert_null(registry_find("claudette"));
	assert_null(registry_find(""));
}

static void test_names(void **state)
{
	char text[128];

	(void)state;
	registry_names(text, sizeof(text));
	assert_string_equal(text, "claude, mock, claude-acp, codex, copilot, gemini, kiro, "
				  "opencode, acp");
}

static void test_names_are_cut(void **state)
{
	char text[9] = "????????";

	(void)state;
	registry_names(text, 1);
	assert_string_equal(text, "");
	registry_names(text, sizeof(text));
	assert_string_equal(text, "claude, ");
	registry_names(NULL, 0);
}

static void test_at(void **state)
{
	(void)state;
	assert_ptr_equal(registry_at(0), registry_find("claude"));
	assert_ptr_equal(registry_at(1), registry_find("mock"));
	assert_ptr_equal(registry_at(8), registry_find("acp"));
	assert_null(registry_at(9));
	assert_null(registry_at((size_t)-1));
}

/* Whatever is in the table can be driven. */
static void test_rows_are_complete(void **state)
{
	const struct provider_type *type;

	(void)state;
	for (size_t i = 0; (type = registry_at(i)); i++) {
		for (const struct provider_secret *s = type->secrets; s && s->name; s++) {
			assert_true(*s->name && !strchr(s->name, '='));
			assert_true(!s->switches || s->switches[0]);
		}
		assert_non_null(type->name);
		assert_non_null(type->start);
		assert_non_null(type->push);
		assert_non_null(type->interrupt);
		assert_non_null(type->stop);
		assert_non_null(type->has_command);
		assert_non_null(type->is_busy);
		assert_non_null(type->free);
		assert_non_null(type->probe);
		type->free(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_are_cut),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_rows_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
