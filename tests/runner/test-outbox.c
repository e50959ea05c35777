/* SPDX-License-Identifier: MIT */
#include "runner/outbox.h"

#include <errno.h>
#include <string.h>

#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct capture capture;

struct world {
	struct folder folder;
	struct loop *loop;
	struct loop_timer *timeout;
	struct outbound *outbound;
	struct outbox *outbox;
	int drained, broken;
};

static const struct route route = {
	.channel_type = "telegram",
	.platform_id = "42",
	.thread_id = "7",
	.in_reply_to = "m-1",
};

static const char *database(struct world *w)
{
	return folder_file(&w->folder, "outbound.db");
}

static void on_drained(void *userdata)
{
	struct world *w = userdata;

	w->drained++;
	loop_stop(w->loop, 0);
}

static void on_broken(void *userdata)
{
	struct world *w = userdata;

	w->broken++;
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static const struct outbox_events events = { .drained = on_drained, .broken = on_broken };
	static struct world world;
	struct world *w = &world;
	char path[sizeof(w->folder.file)];

	*w = (struct world){ .drained = 0 };
	folder_make(&w->folder);
	strcpy(path, database(w));
	assert_int_equal(
		outbound_open(path, folder_file(&w->folder, "inbound.db"), &w->outbound, NULL), 0);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	loop_timer_arm(w->timeout, 10000);
	assert_int_equal(outbox_new(w->loop, w->outbound, &events, w, &w->outbox), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_int_equal(w->broken, 0);
	outbox_free(w->outbox);
	outbound_close(w->outbound);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
	folder_remove(&w->folder);
	return 0;
}

static const char *messages(struct world *w)
{
	return database_query(database(w), "SELECT seq, kind, in_reply_to, channel_type,"
					   " platform_id, thread_id, content FROM messages_out"
					   " ORDER BY seq");
}

static const char *acks(struct world *w)
{
	return database_query(database(w), "SELECT message_id, status FROM processing_ack"
					   " ORDER BY message_id");
}

static const char *session_state(struct world *w)
{
	return database_query(database(w), "SELECT key, value FROM session_state ORDER BY key");
}

static void test_nothing_to_write(void **state)
{
	struct world *w = *state;

	assert_true(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
}

static void test_one_transaction(void **state)
{
	struct world *w = *state;
	char text[] = "hello \"you\"\n", id[] = "m-1";

	outbox_add_text(w->outbox, &route, text);
	outbox_add_text(w->outbox, &(struct route){ .channel_type = "agent" }, "two");
	outbox_add_completed(w->outbox, id);
	outbox_add_failed(w->outbox, "m-2");
	outbox_set_state(w->outbox, "continuation:mock", "first");
	outbox_set_state(w->outbox, "continuation:mock", "second");
	assert_false(outbox_is_empty(w->outbox));
	/* Everything was copied, and nothing is written before the commit. */
	memset(text, 'x', sizeof(text) - 1);
	memset(id, 'x', sizeof(id) - 1);
	assert_string_equal(messages(w), "");
	assert_string_equal(acks(w), "");

	assert_true(outbox_commit(w->outbox));
	assert_true(outbox_is_empty(w->outbox));
	assert_string_equal(messages(w),
			    "1|chat|m-1|telegram|42|7|{\"text\":\"hello \\\"you\\\"\\n\"}\n"
			    "3|chat|NULL|agent|NULL|NULL|{\"text\":\"two\"}\n");
	assert_string_equal(acks(w), "m-1|completed\nm-2|failed\n");
	assert_string_equal(session_state(w), "continuation:mock|second\n");
	/* Nothing is written twice. */
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(database_query(database(w), "SELECT count(*) FROM messages_out"),
			    "2\n");
}

static void test_each_part_is_something(void **state)
{
	struct world *w = *state;

	outbox_add_completed(w->outbox, "a");
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	outbox_add_failed(w->outbox, "b");
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	outbox_set_state(w->outbox, "k", "v");
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(session_state(w), "k|v\n");
	outbox_set_state(w->outbox, "k", NULL);
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(session_state(w), "");
	assert_string_equal(acks(w), "a|completed\nb|failed\n");
}

static void refuse(struct world *w)
{
	/* The last thing that a commit writes: what it wrote before has to be taken back. */
	database_exec(database(w), "ALTER TABLE session_state RENAME TO hidden");
	outbox_add_text(w->outbox, &route, "one");
	outbox_add_completed(w->outbox, "m-1");
	outbox_set_state(w->outbox, "k", "v");
	capture_start(&capture, STDERR_FILENO);
	assert_false(outbox_commit(w->outbox));
	assert_false(outbox_commit(w->outbox));
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: error: cannot write outbound.db: no such table: "
			    "session_state (SQLite 1); kept, and tried again every second\n");
	assert_string_equal(messages(w), "");
	assert_string_equal(acks(w), "");
	assert_false(outbox_is_empty(w->outbox));
}

static void test_what_was_refused_is_kept_and_tried_again(void **state)
{
	struct world *w = *state;

	refuse(w);
	/* What comes later joins it. */
	outbox_add_text(w->outbox, &route, "two");
	database_exec(database(w), "ALTER TABLE hidden RENAME TO session_state");
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: outbound.db can be written again: nothing was lost\n");
	assert_int_equal(w->drained, 1);
	assert_true(outbox_is_empty(w->outbox));
	assert_string_equal(messages(w), "1|chat|m-1|telegram|42|7|{\"text\":\"one\"}\n"
					 "3|chat|m-1|telegram|42|7|{\"text\":\"two\"}\n");
	assert_string_equal(acks(w), "m-1|completed\n");
	/* And that was all: nothing is tried again any more. */
	loop_timer_arm(w->timeout, 20);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_int_equal(w->drained, 1);
}

/* Somebody else's commit may be the one that succeeds. */
static void test_drained_is_raised_from_the_loop(void **state)
{
	struct world *w = *state;

	refuse(w);
	database_exec(database(w), "ALTER TABLE hidden RENAME TO session_state");
	assert_true(outbox_commit(w->outbox));
	assert_int_equal(w->drained, 0);
	loop_timer_arm(w->timeout, OUTBOX_RETRY_MS / 2);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->drained, 1);
	assert_string_equal(acks(w), "m-1|completed\n");
}

static void test_text_is_mended(void **state)
{
	struct world *w = *state;

	outbox_add_text(w->outbox, &route, "bad \xff byte");
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(database_query(database(w), "SELECT content FROM messages_out"),
			    "{\"text\":\"bad \xef\xbf\xbd byte\"}\n");
}

static void test_free_with_something_in_it(void **state)
{
	struct world *w = *state;

	outbox_add_text(w->outbox, &route, "one");
	outbox_add_failed(w->outbox, "m-1");
	outbox_set_state(w->outbox, "k", "v");
	outbox_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_to_write),
		CASE(test_one_transaction),
		CASE(test_each_part_is_something),
		CASE(test_what_was_refused_is_kept_and_tried_again),
		CASE(test_drained_is_raised_from_the_loop),
		CASE(test_text_is_mended),
		CASE(test_free_with_something_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
