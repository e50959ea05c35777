/* SPDX-License-Identifier: MIT */
#include "runner/reply.h"

#include <stdlib.h>

#include "tests/runner/exchange.h"

#define ROWS_MAX 4

struct world {
	struct exchange x;
	struct inbound_destinations destinations;
	struct inbound_row rows[ROWS_MAX];
	size_t count;
	struct reply *reply;
};

static const struct inbound_row **rows_of(void *userdata, size_t *ret_count)
{
	const struct world *w = userdata;
	const struct inbound_row **rows = calloc(ROWS_MAX, sizeof(struct inbound_row *));

	for (size_t i = 0; i < w->count; i++)
		rows[i] = &w->rows[i];
	*ret_count = w->count;
	return rows;
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;
	struct reply_options options = { .rows = rows_of, .userdata = w };

	*w = (struct world){ .count = 0 };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	options.loop = w->x.loop;
	options.outbound = w->x.outbound;
	options.outbox = w->x.outbox;
	options.inbound_path = w->x.inbound;
	options.destinations = &w->destinations;
	assert_int_equal(reply_new(&options, &w->reply), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < w->count; i++)
		inbound_row_deinit(&w->rows[i]);
	reply_free(w->reply);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	return 0;
}

static void receive(struct world *w, const char *id, const char *place)
{
	assert_true(w->count < ROWS_MAX);
	w->rows[w->count++] = exchange_row(id, place, "hello");
}

static void say(struct world *w, const char *text)
{
	reply_text(w->reply, text, strlen(text));
}

static void finish(struct world *w, const char *text)
{
	reply_final(w->reply, text, strlen(text));
	assert_true(outbox_commit(w->x.outbox));
}

static void test_blocks_go_where_they_are_addressed(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	finish(w, "aside <message to=\"ann\">one</message> <message to='bob'> two </message>"
		  "<message to=\"helper\">three</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\nm1|b|NULL|two\n"
						  "m1|g1|NULL|three\n");
	assert_true(reply_has_sent(w->reply));
	assert_false(reply_has_undelivered(w->reply));
}

/* The newest row of the turn from that place decides on the thread, then an older one. */
static void test_thread_of_the_newest_row(void **state)
{
	const char *const ids[] = { "old" };
	struct world *w = *state;

	database_exec(w->x.inbound, "INSERT INTO messages_in (id, seq, kind, timestamp,"
				    " platform_id, channel_type, thread_id, content) VALUES"
				    " ('old', 2, 'chat', '', 'b', 'chat', 'topic', '{}'),"
				    " ('unseen', 4, 'chat', '', 'b', 'chat', 'later', '{}')");
	assert_int_equal(
		outbound_claim(w->x.outbound, &(struct outbound_ids){ ids, 1 }, NULL, NULL), 0);
	receive(w, "m1", "a");
	receive(w, "m2", "a");
	finish(w, "<message to=\"ann\">one</message><message to=\"bob\">two</message>");
	assert_string_equal(exchange_sent(&w->x), "m2|a|thread-a|one\nold|b|topic|two\n");
}

static void test_final_text_repeats_nothing(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	say(w, "<message to=\"ann\">one</message>");
	reply_send_held(w->reply);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\n");
	say(w, "<message to=\"ann\">two</message>");
	finish(w, "<message to=\"ann\">two</message><message to=\"ann\">three</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\nm1|a|thread-a|two\n"
						  "m1|a|thread-a|three\n");
}

/* Twice on purpose is twice; and a text is not taken for a repetition of an earlier one. */
static void test_same_words_twice(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	say(w, "<message to=\"ann\">ping</message>");
	say(w, "<message to=\"ann\">ping</message>");
	finish(w, "<message to=\"ann\">ping</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|ping\nm1|a|thread-a|ping\n");
}

/* Words about background work came between: what they did not repeat is no repetition later. */
static void test_expectations_end_with_the_result(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	say(w, "<message to=\"ann\">ping</message>");
	finish(w, "<message to=\"bob\">done</message>");
	say(w, "<message to=\"ann\">ping</message>");
	finish(w, "<message to=\"ann\">ping</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|ping\nm1|b|NULL|done\n"
						  "m1|a|thread-a|ping\n");
}

static void on_tick(void *userdata)
{
	struct world *w = userdata;

	if (*exchange_sent(&w->x))
		loop_stop(w->x.loop, 0);
}

static void test_held_text_is_sent_by_itself(void **state)
{
	struct world *w = *state;
	struct loop_timer *tick;

	receive(w, "m1", "a");
	say(w, "<message to=\"ann\">on it</message>");
	assert_string_equal(exchange_sent(&w->x), "");
	assert_int_equal(loop_timer_new(w->x.loop, on_tick, w, &tick), 0);
	loop_timer_arm(tick, REPLY_HOLD_MS + 20);
	assert_int_equal(loop_run(w->x.loop, NULL), 0);
	loop_timer_free(tick);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|on it\n");
}

