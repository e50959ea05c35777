/* SPDX-License-Identifier: MIT */
#include "runner/lookout.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit-code.h"
#include "schema/inbound.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

/* Nothing that waits for this is ever seen: the test would take too long. */
#define NEVER_MS 60000

static struct capture capture;

struct world {
	struct folder folder;
	struct config config;
	struct loop *loop;
	struct loop_timer *timeout, *writer;
	struct lookout *lookout;
	int looks;
	bool changed;	  /* as of the last look */
	bool leaves_open; /* look() answers with nothing */
	bool asks_again;  /* while it looks */
	int fails_with;	  /* look() fails so, <0 */
	int code;	  /* what lookout_failed() said last */
};

static const char *inbound(struct world *w)
{
	return folder_file(&w->folder, "inbound.db");
}

static void insert(struct world *w)
{
	database_exec(inbound(w), "INSERT INTO messages_in (id, kind, timestamp, content)"
				  " VALUES (hex(randomblob(8)), 'chat', '', '')");
}

static void on_look(void *userdata, bool changed)
{
	struct world *w = userdata;

	w->looks++;
	w->changed = changed;
	loop_stop(w->loop, 0);
	if (w->leaves_open)
		return;
	lookout_begin(w->lookout);
	if (w->asks_again)
		lookout_soon(w->lookout);
	if (w->fails_with)
		w->code = lookout_failed(w->lookout, w->fails_with, "inbound.db: it failed");
	else
		lookout_done(w->lookout, -1, false);
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static void on_writer(void *userdata)
{
	insert(userdata);
}

/* The loop, a database, and a lookout that has looked once. */
static void begin(struct world *w, bool use_inotify, int64_t idle_ms, int64_t active_ms)
{
	w->config = (struct config){
		.use_inotify = use_inotify,
		.poll_idle_ms = idle_ms,
		.poll_active_ms = active_ms,
	};
	assert_int_equal(lookout_new(w->loop, inbound(w), &w->config, on_look, w, &w->lookout), 0);
	lookout_begin(w->lookout);
	lookout_done(w->lookout, -1, false);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .code = -1 };
	folder_make(&w->folder);
	database_exec(inbound(w), schema_inbound);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	assert_int_equal(loop_timer_new(w->loop, on_writer, w, &w->writer), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lookout_free(w->lookout);
	loop_timer_free(w->writer);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
	folder_remove(&w->folder);
	return 0;
}

/* Runs until the next look. */
static void await_look(struct world *w)
{
	loop_timer_arm(w->timeout, 10000);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

/* Runs for a while in which nothing may be looked at. */
static void await_nothing(struct world *w)
{
	loop_timer_arm(w->timeout, 40);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
}

static void test_inotify_wakes(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	loop_timer_arm(w->writer, 1);
	await_look(w);
	assert_true(w->changed);
	assert_int_equal(w->looks, 1);
	await_nothing(w);
}

static void test_other_files_do_not(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	folder_write(&w->folder, "outbound.db", "x");
	folder_write(&w->folder, ".heartbeat", "");
	await_nothing(w);
	assert_int_equal(w->looks, 0);
}

static void test_polling_wakes(void **state)
{
	struct world *w = *state;

	begin(w, false, 1, NEVER_MS);
	await_nothing(w);
	assert_int_equal(w->looks, 0);
	insert(w);
	await_look(w);
	assert_true(w->changed);
	await_nothing(w);
	assert_int_equal(w->looks, 1);
}

static void test_polling_is_quicker_in_a_turn(void **state)
{
	struct world *w = *state;

	begin(w, false, NEVER_MS, 1);
	insert(w);
	await_nothing(w);
	lookout_done(w->lookout, -1, true);
	await_look(w);
	assert_int_equal(w->looks, 1);
}

static void test_what_falls_due(void **state)
{
	struct world *w = *state;
	int64_t due = clock_realtime_ms() + 30;

	begin(w, true, NEVER_MS, NEVER_MS);
	lookout_done(w->lookout, due, false);
	await_look(w);
	assert_true(clock_realtime_ms() >= due);
	assert_true(w->changed);
	await_nothing(w);
	/* Long ago: at once, and only once. */
	lookout_done(w->lookout, 1000, false);
	await_look(w);
	await_nothing(w);
	assert_int_equal(w->looks, 2);
}

static void test_due_does_not_outlast_the_poll(void **state)
{
	struct world *w = *state;

	begin(w, false, 1, NEVER_MS);
	lookout_done(w->lookout, clock_realtime_ms() + NEVER_MS, false);
	insert(w);
	await_look(w);
}

static void test_soon(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	lookout_soon(w->lookout);
	lookout_soon(w->lookout);
	assert_int_equal(w->looks, 0);
	await_look(w);
	assert_false(w->changed);
	await_nothing(w);
	assert_int_equal(w->looks, 1);

	insert(w);
	lookout_soon(w->lookout);
	await_look(w);
	assert_true(w->changed);
	await_nothing(w);
	assert_int_equal(w->looks, 2);
}

static void test_soon_while_it_looks(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	w->asks_again = true;
	insert(w);
	await_look(w);
	w->asks_again = false;
	await_look(w);
	assert_false(w->changed);
	await_nothing(w);
}

/* Nobody looked: the next poll finds the change still there, and no sooner. */
static void test_a_look_that_was_refused(void **state)
{
	struct world *w = *state;

	begin(w, false, 20, NEVER_MS);
	w->leaves_open = true;
	insert(w);
	await_look(w);
	await_look(w);
	assert_true(w->changed);
	w->leaves_open = false;
	await_look(w);
	await_nothing(w);
	assert_int_equal(w->looks, 3);
	/* The same for one that fell due: not again and again at once. */
	w->leaves_open = true;
	lookout_done(w->lookout, 1000, false);
	await_look(w);
	await_nothing(w);
	assert_int_equal(w->looks, 4);
}

static void test_a_failed_look_is_repeated(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	w->fails_with = -EAGAIN;
	capture_start(&capture, STDERR_FILENO);
	lookout_soon(w->lookout);
	await_look(w);
	assert_int_equal(w->code, 0);
	await_look(w);
	assert_true(w->changed);
	w->fails_with = 0;
	await_look(w);
	assert_string_equal(capture_stop(&capture), "agent-runner: warning: inbound.db: it failed\n"
						    "agent-runner: the inbox is served again\n");
	await_nothing(w);
	assert_int_equal(w->looks, 3);
}

/* The locks of a busy host: said once, however often one is met. */
static void test_a_failure_that_comes_and_goes_is_said_once(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	capture_start(&capture, STDERR_FILENO);
	for (int i = 0; i < 3; i++) {
		w->fails_with = -EAGAIN;
		lookout_soon(w->lookout);
		await_look(w);
		w->fails_with = 0;
		await_look(w);
	}
	assert_string_equal(capture_stop(&capture), "agent-runner: warning: inbound.db: it failed\n"
						    "agent-runner: the inbox is served again\n");
}

static void test_a_write_ahead_log_ends_the_container(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(lookout_failed(w->lookout, -ENOTSUP, "it is in WAL mode"),
			 EXIT_CODE_CONFIG);
	assert_string_equal(capture_stop(&capture), "agent-runner: error: it is in WAL mode\n");
}

static int fails(struct world *w, int r)
{
	return lookout_failed(w->lookout, r, "it is damaged");
}

static void test_lasting_damage_ends_the_container(void **state)
{
	struct world *w = *state;
	int i;

	begin(w, true, NEVER_MS, NEVER_MS);
	capture_start(&capture, STDERR_FILENO);
	/* Not before its time, however often. */
	for (i = 0; i < 10 * LOOKOUT_DAMAGED_LOOKS; i++)
		assert_int_equal(fails(w, -EBADMSG), 0);
	lookout_done(w->lookout, -1, false);
	/* And not before it was seen so often, in a row. */
	lookout_set_damage_ms(w->lookout, 0);
	for (i = 1; i < LOOKOUT_DAMAGED_LOOKS; i++)
		assert_int_equal(fails(w, -EBADMSG), 0);
	assert_int_equal(fails(w, -EAGAIN), 0);
	for (i = 1; i < LOOKOUT_DAMAGED_LOOKS; i++)
		assert_int_equal(fails(w, -EBADMSG), 0);
	lookout_done(w->lookout, -1, false);
	for (i = 1; i < LOOKOUT_DAMAGED_LOOKS; i++)
		assert_int_equal(fails(w, -EBADMSG), 0);
	(void)capture_stop(&capture);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(fails(w, -EBADMSG), EXIT_CODE_TEMPORARY);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: error: it is damaged: ending, so that the host can "
			    "mount the folder anew or restore the file\n");
}

static void test_damage_is_looked_at_by_itself(void **state)
{
	struct world *w = *state;

	begin(w, true, NEVER_MS, NEVER_MS);
	lookout_set_damage_ms(w->lookout, 20);
	w->fails_with = -EBADMSG;
	w->code = 0;
	capture_start(&capture, STDERR_FILENO);
	lookout_soon(w->lookout);
	while (w->code == 0)
		await_look(w);
	(void)capture_stop(&capture);
	assert_int_equal(w->code, EXIT_CODE_TEMPORARY);
	assert_true(w->looks >= LOOKOUT_DAMAGED_LOOKS);
}

/* The host has not made it yet. */
static void test_a_file_that_comes_later(void **state)
{
	struct world *w = *state;

	assert_int_equal(unlink(inbound(w)), 0);
	begin(w, true, NEVER_MS, NEVER_MS);
	database_exec(inbound(w), schema_inbound);
	await_look(w);
	assert_true(w->changed);
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	lookout_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_inotify_wakes),
		CASE(test_other_files_do_not),
		CASE(test_polling_wakes),
		CASE(test_polling_is_quicker_in_a_turn),
		CASE(test_what_falls_due),
		CASE(test_due_does_not_outlast_the_poll),
		CASE(test_soon),
		CASE(test_soon_while_it_looks),
		CASE(test_a_look_that_was_refused),
		CASE(test_a_failed_look_is_repeated),
		CASE(test_a_failure_that_comes_and_goes_is_said_once),
		CASE(test_a_write_ahead_log_ends_the_container),
		CASE(test_lasting_damage_ends_the_container),
		CASE(test_damage_is_looked_at_by_itself),
		CASE(test_a_file_that_comes_later),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
