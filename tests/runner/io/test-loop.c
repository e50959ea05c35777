/* SPDX-License-Identifier: MIT */
#include "runner/io/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/test.h"

struct world {
	struct loop *loop;
	struct loop_source *source, *other;
	struct loop_timer *timer, *second, *third;
	int calls;
	int ends[2];
	char log[16]; /* a letter for each call */
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .calls = 0 };
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, world.ends), 0);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	loop_source_free(w->source);
	loop_timer_free(w->timer);
	loop_timer_free(w->second);
	loop_timer_free(w->third);
	loop_free(w->loop);
	close(w->ends[0]);
	close(w->ends[1]);
	return 0;
}

static void stop_with_calls(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, w->calls);
}

static void read_one(void *userdata, uint32_t events)
{
	struct world *w = userdata;
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(w->ends[0], &c, 1), 1);
	if (++w->calls == 3)
		loop_stop(w->loop, 7);
}

static void test_descriptor(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_add_fd(w->loop, w->ends[0], EPOLLIN, read_one, w, &w->source), 0);
	assert_int_equal(write(w->ends[1], "abc", 3), 3);
	assert_int_equal(loop_run(w->loop, NULL), 7);
}

static void free_both(void *userdata, uint32_t events)
{
	struct world *w = userdata;

	(void)events;
	w->calls++;
	loop_source_free(w->source);
	loop_source_free(w->other);
	w->source = w->other = NULL;
}

/* Both are ready in the same round; whichever comes first frees the other. */
static void test_callback_frees_sources(void **state)
{
	struct world *w = *state;

	assert_int_equal(write(w->ends[0], "x", 1), 1);
	assert_int_equal(write(w->ends[1], "x", 1), 1);
	assert_int_equal(loop_add_fd(w->loop, w->ends[0], EPOLLIN, free_both, w, &w->source), 0);
	assert_int_equal(loop_add_fd(w->loop, w->ends[1], EPOLLIN, free_both, w, &w->other), 0);
	assert_int_equal(loop_timer_new(w->loop, stop_with_calls, w, &w->timer), 0);
	loop_timer_arm(w->timer, 20);
	assert_int_equal(loop_run(w->loop, NULL), 1);
}

static void count(void *userdata)
{
	struct world *w = userdata;

	w->calls++;
}

static void test_timers_fire_once_and_in_order(void **state)
{
	struct world *w = *state;
	int64_t start = clock_monotonic_ms();

	assert_int_equal(loop_timer_new(w->loop, stop_with_calls, w, &w->timer), 0);
	assert_int_equal(loop_timer_new(w->loop, count, w, &w->second), 0);
	loop_timer_arm(w->timer, 30);
	loop_timer_arm(w->second, 10);
	assert_true(loop_timer_is_armed(w->second));
	assert_int_equal(loop_run(w->loop, NULL), 1);
	assert_false(loop_timer_is_armed(w->second));
	assert_true(clock_monotonic_ms() - start >= 30);
}

static void rearm(void *userdata)
{
	struct world *w = userdata;

	w->calls++;
	loop_timer_arm(w->second, 0);
}

static void stop_on_byte(void *userdata, uint32_t events)
{
	struct world *w = userdata;

	(void)events;
	loop_stop(w->loop, 5);
}

static void test_busy_timer_does_not_starve_descriptors(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_timer_new(w->loop, rearm, w, &w->second), 0);
	loop_timer_arm(w->second, 0);
	assert_int_equal(loop_add_fd(w->loop, w->ends[0], EPOLLIN, stop_on_byte, w, &w->source), 0);
	assert_int_equal(write(w->ends[1], "x", 1), 1);
	assert_int_equal(loop_run(w->loop, NULL), 5);
}

static void say(struct world *w, const char *what)
{
	strcat(w->log, what);
}

static void say_second(void *userdata)
{
	say(userdata, "2");
}

/* Somebody else comes while this one is at work. */
static void say_third_and_send(void *userdata)
{
	struct world *w = userdata;

	say(w, "3");
	assert_int_equal(write(w->ends[1], "x", 1), 1);
}

static void say_descriptor(void *userdata, uint32_t events)
{
	struct world *w = userdata;
	char c;

	(void)events;
	say(w, "d");
	assert_int_equal(read(w->ends[0], &c, 1), 1);
}

static void say_first_and_stop(void *userdata)
{
	struct world *w = userdata;

	say(w, "1");
	loop_stop(w->loop, 0);
}

