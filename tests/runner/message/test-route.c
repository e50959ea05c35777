/* SPDX-License-Identifier: MIT */
#include "runner/message/route.h"

#include "tests/test.h"

/* The rows own their texts, so these are not const. */
#define TEXT(text) ((char[]){ text })

static struct inbound_destination rows[] = {
	{ .name = TEXT("Ann"), .channel_type = TEXT("telegram"), .platform_id = TEXT("1") },
	{ .name = TEXT("casa"), .channel_type = TEXT("telegram"), .platform_id = TEXT("2") },
	{ .name = TEXT("helper"),
	  .is_agent = true,
	  .channel_type = TEXT("agent"),
	  .platform_id = TEXT("ag-1") },
	{ .name = TEXT("office"), .channel_type = TEXT("slack"), .platform_id = TEXT("2") },
	{ .name = TEXT("work"), .channel_type = TEXT("slack"), .platform_id = TEXT("3") },
	{ .name = TEXT("WORK"), .channel_type = TEXT("slack"), .platform_id = TEXT("4") },
	{ .name = TEXT("odd"), .channel_type = NULL, .platform_id = NULL },
	/* Somebody calls a channel "agent": it is none. */
	{ .name = TEXT("false"), .channel_type = TEXT("agent"), .platform_id = TEXT("ag-2") },
};
static const struct inbound_destinations all = { rows, sizeof(rows) / sizeof(rows[0]) };
static const struct inbound_destinations none = { NULL, 0 };

static void test_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(route_by_name(&all, "casa"), &rows[1]);
	assert_ptr_equal(route_by_name(&all, "Casa"), &rows[1]);
	assert_ptr_equal(route_by_name(&all, "ANN"), &rows[0]);
	assert_null(route_by_name(&all, "cas"));
	assert_null(route_by_name(&all, "casa "));
	assert_null(route_by_name(&all, ""));
	assert_null(route_by_name(&none, "casa"));
}

/* Two names that differ in case only: each by its own spelling, none by a third one. */
static void test_names_that_differ_in_case(void **state)
{
	(void)state;
	assert_ptr_equal(route_by_name(&all, "work"), &rows[4]);
	assert_ptr_equal(route_by_name(&all, "WORK"), &rows[5]);
	assert_null(route_by_name(&all, "Work"));
}

static void test_by_address(void **state)
{
	(void)state;
	assert_ptr_equal(route_by_address(&all, "telegram", "2"), &rows[1]);
	assert_ptr_equal(route_by_address(&all, "slack", "2"), &rows[3]);
	assert_null(route_by_address(&all, "slack", "1"));
	assert_null(route_by_address(&all, "Slack", "2"));
	assert_null(route_by_address(&all, NULL, "2"));
	assert_null(route_by_address(&all, "slack", NULL));
	assert_null(route_by_address(&all, "", ""));
	assert_null(route_by_address(&none, "slack", "2"));
}

static void test_by_address_of_an_agent(void **state)
{
	(void)state;
	assert_ptr_equal(route_by_address(&all, "agent", "ag-1"), &rows[2]);
	assert_null(route_by_address(&all, "telegram", "ag-1"));
	assert_null(route_by_address(&all, "agent", "1"));
	assert_null(route_by_address(&all, "agent", "ag-2"));
}

/* The rows of a turn, oldest first. */
static const struct inbound_row old = { .id = TEXT("m1"),
					.channel_type = TEXT("telegram"),
					.platform_id = TEXT("1"),
					.thread_id = TEXT("t1") };
static const struct inbound_row new = { .id = TEXT("m2"),
					.channel_type = TEXT("telegram"),
					.platform_id = TEXT("1"),
					.thread_id = TEXT("t2") };
static const struct inbound_row elsewhere = { .id = TEXT("m3"),
					      .channel_type = TEXT("telegram"),
					      .platform_id = TEXT("2"),
					      .thread_id = NULL };