static void test_held_text_can_be_dropped(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	say(w, "<message to=\"ann\">on it</message>");
	reply_drop_held(w->reply);
	reply_send_held(w->reply);
	assert_string_equal(exchange_sent(&w->x), "");
	assert_false(reply_has_sent(w->reply));
}

static void test_scratch_is_undelivered(void **state)
{
	struct world *w = *state;
	struct strbuf note = STRBUF_EMPTY;

	receive(w, "m1", "a");
	finish(w, "just words");
	assert_false(reply_has_sent(w->reply));
	assert_true(reply_has_undelivered(w->reply));
	assert_int_equal(reply_nudge(w->reply, &note), 1);
	assert_non_null(strstr(note.data, "\"ann\", \"bob\", \"helper\""));
	assert_int_equal(reply_nudge(w->reply, &note), 0);
	strbuf_deinit(&note);
	/* Told so, it says it again. */
	finish(w, "<message to=\"ann\">just words</message>");
	assert_false(reply_has_undelivered(w->reply));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|just words\n");
}

static void test_scratch_is_rescued(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	receive(w, "m2", "b");
	finish(w, "just words");
	reply_rescue(w->reply);
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m2|b|thread-b|just words\n");
	assert_false(reply_has_undelivered(w->reply));
}

static void test_scratch_beside_a_block_is_not_sent(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	finish(w, "thinking <message to=\"ann\">one</message> done");
	assert_false(reply_has_undelivered(w->reply));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\n");
}

static void test_unknown_destination(void **state)
{
	struct world *w = *state;
	struct strbuf note = STRBUF_EMPTY;

	receive(w, "m1", "a");
	finish(w, "<message to=\"ann\">one</message><message to=\"carl\">two</message>");
	assert_true(reply_has_undelivered(w->reply));
	assert_int_equal(reply_nudge(w->reply, &note), 1);
	assert_non_null(strstr(note.data, "Your message to \"carl\" was not delivered"));
	strbuf_deinit(&note);
	/* It sends all of it again: what had arrived is not sent twice. */
	finish(w, "<message to=\"ann\">one</message><message to=\"bob\">two</message>");
	assert_false(reply_has_undelivered(w->reply));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\nm1|b|NULL|two\n");
}

static void test_unknown_destination_is_rescued(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	finish(w, "<message to=\"carl\">one</message><message to=\"dora\">two</message>");
	reply_rescue(w->reply);
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\n\ntwo\n");
}

/* The host added it after the last look. */
static void test_new_destination_is_found(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	database_exec(w->x.inbound, "INSERT INTO destinations VALUES ('carl', 'Carl', 'channel',"
				    " 'chat', 'c', NULL)");
	finish(w, "<message to=\"carl\">one</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|c|NULL|one\n");
}

/* A file that cannot be read at the moment must not make known destinations unknown. */
static void test_known_destinations_need_no_file(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	assert_int_equal(unlink(w->x.inbound), 0);
	finish(w, "<message to=\"bob\">one</message>");
	assert_false(reply_has_undelivered(w->reply));
	assert_string_equal(exchange_sent(&w->x), "m1|b|NULL|one\n");
}

static void test_origin_without_an_address(void **state)
{
	struct world *w = *state;

	receive(w, "m1", NULL);
	reply_to_origin(w->reply, "nowhere");
	database_exec(w->x.inbound, "INSERT INTO session_routing VALUES (1, 'chat', 's', 'st')");
	reply_to_origin(w->reply, "session");
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|NULL|NULL|nowhere\nm1|s|st|session\n");
}

static void test_origin_is_the_only_destination(void **state)
{
	struct world *w = *state;

	receive(w, "m1", NULL);
	w->destinations.count = 1;
	reply_to_origin(w->reply, "one");
	w->destinations.count = 3;
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|a|NULL|one\n");
}

static void test_context_is_no_origin(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	receive(w, "m2", "b");
	w->rows[1].wakes = false;
	reply_to_origin(w->reply, "one");
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\n");
}

static void test_every_sender_is_told_once(void **state)
{
	const struct inbound_row *rows[ROWS_MAX];
	struct world *w = *state;

	receive(w, "m1", "a");
	receive(w, "m2", "b");
	receive(w, "m3", "a");
	receive(w, "m4", NULL);
	for (size_t i = 0; i < w->count; i++)
		rows[i] = &w->rows[i];
	reply_to_senders(w->reply, rows, w->count, true, "sorry");
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|sorry\nm2|b|thread-b|sorry\n");
	/* Words of ours are no answer of the agent's. */
	assert_false(reply_has_sent(w->reply));
}