static void make_three_timers(struct world *w)
{
	assert_int_equal(loop_timer_new(w->loop, say_first_and_stop, w, &w->timer), 0);
	assert_int_equal(loop_timer_new(w->loop, say_second, w, &w->second), 0);
	assert_int_equal(loop_timer_new(w->loop, say_third_and_send, w, &w->third), 0);
	assert_int_equal(loop_add_fd(w->loop, w->ends[0], EPOLLIN, say_descriptor, w, &w->source),
			 0);
}

/* All three are due, and each lets the descriptors go before the next. */
static void test_one_timer_a_round(void **state)
{
	struct world *w = *state;

	make_three_timers(w);
	loop_timer_arm(w->third, 0);
	loop_timer_arm(w->second, 0);
	loop_timer_arm(w->timer, 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "3d21");
}

static void test_timers_due_at_once_keep_the_order_of_arming(void **state)
{
	struct world *w = *state;
	int64_t now;

	make_three_timers(w);
	/* Until all of them fell into the same millisecond. */
	do {
		loop_timer_disarm(w->second);
		loop_timer_disarm(w->third);
		now = clock_monotonic_ms();
		loop_timer_arm(w->timer, 10);
		loop_timer_arm(w->third, 0);
		loop_timer_arm(w->second, 0);
		/* Another delay is a place at the end. */
		loop_timer_arm(w->timer, 0);
	} while (clock_monotonic_ms() != now);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "3d21");
}

static void rearm_and_say(void *userdata)
{
	struct world *w = userdata;

	say(w, "2");
	loop_timer_arm(w->second, 0);
	if (strlen(w->log) == 6)
		loop_stop(w->loop, 0);
}

static void rearm_third_and_say(void *userdata)
{
	struct world *w = userdata;

	say(w, "3");
	loop_timer_arm(w->third, 0);
}

/* Work that is done a part at a time, by two at once. */
static void test_timers_that_rearm_themselves_take_turns(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_timer_new(w->loop, rearm_and_say, w, &w->second), 0);
	assert_int_equal(loop_timer_new(w->loop, rearm_third_and_say, w, &w->third), 0);
	loop_timer_arm(w->third, 0);
	loop_timer_arm(w->second, 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "323232");
}

static void rearm_both(void *userdata)
{
	struct world *w = userdata;

	say(w, "2");
	loop_timer_arm(w->timer, 0);
	loop_timer_arm(w->second, 0);
}

static void rearm_both_third(void *userdata)
{
	struct world *w = userdata;

	say(w, "3");
	loop_timer_arm(w->timer, 0);
	loop_timer_arm(w->third, 0);
}

/* Two who work a part at a time, and each time ask for the same thing to be done soon. */
static void test_asking_again_puts_nothing_off(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_timer_new(w->loop, say_first_and_stop, w, &w->timer), 0);
	assert_int_equal(loop_timer_new(w->loop, rearm_both, w, &w->second), 0);
	assert_int_equal(loop_timer_new(w->loop, rearm_both_third, w, &w->third), 0);
	loop_timer_arm(w->third, 0);
	loop_timer_arm(w->second, 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "321");
}

/* It is not forgotten by a loop that was told to stop with others due. */
static void test_a_due_timer_outlives_a_stop(void **state)
{
	struct world *w = *state;

	make_three_timers(w);
	loop_timer_arm(w->timer, 0);
	loop_timer_arm(w->second, 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "1");
	assert_true(loop_timer_is_armed(w->second));
	loop_timer_arm(w->timer, 1);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log, "121");
}

static void test_disarmed_timer_is_silent(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_timer_new(w->loop, count, w, &w->second), 0);
	assert_int_equal(loop_timer_new(w->loop, stop_with_calls, w, &w->timer), 0);
	loop_timer_arm(w->second, 1);
	loop_timer_disarm(w->second);
	loop_timer_arm(w->timer, 15);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

static void on_signal(void *userdata, const struct signalfd_siginfo *info)
{
	struct world *w = userdata;

	loop_stop(w->loop, (int)info->ssi_signo);
}

static void test_signal(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_add_signal(w->loop, SIGUSR1, on_signal, w, NULL), 0);
	assert_int_equal(loop_add_signal(w->loop, SIGUSR2, on_signal, w, NULL), 0);
	assert_int_equal(kill(getpid(), SIGUSR2), 0);
	assert_int_equal(loop_run(w->loop, NULL), SIGUSR2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callback_frees_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_fire_once_and_in_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_busy_timer_does_not_starve_descriptors, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_timer_a_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_due_at_once_keep_the_order_of_arming,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_that_rearm_themselves_take_turns, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_asking_again_puts_nothing_off, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_due_timer_outlives_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disarmed_timer_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
