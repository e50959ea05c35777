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
	int drained, broken, refused;
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

static void on_refused(void *userdata)
{
	struct world *w = userdata;

	w->refused++;
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static const struct outbox_events events = {
		.drained = on_drained,
		.broken = on_broken,
		.refused = on_refused,
	};
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
	assert_true(outbox_has_completed(w->outbox, "a"));
	assert_false(outbox_has_completed(w->outbox, "b"));
	assert_true(outbox_commit(w->outbox));
	assert_false(outbox_has_completed(w->outbox, "a"));
	outbox_add_failed(w->outbox, "b");
	assert_false(outbox_has_completed(w->outbox, "b"));
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

static void test_claims_that_end(void **state)
{
	const char *const ids[] = { "a", "b", "c" };
	struct world *w = *state;

	assert_int_equal(outbound_claim(w->outbound, &(struct outbound_ids){ ids, 3 }, NULL, NULL),
			 0);
	outbox_give_back(w->outbox, "a", false);
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	outbox_give_back(w->outbox, "b", true);
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	outbox_keep_output(w->outbox, "c", "1");
	outbox_keep_output(w->outbox, "c", "2");
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	assert_true(outbox_is_empty(w->outbox));
	assert_string_equal(acks(w), "c|processing\n");
	assert_string_equal(database_query(database(w), "SELECT message_id, starts, excused,"
							" script_output FROM attempts ORDER BY 1"),
			    "a|1|0|NULL\nb|1|1|NULL\nc|1|0|2\n");
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
			    "session_state (SQLite 1); kept, and tried again\n");
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
	assert_int_equal(w->refused, 1);
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

/* What is refused is left to the timer, but for who is about to end. */
static void test_drained_is_raised_from_the_loop(void **state)
{
	struct world *w = *state;

	refuse(w);
	database_exec(database(w), "ALTER TABLE hidden RENAME TO session_state");
	assert_false(outbox_commit(w->outbox));
	assert_true(outbox_flush(w->outbox));
	assert_int_equal(w->drained, 0);
	loop_timer_arm(w->timeout, OUTBOX_RETRY_MS / 2);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->drained, 1);
	assert_string_equal(acks(w), "m-1|completed\n");
}

/* Rows of any kind, and who is told of them */

/* A caller who waits: what it was told. */
struct waiting {
	struct world *world;
	int64_t seq; /* 0: nothing yet */
	int told;
	void (*then)(struct waiting *self);
	struct waiting *other;
};

static void on_written(void *userdata, int64_t seq)
{
	struct waiting *waiting = userdata;

	waiting->seq = seq;
	waiting->told++;
	if (waiting->then)
		waiting->then(waiting);
}

static void add(struct world *w, const char *id, struct waiting *waiting)
{
	const struct outbound_message message = { .id = id, .kind = "system", .content = "{}" };

	outbox_add_message(w->outbox, &message, waiting ? on_written : NULL, waiting);
}

/* Lets everything that is due now happen. */
static void settle(struct world *w)
{
	for (int i = 0; i < 3; i++) {
		loop_timer_arm(w->timeout, 0);
		assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	}
	loop_timer_arm(w->timeout, 10000);
}

static const char *ids(struct world *w)
{
	return database_query(database(w), "SELECT id, seq FROM messages_out ORDER BY seq");
}

static void test_any_row(void **state)
{
	struct world *w = *state;
	char id[] = "task-1", content[] = "{\"action\":\"x\"}";
	const struct outbound_message bare = { .id = id, .kind = "system", .content = content };
	const struct outbound_message full = {
		.kind = "chat-sdk",
		.in_reply_to = "m-1",
		.channel_type = "slack",
		.platform_id = "C1",
		.thread_id = "T1",
		.content = "{\"type\":\"card\"}",
	};

	outbox_add_message(w->outbox, &bare, NULL, NULL);
	outbox_add_message(w->outbox, &full, NULL, NULL);
	memset(id, 'x', sizeof(id) - 1);
	memset(content, 'x', sizeof(content) - 1);
	assert_false(outbox_is_empty(w->outbox));
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(messages(w), "1|system|NULL|NULL|NULL|NULL|{\"action\":\"x\"}\n"
					 "3|chat-sdk|m-1|slack|C1|T1|{\"type\":\"card\"}\n");
	assert_string_equal(database_query(database(w), "SELECT iif(id LIKE 'msg-%', 'made', id)"
							" FROM messages_out ORDER BY seq"),
			    "task-1\nmade\n");
}

/* From the loop: whoever commits is in the midst of something else. */
static void test_who_waits_is_told(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w };

	add(w, "a", &ann);
	outbox_add_text(w->outbox, &route, "between");
	add(w, "b", NULL);
	add(w, "c", &bob);
	settle(w);
	assert_int_equal(ann.told, 0);
	assert_true(outbox_commit(w->outbox));
	assert_int_equal(ann.told, 0);
	settle(w);
	assert_int_equal(ann.told, 1);
	assert_int_equal(ann.seq, 1);
	assert_int_equal(bob.told, 1);
	assert_int_equal(bob.seq, 7);
	/* Once. */
	outbox_add_text(w->outbox, &route, "more");
	assert_true(outbox_commit(w->outbox));
	settle(w);
	assert_int_equal(ann.told + bob.told, 2);
}

