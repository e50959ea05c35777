/* SPDX-License-Identifier: MIT */
#include "runner/io/schedule.h"

#include "tests/test.h"

static cpu_set_t start;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(start), &start), 0);
	return 0;
}

/* As an agent does to the loop. */
static void meddle(void)
{
	const struct sched_param param = { .sched_priority = 0 };
	cpu_set_t one;
	size_t cpu = 0;

	while (!CPU_ISSET(cpu, &start))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &param), 0);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
}

static void assert_as_at_the_start(void)
{
	cpu_set_t now;

	assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
	assert_true(CPU_EQUAL(&now, &start));
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

static void test_it_is_set_again(void **state)
{
	struct schedule schedule;

	(void)state;
	schedule_init(&schedule);
	schedule_restore(&schedule);
	assert_as_at_the_start();
	meddle();
	schedule_restore(&schedule);
	assert_as_at_the_start();
}

/* A container can be given more of them while it runs. */
static void test_processors_that_came_later_are_kept(void **state)
{
	struct schedule schedule;

	(void)state;
	meddle();
	schedule_init(&schedule);
	assert_int_equal(schedule.policy, SCHED_BATCH);
	assert_int_equal(sched_setaffinity(0, sizeof(start), &start), 0);
	schedule_restore(&schedule);
	schedule.policy = SCHED_OTHER;
	schedule_restore(&schedule);
	assert_as_at_the_start();
}

static void test_what_is_not_known_is_left_alone(void **state)
{
	const struct schedule unknown = { .policy = -1 };
	struct schedule schedule;

	(void)state;
	schedule_init(&schedule);
	meddle();
	schedule_restore(&unknown);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	schedule_restore(&schedule);
	assert_as_at_the_start();
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_it_is_set_again),
		CASE(test_processors_that_came_later_are_kept),
		CASE(test_what_is_not_known_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
