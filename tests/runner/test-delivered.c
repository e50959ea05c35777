/* SPDX-License-Identifier: MIT */
#include "runner/delivered.h"

#include "tests/test.h"

static int setup(void **state)
{
	*state = delivered_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	delivered_free(*state);
	return 0;
}

static void test_nothing_was_delivered(void **state)
{
	struct delivered *d = *state;

	assert_false(delivered_repeats(d, "casa", "hello"));
	delivered_expect(d);
	assert_false(delivered_repeats(d, "casa", "hello"));
}

/* Said twice before the result: both are meant. */
static void test_no_repetition_is_expected_before_the_result(void **state)
{
	struct delivered *d = *state;

	delivered_add(d, "casa", "ping");
	assert_false(delivered_repeats(d, "casa", "ping"));
}

static void test_the_result_repeats_each_block_once(void **state)
{
	struct delivered *d = *state;

	delivered_add(d, "casa", "ping");
	delivered_add(d, "casa", "ping");
	delivered_expect(d);
	assert_true(delivered_repeats(d, "casa", "ping"));
	assert_true(delivered_repeats(d, "casa", "ping"));
	assert_false(delivered_repeats(d, "casa", "ping"));
}

static void test_name_and_body_count(void **state)
{
	struct delivered *d = *state;

	delivered_add(d, "casa", "ping");
	delivered_expect(d);
	assert_false(delivered_repeats(d, "office", "ping"));
	assert_false(delivered_repeats(d, "casa", "pin"));
	assert_false(delivered_repeats(d, "casa", "ping!"));
	assert_false(delivered_repeats(d, "Casa", "ping"));
	assert_true(delivered_repeats(d, "casa", "ping"));
}

/* What is delivered while the result is read is new: only what came before can be repeated. */
static void test_later_blocks_are_not_repetitions(void **state)
{
	struct delivered *d = *state;

	delivered_add(d, "casa", "one");
	delivered_expect(d);
	delivered_add(d, "casa", "two");
	assert_false(delivered_repeats(d, "casa", "two"));
	assert_true(delivered_repeats(d, "casa", "one"));
	/* A second result, to a nudge, may repeat all of it. */
	delivered_expect(d);
	assert_true(delivered_repeats(d, "casa", "one"));
	assert_true(delivered_repeats(d, "casa", "two"));
}

/* By a tool: no block is to say it again there, however often it tries. */
static void test_what_a_tool_sent(void **state)
{
	struct delivered *d = *state;

	delivered_add_sent(d, "casa", NULL, "ping");
	delivered_add_sent(d, "office", "t1", "ping");
	assert_true(delivered_was_sent(d, "casa", NULL, "ping"));
	assert_true(delivered_was_sent(d, "casa", "", "ping"));
	assert_false(delivered_was_sent(d, "casa", "t1", "ping"));
	assert_true(delivered_was_sent(d, "office", "t1", "ping"));
	assert_false(delivered_was_sent(d, "office", "t2", "ping"));
	assert_false(delivered_was_sent(d, "office", NULL, "ping"));
	assert_false(delivered_was_sent(d, "casa", NULL, "pong"));
	/* What a block said is another matter. */
	delivered_expect(d);
	assert_false(delivered_repeats(d, "casa", "ping"));
	delivered_add(d, "casa", "pong");
	assert_false(delivered_was_sent(d, "casa", NULL, "pong"));
	delivered_clear(d);
	assert_false(delivered_was_sent(d, "casa", NULL, "ping"));
}

/* Each time that it was sent makes up for one repetition. */
static void test_what_was_sent_is_taken_once(void **state)
{
	struct delivered *d = *state;

	delivered_add_sent(d, "casa", NULL, "one");
	delivered_add_sent(d, "casa", NULL, "ping");
	delivered_add_sent(d, "casa", NULL, "ping");
	assert_false(delivered_take_sent(d, "casa", "t1", "ping"));
	assert_true(delivered_take_sent(d, "casa", NULL, "ping"));
	assert_true(delivered_take_sent(d, "casa", "", "ping"));
	assert_false(delivered_take_sent(d, "casa", NULL, "ping"));
	assert_true(delivered_was_sent(d, "casa", NULL, "one"));
	assert_true(delivered_take_sent(d, "casa", NULL, "one"));
	assert_false(delivered_was_sent(d, "casa", NULL, "one"));
}

static void test_clear_forgets(void **state)
{
	struct delivered *d = *state;

	delivered_add(d, "casa", "ping");
	delivered_expect(d);
	delivered_clear(d);
	assert_false(delivered_repeats(d, "casa", "ping"));
	delivered_add(d, "casa", "pong");
	delivered_expect(d);
	assert_true(delivered_repeats(d, "casa", "pong"));
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	delivered_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_was_delivered),
		CASE(test_no_repetition_is_expected_before_the_result),
		CASE(test_the_result_repeats_each_block_once),
		CASE(test_name_and_body_count),
		CASE(test_later_blocks_are_not_repetitions),
		CASE(test_what_a_tool_sent),
		CASE(test_what_was_sent_is_taken_once),
		CASE(test_clear_forgets),
		cmocka_unit_test(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