/* How often the file was committed to. */
static uint32_t commits(struct world *w)
{
	unsigned char bytes[4] = { 0 };
	FILE *file = fopen(database(w), "re");

	assert_non_null(file);
	assert_int_equal(fseek(file, 24, SEEK_SET), 0);
	assert_int_equal(fread(bytes, 1, 4, file), 4);
	fclose(file);
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static void test_soon_is_one_transaction(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w };
	uint32_t before = commits(w);

	add(w, "a", &ann);
	outbox_commit_soon(w->outbox);
	add(w, "b", &bob);
	outbox_commit_soon(w->outbox);
	assert_string_equal(ids(w), "");
	settle(w);
	assert_string_equal(ids(w), "a|1\nb|3\n");
	assert_int_equal(commits(w), before + 1);
	assert_int_equal(ann.told, 1);
	assert_int_equal(bob.told, 1);
	/* With nothing to write nothing is written. */
	outbox_commit_soon(w->outbox);
	settle(w);
	assert_int_equal(commits(w), before + 1);
}

static void test_forgotten(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w }, eve = { .world = w };

	add(w, "a", &ann);
	add(w, "b", &bob);
	add(w, "c", &eve);
	/* Before it is written, and between that and the telling: the row stays. */
	outbox_forget(w->outbox, &ann);
	assert_true(outbox_commit(w->outbox));
	outbox_forget(w->outbox, &eve);
	outbox_forget(w->outbox, w);
	settle(w);
	assert_int_equal(ann.told, 0);
	assert_int_equal(bob.told, 1);
	assert_int_equal(eve.told, 0);
	assert_string_equal(ids(w), "a|1\nb|3\nc|5\n");
}

static void forget_the_other(struct waiting *self)
{
	outbox_forget(self->world->outbox, self->other);
}

static void test_forgotten_while_others_are_told(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w };

	ann.then = forget_the_other;
	ann.other = &bob;
	add(w, "a", &ann);
	add(w, "b", &bob);
	outbox_commit_soon(w->outbox);
	settle(w);
	assert_int_equal(ann.told, 1);
	assert_int_equal(bob.told, 0);
}

/* Twenty at once, so that the list has to grow under the feet of who tells. */
static void write_many(struct waiting *self)
{
	self->then = NULL;
	for (int i = 0; i < 20; i++)
		add(self->world, NULL, self->other);
	assert_true(outbox_commit(self->world->outbox));
	add(self->world, "last", self->other);
	outbox_commit_soon(self->world->outbox);
}

static void test_writing_while_others_are_told(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w }, eve = { .world = w };

	ann.then = write_many;
	ann.other = &eve;
	add(w, "a", &ann);
	add(w, "b", &bob);
	outbox_commit_soon(w->outbox);
	settle(w);
	assert_int_equal(ann.told, 1);
	assert_int_equal(bob.told, 1);
	assert_int_equal(bob.seq, 3);
	assert_int_equal(eve.told, 21);
	assert_int_equal(eve.seq, 45);
}

static void test_who_waits_is_told_when_it_works_again(void **state)
{
	struct world *w = *state;
	struct waiting ann = { .world = w }, bob = { .world = w }, eve = { .world = w };

	add(w, "a", &ann);
	add(w, "e", &eve);
	refuse(w);
	outbox_commit_soon(w->outbox);
	settle(w);
	assert_int_equal(ann.told, 0);
	outbox_forget(w->outbox, &eve);
	add(w, "b", &bob);
	database_exec(database(w), "ALTER TABLE hidden RENAME TO session_state");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->drained, 1);
	settle(w);
	assert_int_equal(ann.told, 1);
	assert_int_equal(ann.seq, 1);
	assert_int_equal(bob.told, 1);
	assert_int_equal(bob.seq, 7);
	assert_int_equal(eve.told, 0);
}

static void test_several_keys(void **state)
{
	struct world *w = *state;
	char key[] = "b";

	database_exec(database(w), "INSERT INTO session_state VALUES ('c', 'old', '')");
	outbox_set_state(w->outbox, "a", "1");
	outbox_set_state(w->outbox, key, NULL);
	outbox_set_state(w->outbox, "c", NULL);
	outbox_set_state(w->outbox, "a", NULL);
	outbox_set_state(w->outbox, "b", "2");
	outbox_set_state(w->outbox, "a", "3");
	key[0] = 'x';
	assert_true(outbox_commit(w->outbox));
	assert_string_equal(session_state(w), "a|3\nb|2\n");
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

	struct waiting ann = { .world = w };

	add(w, "a", &ann);
	assert_true(outbox_commit(w->outbox));
	outbox_add_text(w->outbox, &route, "one");
	add(w, "b", &ann);
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
		CASE(test_claims_that_end),
		CASE(test_what_was_refused_is_kept_and_tried_again),
		CASE(test_drained_is_raised_from_the_loop),
		CASE(test_any_row),
		CASE(test_who_waits_is_told),
		CASE(test_soon_is_one_transaction),
		CASE(test_forgotten),
		CASE(test_forgotten_while_others_are_told),
		CASE(test_writing_while_others_are_told),
		CASE(test_who_waits_is_told_when_it_works_again),
		CASE(test_several_keys),
		CASE(test_text_is_mended),
		CASE(test_free_with_something_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
