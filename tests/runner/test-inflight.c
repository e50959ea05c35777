/* SPDX-License-Identifier: MIT */
#include "runner/inflight.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "tests/test.h"

static int setup(void **state)
{
	*state = inflight_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	inflight_free(*state);
	return 0;
}

static void assert_published(const struct inflight *inflight, const char *id)
{
	const struct inflight_tool *tool = inflight_published(inflight);

	assert_non_null(tool);
	assert_string_equal(tool->id, id);
}

static void test_one_tool(void **state)
{
	struct inflight *inflight = *state;
	int64_t before = clock_realtime_ms();
	const struct inflight_tool *tool;

	assert_null(inflight_published(inflight));
	inflight_start(inflight, "toolu_1", "Bash", 120000);
	tool = inflight_published(inflight);
	assert_non_null(tool);
	assert_string_equal(tool->name, "Bash");
	assert_int_equal(tool->timeout_ms, 120000);
	assert_true(tool->started_ms >= before && tool->started_ms <= clock_realtime_ms());
	inflight_end(inflight, "toolu_1");
	assert_null(inflight_published(inflight));
}

static void test_the_longest_timeout_is_published(void **state)
{
	struct inflight *inflight = *state;

	inflight_start(inflight, "read", "Read", -1);
	assert_published(inflight, "read");
	inflight_start(inflight, "zero", "Bash", 0);
	assert_published(inflight, "zero");
	inflight_start(inflight, "long", "Bash", 600000);
	inflight_start(inflight, "short", "Bash", 1000);
	assert_published(inflight, "long");
	inflight_end(inflight, "read");
	assert_published(inflight, "long");
	inflight_end(inflight, "long");
	assert_published(inflight, "short");
	inflight_end(inflight, "zero");
	inflight_end(inflight, "short");
	assert_null(inflight_published(inflight));
}

/* Otherwise each tool of a parallel call would be a write to outbound.db. */
static void test_of_equals_the_first_stays(void **state)
{
	struct inflight *inflight = *state;

	inflight_start(inflight, "a", "Read", -1);
	inflight_start(inflight, "b", "Grep", -1);
	assert_published(inflight, "a");
	inflight_end(inflight, "a");
	assert_published(inflight, "b");
}

static void test_repeated_start_and_unknown_end(void **state)
{
	struct inflight *inflight = *state;

	inflight_start(inflight, "a", "Bash", 5);
	inflight_start(inflight, "a", "Other", 7);
	assert_int_equal(inflight_published(inflight)->timeout_ms, 5);
	inflight_end(inflight, "b");
	assert_published(inflight, "a");
	inflight_end(inflight, "a");
	assert_null(inflight_published(inflight));
	inflight_end(inflight, "a");
	assert_null(inflight_published(inflight));
}

static void test_clear(void **state)
{
	struct inflight *inflight = *state;

	inflight_start(inflight, "a", "Bash", 5);
	inflight_start(inflight, "b", "Bash", 6);
	inflight_clear(inflight);
	assert_null(inflight_published(inflight));
	inflight_start(inflight, "a", "Bash", 5);
	assert_published(inflight, "a");
}

static void test_more_than_are_tracked(void **state)
{
	struct inflight *inflight = *state;
	char id[16];

	for (int i = 0; i < INFLIGHT_MAX + 10; i++) {
		snprintf(id, sizeof(id), "id-%d", i);
		inflight_start(inflight, id, "Bash", i);
	}
	snprintf(id, sizeof(id), "id-%d", INFLIGHT_MAX - 1);
	assert_published(inflight, id);
	for (int i = INFLIGHT_MAX + 9; i >= 0; i--) {
		snprintf(id, sizeof(id), "id-%d", i);
		inflight_end(inflight, id);
	}
	assert_null(inflight_published(inflight));
}

static void fill(char *name, size_t size, const char *prefix)
{
	size_t len = strlen(prefix);

	memcpy(name, prefix, len);
	for (; len + 2 < size; len += 2)
		memcpy(name + len, "\xc3\xa4", 2);
	name[len] = '\0';
}

/* Names come from an agent: a long one is cut, but never within a character. */
static void test_long_names_are_cut_between_characters(void **state)
{
	struct inflight *inflight = *state;
	char name[INFLIGHT_NAME_MAX + 40], longest[129];
	const struct inflight_tool *tool;

	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	inflight_start(inflight, "api", longest, -1);
	assert_string_equal(inflight_published(inflight)->name, longest);
	inflight_end(inflight, "api");

	/* Two bytes a character, behind one byte: the limit falls between two characters. */
	fill(name, sizeof(name), "x");
	inflight_start(inflight, name, name, -1);
	tool = inflight_published(inflight);
	assert_int_equal(strlen(tool->name), INFLIGHT_NAME_MAX - 1);
	inflight_end(inflight, name);
	/* Behind two: it falls into the middle of one. */
	fill(name, sizeof(name), "xy");
	inflight_start(inflight, name, name, -1);
	tool = inflight_published(inflight);
	assert_int_equal(strlen(tool->name), INFLIGHT_NAME_MAX - 2);
	/* The same long id is found again. */
	inflight_end(inflight, name);
	assert_null(inflight_published(inflight));
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	inflight_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_one_tool),
		CASE(test_the_longest_timeout_is_published),
		CASE(test_of_equals_the_first_stays),
		CASE(test_repeated_start_and_unknown_end),
		CASE(test_clear),
		CASE(test_more_than_are_tracked),
		CASE(test_long_names_are_cut_between_characters),
		cmocka_unit_test(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
