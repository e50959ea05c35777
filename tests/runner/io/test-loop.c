/* SPDX-License-Identifier: MIT */
#include "runner/io/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/test.h"

struct world {
	struct loop *loop;
	struct loop_source *source, *other;
	struct loop_timer *timer, *second;
	int calls;
	int ends[2];
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
		cmocka_unit_test_setup_teardown(test_disarmed_timer_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
