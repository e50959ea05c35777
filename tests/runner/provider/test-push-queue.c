/* SPDX-License-Identifier: MIT */
#include "runner/provider/push-queue.h"

#include <string.h>

#include "runner/io/json.h"
#include "tests/test.h"

static struct push_queue queue;

static int setup(void **state)
{
	(void)state;
	queue = (struct push_queue){ .first = NULL };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	push_queue_deinit(&queue);
	assert_null(queue.first);
	return 0;
}

static void add(uint64_t id, const char *text, bool is_command)
{
	assert_int_equal(push_queue_add(&queue, id, text, strlen(text), is_command), 0);
}

/* Sends all that may be sent; the UUID of the last. */
static const char *send_all(void)
{
	const char *uuid = "";
	struct push *push;

	while ((push = push_queue_next(&queue))) {
		uuid = push->uuid;
		push_queue_sent(push);
	}
	return uuid;
}

static void test_pushes_are_sent_in_order(void **state)
{
	struct push *push;

	(void)state;
	assert_null(push_queue_next(&queue));
	add(1, "one", false);
	add(2, "two", false);
	assert_int_equal(queue.newest, 2);
	assert_int_equal(push_queue_in_flight(&queue), 0);
	push = push_queue_next(&queue);
	assert_int_equal(push->id, 1);
	assert_string_equal(push->text, "one");
	push_queue_sent(push);
	assert_null(push->text);
	assert_int_equal(push_queue_in_flight(&queue), 1);
	push = push_queue_next(&queue);
	assert_int_equal(push->id, 2);
	push_queue_sent(push);
	assert_int_equal(push_queue_in_flight(&queue), 2);
	assert_null(push_queue_next(&queue));
}

static void test_text_may_hold_anything(void **state)
{
	(void)state;
	assert_int_equal(push_queue_add(&queue, 1, "a\0b", 3, false), 0);
	assert_int_equal(queue.first->len, 3);
	assert_memory_equal(queue.first->text, "a\0b", 4);
}

static void test_uuids_differ_and_are_uuids(void **state)
{
	(void)state;
	add(1, "one", false);
	add(2, "two", false);
	assert_string_not_equal(queue.first->uuid, queue.first->next->uuid);
	assert_int_equal(strlen(queue.first->uuid), 36);
	assert_int_equal(strspn(queue.first->uuid, "0123456789abcdef-"), 36);
	assert_int_equal(queue.first->uuid[14], '4');
	assert_non_null(strchr("89ab", queue.first->uuid[19]));
}

static void test_command_is_alone(void **state)
{
	(void)state;
	add(1, "before", false);
	add(2, "/cost", true);
	add(3, "after", false);
	send_all();
	assert_true(queue.first->is_sent);
	assert_non_null(queue.first->next->text);
	push_queue_answered(&queue, 1);
	send_all();
	assert_true(queue.first->is_sent);
	assert_false(queue.first->next->is_sent);
	push_queue_answered(&queue, 2);
	send_all();
	assert_true(queue.first->is_sent);
	assert_int_equal(queue.first->id, 3);
}

static void test_result_answers_what_was_replayed(void **state)
{
	const char *uuid;

	(void)state;
	assert_int_equal(push_queue_guess(&queue), 0);
	add(1, "one", false);
	assert_int_equal(push_queue_guess(&queue), 0);
	(void)send_all();
	add(2, "two", false);
	uuid = send_all();
	add(3, "three", false);
	(void)send_all();
	assert_int_equal(push_queue_guess(&queue), 1);
	push_queue_replayed(&queue, "some other");
	assert_false(push_queue_has_begun(&queue));
	assert_int_equal(push_queue_guess(&queue), 1);
	push_queue_replayed(&queue, uuid);
	assert_true(push_queue_has_begun(&queue));
	assert_int_equal(push_queue_guess(&queue), 2);
	push_queue_answered(&queue, 2);
	assert_int_equal(queue.first->id, 3);
	assert_int_equal(push_queue_guess(&queue), 3);
	assert_int_equal(queue.newest, 3);
}

static void test_named(void **state)
{
	cleanup_json json_t *uuids = json_array();

	(void)state;
	add(7, "one", false);
	add(8, "two", false);
	add(9, "three", false);
	json_array_append_new(uuids, json_string(queue.first->next->uuid));
	assert_int_equal(push_queue_named(&queue, uuids), 0);
	(void)send_all();
	assert_int_equal(push_queue_named(&queue, uuids), 8);
	json_array_append_new(uuids, json_string(queue.first->uuid));
	json_array_append_new(uuids, json_string("some other"));
	json_array_append_new(uuids, json_integer(9));
	assert_int_equal(push_queue_named(&queue, uuids), 8);
	assert_int_equal(push_queue_named(&queue, NULL), 0);
}

static void test_cancelled_and_dropped(void **state)
{
	const char *uuid;

	(void)state;
	add(1, "one", false);
	(void)send_all();
	add(2, "two", false);
	uuid = send_all();
	add(3, "/cost", true);
	add(4, "four", false);
	(void)send_all();
	push_queue_drop_unsent(&queue);
	push_queue_cancelled(&queue, "some other");
	assert_non_null(queue.first->next);
	push_queue_cancelled(&queue, uuid);
	assert_int_equal(queue.first->id, 1);
	assert_null(queue.first->next);
	assert_int_equal(queue.newest, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pushes_are_sent_in_order),
		TEST(test_text_may_hold_anything),
		TEST(test_uuids_differ_and_are_uuids),
		TEST(test_command_is_alone),
		TEST(test_result_answers_what_was_replayed),
		TEST(test_named),
		TEST(test_cancelled_and_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