static const struct inbound_row from_agent = { .id = TEXT("m4"),
					       .channel_type = TEXT("agent"),
					       .platform_id = TEXT("ag-1"),
					       .thread_id = TEXT("t4") };
static const struct inbound_row nowhere = { .id = TEXT("m5") };
static const struct inbound_row earlier = { .id = TEXT("m0"),
					    .channel_type = TEXT("slack"),
					    .platform_id = TEXT("2"),
					    .thread_id = TEXT("t0") };
static const struct inbound_row *const turn[] = { &old, &new, &elsewhere, &from_agent, &nowhere };
#define TURN turn, sizeof(turn) / sizeof(turn[0])

static void test_newest(void **state)
{
	(void)state;
	assert_ptr_equal(route_newest(&rows[0], TURN), &new);
	assert_ptr_equal(route_newest(&rows[0], turn, 1), &old);
	assert_ptr_equal(route_newest(&rows[1], TURN), &elsewhere);
	assert_ptr_equal(route_newest(&rows[2], TURN), &from_agent);
	assert_null(route_newest(&rows[3], TURN));
	/* Neither has an address: that does not make them the same place. */
	assert_null(route_newest(&rows[6], TURN));
	assert_null(route_newest(&rows[0], NULL, 0));
}

static void assert_route(const struct route *route, const char *channel, const char *platform,
			 const char *thread, const char *in_reply_to)
{
	assert_string_equal(route->channel_type, channel);
	assert_string_equal(route->platform_id, platform);
	if (thread)
		assert_string_equal(route->thread_id, thread);
	else
		assert_null(route->thread_id);
	if (in_reply_to)
		assert_string_equal(route->in_reply_to, in_reply_to);
	else
		assert_null(route->in_reply_to);
}

static void test_reply_to_the_newest_of_the_turn(void **state)
{
	struct route route;

	(void)state;
	route_reply(&rows[0], TURN, &earlier, "m1", &route);
	assert_route(&route, "telegram", "1", "t2", "m2");
	route_reply(&rows[1], TURN, NULL, "m1", &route);
	assert_route(&route, "telegram", "2", NULL, "m3");
}

static void test_reply_to_an_older_message(void **state)
{
	struct route route;

	(void)state;
	route_reply(&rows[3], TURN, &earlier, "m1", &route);
	assert_route(&route, "slack", "2", "t0", "m0");
}

/* From there nothing came: the thread of another place must not be taken. */
static void test_reply_to_a_place_that_was_silent(void **state)
{
	struct route route;

	(void)state;
	route_reply(&rows[3], TURN, NULL, "m1", &route);
	assert_route(&route, "slack", "2", NULL, "m1");
	route_reply(&rows[3], NULL, 0, NULL, NULL, &route);
	assert_route(&route, "slack", "2", NULL, NULL);
}

static void test_reply_to_an_agent(void **state)
{
	const struct inbound_destination unnamed = { .name = TEXT("x"),
						     .is_agent = true,
						     .platform_id = TEXT("ag-9") };
	struct route route;

	(void)state;
	route_reply(&rows[2], TURN, NULL, "m1", &route);
	assert_route(&route, "agent", "ag-1", "t4", "m4");
	route_reply(&unnamed, TURN, NULL, "m1", &route);
	assert_route(&route, "agent", "ag-9", NULL, "m1");
}

static void test_origin(void **state)
{
	struct route route;

	(void)state;
	route_origin(&new, &route);
	assert_route(&route, "telegram", "1", "t2", "m2");
	route_origin(&nowhere, &route);
	assert_null(route.channel_type);
	assert_null(route.platform_id);
	assert_null(route.thread_id);
	assert_string_equal(route.in_reply_to, "m5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_names_that_differ_in_case),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_by_address_of_an_agent),
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_reply_to_the_newest_of_the_turn),
		cmocka_unit_test(test_reply_to_an_older_message),
		cmocka_unit_test(test_reply_to_a_place_that_was_silent),
		cmocka_unit_test(test_reply_to_an_agent),
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
