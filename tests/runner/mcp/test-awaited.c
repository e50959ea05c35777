/* SPDX-License-Identifier: MIT */
#include "runner/mcp/awaited.h"

#include <string.h>

#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

struct world {
	struct awaited *awaited;
	struct awaited_entry *entry;
	int calls;
	char text[64];
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .calls = 0 };
	world.awaited = awaited_new();
	assert_non_null(world.awaited);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	awaited_remove(w->entry);
	awaited_free(w->awaited);
	return 0;
}

static void on_answer(void *userdata, const json_t *content)
{
	struct world *w = userdata;

	w->calls++;
	strcpy(w->text, json_member_string(content, "selectedOption"));
}

static void on_answer_remove(void *userdata, const json_t *content)
{
	struct world *w = userdata;

	on_answer(userdata, content);
	awaited_remove(steal_ptr(w->entry));
}

/* Offers a row's content, written with ' for ". */
static bool offer(struct world *w, const char *content)
{
	cleanup_json json_t *value = test_json(content);

	return awaited_offer(w->awaited, value);
}

static void test_nobody_waits(void **state)
{
	struct world *w = *state;

	assert_false(offer(w, "{'questionId':'q-1','selectedOption':'yes'}"));
	assert_int_equal(awaited_count(w->awaited, AWAITED_QUESTION), 0);
	awaited_remove(NULL);
	awaited_free(NULL);
}

static void test_the_field_decides(void **state)
{
	struct world *w = *state;
	char id[] = "q-1";

	w->entry = awaited_add(w->awaited, AWAITED_QUESTION, id, on_answer, w);
	assert_non_null(w->entry);
	memset(id, 'x', sizeof(id) - 1);
	assert_int_equal(awaited_count(w->awaited, AWAITED_QUESTION), 1);
	assert_int_equal(awaited_count(w->awaited, AWAITED_REQUEST), 0);

	assert_false(offer(w, "{'requestId':'q-1','selectedOption':'no'}"));
	assert_false(offer(w, "{'questionId':'q-2','selectedOption':'\\\"questionId\\\":q-1'}"));
	assert_false(offer(w, "{'questionId':1}"));
	assert_false(offer(w, "{'questionId':''}"));
	assert_false(offer(w, "{'questionId':'q-1\\u0000'}"));
	assert_false(offer(w, "{'content':{'questionId':'q-1'}}"));
	assert_false(offer(w, "'q-1'"));
	assert_false(offer(w, "null"));
	assert_int_equal(w->calls, 0);

	assert_true(offer(w, "{'selectedOption':'yes','questionId':'q-1'}"));
	assert_int_equal(w->calls, 1);
	assert_string_equal(w->text, "yes");
	/* Whoever waits decides when that is over. */
	assert_true(offer(w, "{'selectedOption':'again','questionId':'q-1'}"));
	assert_string_equal(w->text, "again");
}

static void test_the_callback_may_free_its_entry(void **state)
{
	struct world *w = *state;

	w->entry = awaited_add(w->awaited, AWAITED_REQUEST, "r", on_answer_remove, w);
	assert_true(offer(w, "{'selectedOption':'yes','requestId':'r'}"));
	assert_false(offer(w, "{'selectedOption':'yes','requestId':'r'}"));
	assert_int_equal(w->calls, 1);
	assert_int_equal(awaited_count(w->awaited, AWAITED_REQUEST), 0);
}

static void test_many_wait(void **state)
{
	struct world *w = *state;
	struct awaited_entry *entries[3];
	const char *const ids[] = { "a", "b", "c" };
	/* The first, the last and the middle one leave. */
	const int leave[] = { 0, 2, 1 };

	for (size_t i = 0; i < 3; i++)
		entries[i] = awaited_add(w->awaited, AWAITED_QUESTION, ids[i], on_answer, w);
	assert_int_equal(awaited_count(w->awaited, AWAITED_QUESTION), 3);
	for (size_t i = 0; i < 3; i++) {
		char content[64];

		(void)snprintf(content, sizeof(content), "{'questionId':'%s','selectedOption':''}",
			       ids[leave[i]]);
		assert_true(offer(w, content));
		awaited_remove(entries[leave[i]]);
		assert_false(offer(w, content));
		assert_int_equal(awaited_count(w->awaited, AWAITED_QUESTION), 2 - i);
	}
	assert_int_equal(w->calls, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nobody_waits),
		CASE(test_the_field_decides),
		CASE(test_the_callback_may_free_its_entry),
		CASE(test_many_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
