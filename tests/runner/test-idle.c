/* SPDX-License-Identifier: MIT */
#include "runner/idle.h"

#include <errno.h>
#include <stdbool.h>

#include "common/clock.h"
#include "tests/test.h"

#define SHORT_MS 10
#define LONG_MS	 100
#define LAST_MS	 250

struct world {
	struct loop *loop;
	struct loop_timer *timeout;
	struct idle *idle;
	int agents, exits; /* how often each was asked for */
	int busy;	   /* so often the agent is */
	bool ends_idle;	   /* when the agent is asked for, there is something to do again */
};

static int on_agent(void *userdata)
{
	struct world *w = userdata;

	w->agents++;
	if (w->ends_idle)
		idle_end(w->idle);
	return w->busy-- > 0 ? -EBUSY : 0;
}

static int on_exit_time(void *userdata)
{
	struct world *w = userdata;

	w->exits++;
	return 0;
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, 0);
}

static void begin(struct world *w, int64_t agent_ms, int64_t exit_ms)
{
	struct idle_options options = {
		.agent_ms = agent_ms,
		.exit_ms = exit_ms,
		.agent = on_agent,
		.exit = on_exit_time,
		.userdata = w,
	};

	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	options.loop = w->loop;
	assert_int_equal(idle_new(&options, &w->idle), 0);
}

static void run(struct world *w, int64_t ms)
{
	loop_timer_arm(w->timeout, ms);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

static void end(struct world *w)
{
	idle_free(w->idle);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
}

static void test_each_once_in_its_time(void **state)
{
	struct world w = { .busy = 0 };

	(void)state;
	begin(&w, SHORT_MS, LONG_MS);
	run(&w, LAST_MS);
	assert_int_equal(w.agents + w.exits, 0); /* it begins busy */
	idle_begin(w.idle);
	run(&w, (SHORT_MS + LONG_MS) / 2);
	assert_int_equal(w.agents, 1);
	assert_int_equal(w.exits, 0);
	run(&w, LAST_MS);
	assert_int_equal(w.agents, 1);
	assert_int_equal(w.exits, 1);
	end(&w);
}

static void test_off(void **state)
{
	struct world w = { .busy = 0 };

	(void)state;
	begin(&w, 0, 0);
	idle_begin(w.idle);
	run(&w, LONG_MS);
	assert_int_equal(w.agents + w.exits, 0);
	end(&w);
	idle_free(NULL);
}

/* The time counts from the last thing that there was to do, not from each look that found nothing. */
static void test_since_when(void **state)
{
	struct world w = { .busy = 0 };
	int64_t before_ms;

	(void)state;
	begin(&w, LONG_MS, 0);
	before_ms = clock_monotonic_ms();
	idle_begin(w.idle);
	run(&w, SHORT_MS);
	idle_end(w.idle);
	run(&w, LONG_MS);
	assert_int_equal(w.agents, 0);
	idle_begin(w.idle);
	while (w.agents == 0 && clock_monotonic_ms() - before_ms < 100 * LONG_MS) {
		idle_begin(w.idle);
		run(&w, 1);
	}
	assert_int_equal(w.agents, 1);
	assert_true(clock_monotonic_ms() - before_ms >= SHORT_MS + 2 * LONG_MS);
	end(&w);
}

static void test_restart(void **state)
{
	struct world w = { .busy = 0 };

	(void)state;
	begin(&w, LONG_MS, 0);
	idle_restart(w.idle);
	run(&w, 2 * LONG_MS);
	assert_int_equal(w.agents, 0); /* it is busy */
	idle_begin(w.idle);
	for (int64_t until_ms = clock_monotonic_ms() + 2 * LONG_MS;
	     clock_monotonic_ms() < until_ms;) {
		idle_restart(w.idle);
		run(&w, 1);
	}
	assert_int_equal(w.agents, 0);
	run(&w, 2 * LONG_MS);
	assert_int_equal(w.agents, 1);
	end(&w);
}

static void test_asked_again(void **state)
{
	struct world w = { .busy = 2 };

	(void)state;
	begin(&w, SHORT_MS, 0);
	idle_begin(w.idle);
	run(&w, LAST_MS);
	assert_int_equal(w.agents, 3);
	end(&w);
}

/* Who is busy since is not asked again. */
static void test_busy_since(void **state)
{
	struct world w = { .busy = 2, .ends_idle = true };

	(void)state;
	begin(&w, SHORT_MS, 0);
	idle_begin(w.idle);
	run(&w, LAST_MS);
	assert_int_equal(w.agents, 1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once_in_its_time),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_since_when),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_busy_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