static void test_senders_without_an_address(void **state)
{
	const struct inbound_row *row;
	struct world *w = *state;

	receive(w, "m1", NULL);
	row = &w->rows[0];
	database_exec(w->x.inbound, "INSERT INTO session_routing VALUES (1, 'chat', 's', NULL)");
	reply_to_senders(w->reply, &row, 1, true, "sorry");
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_sent(&w->x), "m1|s|NULL|sorry\n");
}

/* What a tool sent stands in no block a second time, in whatever way that is written. */
static void test_what_a_tool_sent_is_not_sent_again(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	reply_note_sent(w->reply, "ann", "thread-a", "  lunch is ready\n");
	assert_true(reply_has_sent(w->reply));
	say(w, "<message to=\"Ann\">lunch is ready</message>");
	finish(w,
	       "<message to=\"ANN\"> lunch is ready </message><message to=\"ann\">lunch</message>"
	       "<message to=\"bob\">lunch is ready</message>");
	assert_string_equal(exchange_sent(&w->x),
			    "m1|a|thread-a|lunch\nm1|b|NULL|lunch is ready\n");
	/* The next answer may say the same. */
	reply_reset(w->reply);
	finish(w, "<message to=\"ann\">lunch is ready</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|lunch\nm1|b|NULL|lunch is ready\n"
						  "m1|a|thread-a|lunch is ready\n");
}

/* Sent beside the thread in which somebody asked, it was not seen there. */
static void test_another_thread_is_another_place(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	reply_note_sent(w->reply, "ann", NULL, "done");
	finish(w, "<message to=\"ann\">done</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|done\n");
}

/* A card, or a place that has no name: something was sent, and no words are repeated. */
static void test_a_tool_sent_something_else(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	reply_note_sent(w->reply, "ann", NULL, NULL);
	reply_note_sent(w->reply, NULL, NULL, "hello");
	reply_note_sent(w->reply, NULL, NULL, NULL);
	assert_true(reply_has_sent(w->reply));
	finish(w, "All is done.");
	assert_false(reply_has_undelivered(w->reply));
	finish(w, "<message to=\"ann\">hello</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|hello\n");
	/* What went to nobody at all is a loss nevertheless. */
	finish(w, "<message to=\"carl\">hello</message>");
	assert_true(reply_has_undelivered(w->reply));
}

/* Told that nothing arrived, the agent says it by the tool. */
static void test_a_tool_heeds_the_nudge(void **state)
{
	struct world *w = *state;
	struct strbuf note = STRBUF_EMPTY;

	receive(w, "m1", "a");
	finish(w, "<message to=\"carl\">hello</message>");
	assert_int_equal(reply_nudge(w->reply, &note), 1);
	strbuf_deinit(&note);
	reply_note_sent(w->reply, "bob", NULL, "hello");
	finish(w, "Sent.");
	assert_false(reply_has_undelivered(w->reply));
	assert_string_equal(exchange_sent(&w->x), "");
}

static void test_reset_forgets(void **state)
{
	struct world *w = *state;
	struct strbuf note = STRBUF_EMPTY;

	receive(w, "m1", "a");
	finish(w, "<message to=\"ann\">one</message><message to=\"carl\">two</message> words");
	assert_int_equal(reply_nudge(w->reply, &note), 1);
	strbuf_deinit(&note);
	reply_reset(w->reply);
	assert_false(reply_has_sent(w->reply));
	assert_false(reply_has_undelivered(w->reply));
	/* Another answer may say the same. */
	finish(w, "<message to=\"ann\">one</message>");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\nm1|a|thread-a|one\n");
}

#define REPLY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REPLY_TEST(test_blocks_go_where_they_are_addressed),
		REPLY_TEST(test_thread_of_the_newest_row),
		REPLY_TEST(test_final_text_repeats_nothing),
		REPLY_TEST(test_same_words_twice),
		REPLY_TEST(test_expectations_end_with_the_result),
		REPLY_TEST(test_held_text_is_sent_by_itself),
		REPLY_TEST(test_held_text_can_be_dropped),
		REPLY_TEST(test_scratch_is_undelivered),
		REPLY_TEST(test_scratch_is_rescued),
		REPLY_TEST(test_scratch_beside_a_block_is_not_sent),
		REPLY_TEST(test_unknown_destination),
		REPLY_TEST(test_unknown_destination_is_rescued),
		REPLY_TEST(test_new_destination_is_found),
		REPLY_TEST(test_known_destinations_need_no_file),
		REPLY_TEST(test_origin_without_an_address),
		REPLY_TEST(test_origin_is_the_only_destination),
		REPLY_TEST(test_context_is_no_origin),
		REPLY_TEST(test_every_sender_is_told_once),
		REPLY_TEST(test_senders_without_an_address),
		REPLY_TEST(test_what_a_tool_sent_is_not_sent_again),
		REPLY_TEST(test_another_thread_is_another_place),
		REPLY_TEST(test_a_tool_sent_something_else),
		REPLY_TEST(test_a_tool_heeds_the_nudge),
		REPLY_TEST(test_reset_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
