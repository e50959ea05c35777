/* SPDX-License-Identifier: MIT */
#include "runner/group.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* A group of one row of this id, or a nudge: NULL. */
static struct group *make(const char *id)
{
	struct inbound_row *rows = NULL;
	struct group *group;

	if (id) {
		rows = calloc(1, sizeof(*rows));
		rows[0].id = strdup(id);
	}
	group = group_new(rows, id ? 1 : 0, NULL, 0);
	assert_non_null(group);
	return group;
}

static void add(struct groups *groups, const char *id, int64_t push_id)
{
	struct group *group = make(id);

	group->push_id = push_id;
	groups_append(groups, group);
}

/* The ids of the rows up to this push, joined. */
static const char *ids(const struct groups *groups, int64_t up_to)
{
	static char text[64];
	const struct inbound_row **rows;
	size_t count = 99;

	text[0] = '\0';
	rows = groups_rows(groups, up_to, &count);
	assert_non_null(rows);
	for (size_t i = 0; i < count; i++)
		strcat(text, rows[i]->id);
	free(rows);
	return text;
}

static void test_new_group(void **state)
{
	char first[] = "c1", second[] = "c2";
	char *const passed_over[] = { first, second };
	struct group *group = group_new(NULL, 0, passed_over, 2);

	(void)state;
	first[0] = 'x';
	assert_int_equal(group->passed_over_count, 2);
	assert_string_equal(group->passed_over[0], "c1");
	assert_string_equal(group->passed_over[1], "c2");
	assert_int_equal(group->push_id, 0);
	group_free(group);
	group_free(NULL);
}

static void test_what_is_held(void **state)
{
	char passed[] = "c1";
	char *const passed_over[] = { passed };
	struct groups groups = { NULL, 0 };

	(void)state;
	assert_false(groups_hold(&groups, "a"));
	add(&groups, "a", 1);
	add(&groups, NULL, 2);
	groups_append(&groups, group_new(NULL, 0, passed_over, 1));
	assert_true(groups_hold(&groups, "a"));
	assert_true(groups_hold(&groups, "c1"));
	assert_false(groups_hold(&groups, "b"));
	groups_drop(&groups, &groups.first);
	assert_false(groups_hold(&groups, "a"));
	groups_deinit(&groups);
}

static void test_order_and_drop(void **state)
{
	struct groups groups = { NULL, 0 };

	(void)state;
	groups_deinit(&groups);
	add(&groups, "a", 1);
	add(&groups, "b", 2);
	add(&groups, "c", 3);
	assert_int_equal(groups.count, 3);
	groups_drop(&groups, &groups.first->next);
	assert_int_equal(groups.count, 2);
	assert_string_equal(ids(&groups, GROUP_EVERY_PUSH), "ac");
	groups_deinit(&groups);
	assert_null(groups.first);
	assert_int_equal(groups.count, 0);
	assert_string_equal(ids(&groups, GROUP_EVERY_PUSH), "");
}

/* One that is to be pushed again was not pushed. */
static void test_rows_up_to_a_push(void **state)
{
	struct groups groups = { NULL, 0 };

	(void)state;
	add(&groups, "a", 0);
	add(&groups, "b", 2);
	add(&groups, "c", 3);
	assert_string_equal(ids(&groups, 1), "");
	assert_string_equal(ids(&groups, 2), "b");
	assert_string_equal(ids(&groups, 3), "bc");
	assert_string_equal(ids(&groups, GROUP_EVERY_PUSH), "abc");
	groups_deinit(&groups);
}

static void test_unpushed(void **state)
{
	struct groups groups = { NULL, 0 };

	(void)state;
	assert_null(groups_unpushed(&groups));
	add(&groups, "a", 1);
	assert_null(groups_unpushed(&groups));
	add(&groups, "b", 0);
	add(&groups, "c", 0);
	assert_string_equal(groups_unpushed(&groups)->rows[0].id, "b");
	groups_include_unpushed(&groups);
	assert_null(groups_unpushed(&groups));
	assert_int_equal(groups.first->push_id, 1);
	groups_deinit(&groups);
}

static void test_rewind(void **state)
{
	struct groups groups = { NULL, 0 };

	(void)state;
	add(&groups, "a", 1);
	add(&groups, NULL, 2);
	add(&groups, "b", 3);
	add(&groups, NULL, 4);
	groups_rewind(&groups, 2);
	assert_int_equal(groups.count, 3);
	assert_int_equal(groups.first->push_id, 0);
	assert_int_equal(groups.first->next->push_id, 3);
	groups_rewind(&groups, GROUP_EVERY_PUSH);
	assert_int_equal(groups.count, 2);
	assert_int_equal(groups.first->next->push_id, 0);
	assert_null(groups.first->next->next);
	groups_deinit(&groups);
}

static void test_marks(void **state)
{
	struct group_mark from = { "key", strdup("1") }, to = { .key = NULL };
	struct group *group = make("a");

	(void)state;
	group_mark_move(&to, &from);
	assert_null(from.key);
	assert_null(from.value);
	assert_string_equal(to.value, "1");
	/* No mark takes no place. */
	group_mark_move(&to, &from);
	assert_string_equal(to.value, "1");
	from = (struct group_mark){ "key", strdup("2") };
	group_mark_move(&to, &from);
	assert_string_equal(to.key, "key");
	assert_string_equal(to.value, "2");
	group_mark_move(&group->mark, &to);
	group_free(group);
	group_mark_deinit(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_group),      cmocka_unit_test(test_what_is_held),
		cmocka_unit_test(test_order_and_drop), cmocka_unit_test(test_rows_up_to_a_push),
		cmocka_unit_test(test_unpushed),       cmocka_unit_test(test_rewind),
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
