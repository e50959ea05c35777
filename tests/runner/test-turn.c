/* SPDX-License-Identifier: MIT */
#include "runner/turn.h"

#include <stdlib.h>

#include "common/table.h"
#include "tests/runner/exchange.h"

struct world {
	struct exchange x;
	struct config config;
	struct inbound_destinations destinations;
	struct turn *turn;
	int64_t last_push;
	char pushed[8192]; /* what was given to the agent last */
};

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;
	struct turn_options options = { .timezone = "UTC" };

	*w = (struct world){ .config = { .retry_ms = { 20, 80, 300 } } };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	options.loop = w->x.loop;
	options.outbound = w->x.outbound;
	options.outbox = w->x.outbox;
	options.config = &w->config;
	options.workspace = w->x.folder.path;
	options.inbound_path = w->x.inbound;
	options.destinations = &w->destinations;
	assert_int_equal(turn_new(&options, &w->turn), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	turn_free(w->turn);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	return 0;
}

static void receive_rows(struct world *w, struct turn_input *input, const char *id,
			 const char *place)
{
	input->rows = malloc(sizeof(*input->rows));
	input->rows[0] = exchange_row(id, place, "hello");
	input->count = 1;
	assert_int_equal(turn_add(w->turn, input, NULL), 0);
}

static void receive(struct world *w, const char *id, const char *place)
{
	receive_rows(w, &(struct turn_input){ .count = 0 }, id, place);
}

/* Gives the agent what there is for it, one by one. Returns how many. */
static int push(struct world *w)
{
	struct turn_push push;
	int count = 0;

	for (; turn_next_push(w->turn, &push); count++) {
		assert_true(push.len < sizeof(w->pushed));
		memcpy(w->pushed, push.text, push.len);
		w->pushed[push.len] = '\0';
		turn_pushed(w->turn, ++w->last_push);
	}
	return count;
}

static enum turn_verdict answer(struct world *w, const char *text)
{
	return turn_result(w->turn, &(struct provider_result){
					    .text = text,
					    .text_len = strlen(text),
					    .answered = (uint64_t)w->last_push,
				    });
}

static enum turn_verdict fail_with(struct world *w, enum provider_error error)
{
	return turn_result(w->turn, &(struct provider_result){
					    .error = error,
					    .text = "boom",
					    .text_len = 4,
					    .answered = (uint64_t)w->last_push,
				    });
}

static void test_claim_comes_first(void **state)
{
	struct world *w = *state;

	assert_false(turn_is_active(w->turn));
	receive(w, "m1", "a");
	assert_true(turn_is_active(w->turn));
	assert_string_equal(exchange_acks(&w->x), "m1|processing\n");
	assert_string_equal(
		database_query(w->x.outbound_path, "SELECT key, value FROM session_state"),
		"in_reply_to|m1\n");
	assert_int_equal(push(w), 1);
	assert_string_equal(w->pushed, "<context timezone=\"UTC\" />\n<message from=\"ann\" "
				       "sender=\"Ann\" time=\"Jan 2, 2026, 3:04 AM\">hello"
				       "</message>");
	assert_int_equal(push(w), 0);
}

static void test_answer_and_acknowledgement_together(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_text(w->turn, "<message to=\"ann\">hi</message>",
		  strlen("<message to=\"ann\">hi</message>"));
	/* Held for the result, so that both are one transaction. */
	assert_string_equal(exchange_sent(&w->x), "");
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|hi\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
	assert_false(turn_is_active(w->turn));
}

/* A follow-up stays claimed until the result of the turn that took it up. */
static void test_follow_up(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	push(w);
	assert_int_equal(
		turn_result(w->turn,
			    &(struct provider_result){
				    .text = "<message to=\"ann\">one</message>",
				    .text_len = strlen("<message to=\"ann\">one</message>"),
				    .answered = 1 }),
		TURN_GOES_ON);
	assert_string_equal(exchange_acks(&w->x), "m1|completed\nm2|processing\n");
	assert_int_equal(answer(w, "<message to=\"bob\">two</message>"), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|completed\nm2|completed\n");
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|one\nm2|b|thread-b|two\n");
}

static void test_full(void **state)
{
	struct world *w = *state;
	char id[16];

	for (int i = 0; i < TURN_GROUPS_MAX; i++) {
		assert_false(turn_is_full(w->turn));
		(void)snprintf(id, sizeof(id), "m%d", i);
		receive(w, id, "a");
	}
	assert_true(turn_is_full(w->turn));
	assert_int_equal(push(w), TURN_GROUPS_MAX);
	assert_int_equal(
		turn_result(w->turn, &(struct provider_result){ .text = "", .answered = 1 }),
		TURN_GOES_ON);
	assert_false(turn_is_full(w->turn));
}

static void test_passed_over_context_is_acknowledged(void **state)
{
	char *passed_over[] = { (char *)(uintptr_t) "c1", (char *)(uintptr_t) "c2" };
	struct world *w = *state;

	receive_rows(w, &(struct turn_input){ .passed_over = passed_over, .passed_over_count = 2 },
		     "m1", "a");
	assert_string_equal(exchange_acks(&w->x), "c1|processing\nc2|processing\nm1|processing\n");
	push(w);
	assert_non_null(strstr(w->pushed, "<omitted count=\"2\""));
	assert_int_equal(fail_with(w, PROVIDER_AUTH), TURN_DONE);
	/* They had no answer coming: only the message itself failed. */
	assert_string_equal(exchange_acks(&w->x), "c1|completed\nc2|completed\nm1|failed\n");
}

static void test_command_is_raw(void **state)
{
	struct turn_push text;
	struct world *w = *state;

	receive_rows(w, &(struct turn_input){ .command = "/compact now" }, "m1", "a");
	assert_true(turn_next_push(w->turn, &text));
	assert_true(text.is_command);
	/* It is alone in its turn. */
	assert_true(turn_is_full(w->turn));
	assert_string_equal(text.text, "/compact now");
	push(w);
	/* Its output bears no blocks, and the agent is not asked for any. */
	assert_int_equal(answer(w, "Compacted."), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|Compacted.\n");
}

/* A task whose script ran for long may come in the midst of it: it waits, and gets no word of it. */
static void test_command_is_alone(void **state)
{
	struct world *w = *state;

	receive_rows(w, &(struct turn_input){ .command = "/compact" }, "m1", "a");
	assert_int_equal(push(w), 1);
	receive(w, "m2", "b");
	assert_int_equal(push(w), 0);
	assert_int_equal(answer(w, "Compacted."), TURN_GOES_ON);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|Compacted.\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\nm2|processing\n");
	assert_int_equal(push(w), 1);
	assert_int_equal(answer(w, "<message to=\"bob\">hi</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|Compacted.\nm2|b|thread-b|hi\n");
}

/* Context was not addressed to us: nobody waits for a word about it. */
static void test_rejected_context(void **state)
{
	struct turn_input input = { .count = 2 };
	struct world *w = *state;

	input.rows = calloc(2, sizeof(*input.rows));
	input.rows[0] = exchange_row("c1", "b", "aside");
	input.rows[0].wakes = false;
	free(input.rows[0].kind);
	input.rows[0].kind = strdup("gossip");
	input.rows[1] = exchange_row("m1", "a", "hello");
	assert_int_equal(turn_add(w->turn, &input, NULL), 0);
	assert_string_equal(exchange_acks(&w->x), "c1|failed\nm1|processing\n");
	assert_string_equal(exchange_sent(&w->x), "");
}

static void test_nudge_then_rescue(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
	assert_string_equal(exchange_acks(&w->x), "m1|processing\n");
	assert_int_equal(push(w), 1);
	assert_non_null(strstr(w->pushed, "Nothing of your last reply was delivered"));
	assert_int_equal(answer(w, "words again"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|words again\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

static void test_nudge_that_helps(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">words</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|words\n");
}

static void test_empty_answer_is_no_reason_to_nudge(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "<internal>nothing to say</internal>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

static void test_transient_failures_are_tried_again(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	for (size_t i = 0; i < CONFIG_RETRIES; i++) {
		assert_int_equal(push(w), 1);
		assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_RETRY);
		assert_int_equal(turn_retry_ms(w->turn), w->config.retry_ms[i]);
	}
	assert_string_equal(exchange_acks(&w->x), "m1|processing\n");
	assert_int_equal(push(w), 1);
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x),
			    "m1|a|thread-a|I could not reach the AI service: it is overloaded or "
			    "the network is down. Please send your message again in a few "
			    "minutes.\n\n(Error: boom)\n");
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
}

/* What still waits in the agent is not pushed a second time. */
static void test_only_the_failed_push_is_made_again(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	push(w);
	assert_int_equal(
		turn_result(w->turn, &(struct provider_result){ .error = PROVIDER_TRANSIENT,
								.text = "",
								.answered = 1 }),
		TURN_RETRY);
	assert_int_equal(push(w), 1);
	assert_non_null(strstr(w->pushed, "from=\"ann\""));
}

static enum turn_verdict break_off(struct world *w)
{
	return turn_broken(w->turn, PROVIDER_CRASHED, "died");
}

static const char *attempts(struct world *w)
{
	return database_query(w->x.outbound_path, "SELECT message_id, starts, excused FROM attempts"
						  " WHERE NOT done ORDER BY message_id");
}

/* As after the end of a container: the inbox has it all again. */
static void test_what_breaks_off_is_given_back(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	push(w);
	/* Never pushed: it is not to blame. */
	receive(w, "m3", "b");
	assert_int_equal(break_off(w), TURN_RETRY);
	assert_int_equal(turn_retry_ms(w->turn), 20);
	assert_false(turn_is_active(w->turn));
	assert_string_equal(exchange_acks(&w->x), "");
	assert_string_equal(attempts(w), "m1|1|0\nm2|1|0\nm3|1|1\n");
	receive(w, "m1", "a");
	push(w);
	assert_string_equal(w->pushed, "<system>Your work on what follows was broken off. Nothing "
				       "of it had been sent. See what you had done already, and go "
				       "on from there.</system>\n<context timezone=\"UTC\" />\n"
				       "<message from=\"ann\" sender=\"Ann\" time=\"Jan 2, 2026, "
				       "3:04 AM\">hello</message>");
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
	assert_string_equal(attempts(w), "m2|1|0\nm3|1|1\n");
}

/* Words of ours are no answer: the agent is tried again, and asked for its answer. */
static void test_an_aside_is_no_answer(void **state)
{
	struct world *w = *state;

	turn_aside(w->turn, "to nobody");
	receive(w, "m1", "a");
	push(w);
	turn_aside(w->turn, "memory ran out");
	assert_int_equal(turn_broken(w->turn, PROVIDER_OUT_OF_MEMORY, "died"), TURN_RETRY);
	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "no address"), TURN_GOES_ON);
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">here</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x),
			    "NULL|a|thread-a|memory ran out\nm1|a|thread-a|here\n");
}

/* The agent is told what arrived, and what it repeats all the same does not arrive twice. */
static void test_what_was_sent_before_it_broke_off(void **state)
{
	const char *const text = "<message to=\"ann\">on it</message>";
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_text(w->turn, text, strlen(text));
	turn_send_held(w->turn);
	assert_int_equal(break_off(w), TURN_RETRY);
	receive(w, "m1", "a");
	push(w);
	assert_non_null(strstr(w->pushed, "<system>Your work on what follows was broken off. This "
					  "was already sent: \"on it\" to \"ann\". Do not send it "
					  "again"));
	turn_text(w->turn, text, strlen(text));
	turn_send_held(w->turn);
	assert_int_equal(answer(w, "<message to=\"ann\">done</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|on it\nm1|a|thread-a|done\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
	/* The next turn knows nothing of it. */
	receive(w, "m2", "a");
	push(w);
	assert_null(strstr(w->pushed, "<system>"));
	assert_int_equal(answer(w, "<message to=\"ann\">on it</message>"), TURN_DONE);
	assert_non_null(strstr(exchange_sent(&w->x), "m2|a|thread-a|on it\n"));
}

static void test_the_last_attempt(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < CONFIG_ATTEMPTS - 1; i++) {
		receive(w, "m1", "a");
		assert_false(turn_is_full(w->turn));
		push(w);
		assert_int_equal(break_off(w), TURN_RETRY);
		assert_int_equal(turn_retry_ms(w->turn), w->config.retry_ms[i]);
	}
	receive(w, "m1", "a");
	/* No other message is to share its fate. */
	assert_true(turn_is_full(w->turn));
	push(w);
	/* A task's script may have ended meanwhile. */
	receive(w, "m2", "b");
	push(w);
	assert_int_equal(break_off(w), TURN_RETRY);
	assert_string_equal(exchange_sent(&w->x),
			    "m1|a|thread-a|My agent program broke off while it worked on your "
			    "message. Please try again, or ask in another way.\n\n(Error: died)\n");
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
	assert_string_equal(attempts(w), "m2|1|0\n");
}

static void test_silence_is_told(void **state)
{
	static const char telling[] =
		"My agent program has given no sign of life for 10 minutes. I stop what it does, "
		"and let it go on with your message.";
	struct world *w = *state;
	char *sent;

	turn_tell_silence(w->turn, 600000);
	assert_string_equal(exchange_sent(&w->x), "");
	receive(w, "m1", "a");
	push(w);
	turn_tell_silence(w->turn, 600000);
	assert_true(asprintf(&sent, "NULL|a|thread-a|%s\n", telling) > 0);
	assert_string_equal(exchange_sent(&w->x), sent);
	/* It is no answer: words without a block would not get lost behind it. */
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	/* What follows the last attempt is said by its failure. */
	for (int i = 0; i < CONFIG_ATTEMPTS - 1; i++) {
		receive(w, "m2", "a");
		push(w);
		assert_int_equal(break_off(w), TURN_RETRY);
	}
	receive(w, "m2", "a");
	push(w);
	turn_tell_silence(w->turn, 600000);
	assert_null(strstr(exchange_sent(&w->x), "m2|"));
	free(sent);
}

/* The agent does not even start: that goes by attempts, too. */
static void test_a_start_that_breaks_off(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < CONFIG_ATTEMPTS - 1; i++) {
		receive(w, "m1", "a");
		assert_int_equal(break_off(w), TURN_RETRY);
	}
	receive(w, "m1", "a");
	assert_int_equal(break_off(w), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
}

static void test_fresh_conversation_once(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(fail_with(w, PROVIDER_TOO_LONG), TURN_RETRY_FRESH);
	assert_int_equal(push(w), 1);
	assert_int_equal(fail_with(w, PROVIDER_TOO_LONG), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
}

static void test_lasting_failures_are_said_at_once(void **state)
{
	static const enum provider_error errors[] = { PROVIDER_AUTH, PROVIDER_QUOTA,
						      PROVIDER_UNAVAILABLE, PROVIDER_OTHER };
	struct world *w = *state;
	char id[16];

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		(void)snprintf(id, sizeof(id), "m%zu", i);
		receive(w, id, "a");
		push(w);
		assert_int_equal(fail_with(w, errors[i]), TURN_DONE);
	}
	assert_string_equal(exchange_acks(&w->x), "m0|failed\nm1|failed\nm2|failed\nm3|failed\n");
	assert_string_equal(database_query(w->x.outbound_path,
					   "SELECT count(DISTINCT content) FROM messages_out"),
			    "4\n");
}

/* Nobody waits in silence: each sender is told, also of what the agent was never given. */
static void test_everybody_is_told(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	assert_int_equal(turn_broken(w->turn, PROVIDER_UNAVAILABLE, "no program"), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|failed\nm2|failed\n");
	assert_string_equal(database_query(w->x.outbound_path,
					   "SELECT in_reply_to, platform_id FROM messages_out"
					   " ORDER BY seq"),
			    "m1|a\nm2|b\n");
}

/* The failure of one push is nothing to those who wait for another try of theirs. */
static void test_only_the_failed_are_told(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	push(w);
	assert_int_equal(
		turn_result(w->turn, &(struct provider_result){ .error = PROVIDER_TRANSIENT,
								.text = "",
								.answered = 1 }),
		TURN_RETRY);
	assert_int_equal(fail_with(w, PROVIDER_AUTH), TURN_GOES_ON);
	assert_string_equal(exchange_acks(&w->x), "m1|processing\nm2|failed\n");
	assert_string_equal(database_query(w->x.outbound_path,
					   "SELECT in_reply_to, platform_id FROM messages_out"),
			    "m2|b\n");
}

static void test_background_work_answers_nothing(void **state)
{
	struct world *w = *state;
	const char *const text = "<message to=\"bob\">by the way</message>";

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(
		turn_result(w->turn,
			    &(struct provider_result){ .text = text, .text_len = strlen(text) }),
		TURN_GOES_ON);
	assert_string_equal(exchange_sent(&w->x), "m1|b|NULL|by the way\n");
	assert_string_equal(exchange_acks(&w->x), "m1|processing\n");
	/* Nor does its failure cost the message that waits. */
	assert_int_equal(turn_result(w->turn, &(struct provider_result){ .error = PROVIDER_OTHER,
									 .text = "" }),
			 TURN_GOES_ON);
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

static void test_background_work_between_turns(void **state)
{
	struct world *w = *state;
	const char *const text = "<message to=\"bob\">done</message>";

	assert_int_equal(
		turn_result(w->turn,
			    &(struct provider_result){ .text = text, .text_len = strlen(text) }),
		TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "NULL|b|NULL|done\n");
}

static void test_stopped(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	receive(w, "m2", "b");
	turn_text(w->turn, "<message to=\"ann\">half</message>",
		  strlen("<message to=\"ann\">half</message>"));
	turn_stop(w->turn);
	assert_int_equal(turn_stopped(w->turn), TURN_DONE);
	assert_false(turn_is_active(w->turn));
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|half\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\nm2|completed\n");
}

/* A task whose script ended just then, for instance: nobody stopped it. */
static void test_what_came_after_a_stop_is_not_stopped(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_stop(w->turn);
	receive(w, "m2", "b");
	assert_int_equal(turn_stopped(w->turn), TURN_GOES_ON);
	assert_string_equal(exchange_acks(&w->x), "m1|completed\nm2|processing\n");
	assert_true(push(w) > 0);
	assert_non_null(strstr(w->pushed, "from=\"bob\""));
}

/* The claims are given back, so the next container's answer would come a second time. */
static void test_end_says_nothing_more(void **state)
{
	const char *const text = "<message to=\"ann\">half</message>";
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_text(w->turn, text, strlen(text));
	turn_end(w->turn);
	turn_send_held(w->turn);
	assert_string_equal(exchange_sent(&w->x), "");
}

static void test_end_says_what_no_message_waits_for(void **state)
{
	const char *const text = "<message to=\"ann\">by the way</message>";
	struct world *w = *state;

	turn_text(w->turn, text, strlen(text));
	turn_end(w->turn);
	assert_string_equal(exchange_sent(&w->x), "NULL|a|NULL|by the way\n");
}

static const struct provider_result missing_result = {
	.text = "",
	.answered = 1,
	.missing = true,
};

static void test_result_that_never_came_is_said(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(turn_result(w->turn, &missing_result), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|I have no answer.\n");
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
}

/* It answered before it fell silent. */
static void test_result_that_never_came_was_not_needed(void **state)
{
	const char *const text = "<message to=\"ann\">done</message>";
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_text(w->turn, text, strlen(text));
	assert_int_equal(turn_result(w->turn, &missing_result), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|done\n");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

/* What the failed try said to nobody is no part of the next one's answer. */
static void test_new_try_starts_from_nothing(void **state)
{
	const char *const lost = "<message to=\"carl\">hello</message>";
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_text(w->turn, lost, strlen(lost));
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_RETRY);
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">hello</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|hello\n");
}

static void test_interrupted_answer_is_not_nudged(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(turn_result(w->turn, &(struct provider_result){ .text = "half a thought",
									 .text_len = 14,
									 .answered = 1,
									 .interrupted = true }),
			 TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

static void test_rewind_forgets_a_nudge(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
	turn_rewind(w->turn);
	assert_int_equal(push(w), 1);
	assert_non_null(strstr(w->pushed, ">hello</message>"));
	/* The next agent may be told once, too. */
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
}

/* The claim cannot be written: nothing happened, and the row is still due. */
static void test_claim_refused(void **state)
{
	struct turn_input input = { .count = 1 };
	struct world *w = *state;
	struct err err = { "" };
	sqlite3 *db;

	assert_int_equal(sqlite3_open(w->x.outbound_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	input.rows = malloc(sizeof(*input.rows));
	input.rows[0] = exchange_row("m1", "a", "hello");
	assert_int_equal(turn_add(w->turn, &input, &err), -EAGAIN);
	assert_null(input.rows);
	assert_false(turn_is_active(w->turn));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_string_equal(exchange_acks(&w->x), "");
	receive(w, "m1", "a");
	assert_string_equal(exchange_acks(&w->x), "m1|processing\n");
}

/* What its tools deliver */

static void test_no_nudge_after_a_tool_sent(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_note_sent(w->turn, "ann", "thread-a", "Dinner at 8");
	assert_int_equal(answer(w, "I have told Ann."), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "");
	assert_string_equal(exchange_acks(&w->x), "m1|completed\n");
}

static void test_a_block_repeats_no_tool(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_note_sent(w->turn, "ann", "thread-a", "Dinner at 8");
	assert_int_equal(answer(w, "<message to=\"Ann\">Dinner at 8</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "");
	/* In another turn it is another message. */
	receive(w, "m2", "a");
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">Dinner at 8</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m2|a|thread-a|Dinner at 8\n");
}

/* It would arrive twice. */
static void test_no_second_try_after_a_tool_sent(void **state)
{
	struct world *w = *state;

	receive(w, "m1", "a");
	push(w);
	turn_note_sent(w->turn, "ann", NULL, NULL);
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_DONE);
	assert_string_equal(exchange_acks(&w->x), "m1|failed\n");
}

/* Work in the background sends by a tool, too: no later answer is shortened by that. */
static void test_between_turns_nobody_keeps_count(void **state)
{
	struct world *w = *state;

	turn_note_sent(w->turn, "ann", "thread-a", "ping");
	receive(w, "m1", "a");
	push(w);
	assert_int_equal(answer(w, "words"), TURN_GOES_ON);
	push(w);
	assert_int_equal(answer(w, "<message to=\"ann\">ping</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "m1|a|thread-a|ping\n");
}

/* What we tell the agent */

static void test_notes_come_with_the_next_messages(void **state)
{
	struct world *w = *state;

	turn_note(w->turn, "<system>one</system>", NULL);
	turn_note(w->turn, "<system>two</system>", NULL);
	assert_false(turn_is_active(w->turn));
	assert_int_equal(push(w), 0);
	receive(w, "m1", "a");
	push(w);
	assert_string_equal(w->pushed, "<system>one</system>\n<system>two</system>\n"
				       "<context timezone=\"UTC\" />\n<message from=\"ann\" "
				       "sender=\"Ann\" time=\"Jan 2, 2026, 3:04 AM\">hello"
				       "</message>");
	/* Once; but once more if the agent has to be given the messages again. */
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_RETRY);
	push(w);
	assert_memory_equal(w->pushed, "<system>one</system>\n", 21);
	receive(w, "m2", "a");
	push(w);
	assert_memory_equal(w->pushed, "<context ", 9);
}

/* A command is handed on as it is, and what nobody can read brings nothing to the agent. */
static void test_notes_wait_for_messages(void **state)
{
	struct turn_input odd = { .count = 1 };
	struct world *w = *state;

	turn_note(w->turn, "<system>one</system>", NULL);
	receive_rows(w, &(struct turn_input){ .command = "/compact" }, "m1", "a");
	push(w);
	assert_string_equal(w->pushed, "/compact");
	assert_int_equal(answer(w, "Compacted."), TURN_DONE);
	odd.rows = malloc(sizeof(*odd.rows));
	odd.rows[0] = exchange_row("m2", "a", "hello");
	free(odd.rows[0].kind);
	odd.rows[0].kind = strdup("gossip");
	assert_int_equal(turn_add(w->turn, &odd, NULL), 0);
	assert_int_equal(push(w), 0);
	receive(w, "m3", "a");
	push(w);
	assert_memory_equal(w->pushed, "<system>one</system>\n", 21);
}

/* What notes of this mark told is told for good. */
static void note_marked(struct world *w, const char *text, const char *value)
{
	turn_note(w->turn, text, &(const struct outbound_state){ "told", value });
}

static const char *told(struct world *w)
{
	return database_query(w->x.outbound_path,
			      "SELECT value FROM session_state WHERE key = 'told'");
}

static void test_a_note_is_marked_when_its_messages_are_acknowledged(void **state)
{
	struct world *w = *state;

	note_marked(w, "<system>one</system>", "1");
	receive(w, "m1", "a");
	push(w);
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_RETRY);
	push(w);
	assert_memory_equal(w->pushed, "<system>one</system>\n", 21);
	/* Nothing is said of it by what else is written meanwhile. */
	outbox_set_state(w->x.outbox, "other", "x");
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(told(w), "");
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(told(w), "1\n");
	/* Not by a failure: the agent has not heard it. */
	note_marked(w, "<system>two</system>", "2");
	receive(w, "m2", "a");
	push(w);
	assert_int_equal(fail_with(w, PROVIDER_AUTH), TURN_DONE);
	assert_string_equal(told(w), "1\n");
	note_marked(w, "<system>more</system>", "2b");
	receive(w, "m2b", "a");
	push(w);
	assert_memory_equal(w->pushed, "<system>two</system>\n<system>more</system>\n", 42);
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(told(w), "2b\n");
	/* Also by what is stopped. */
	note_marked(w, "<system>three</system>", "3");
	receive(w, "m3", "a");
	push(w);
	turn_stop(w->turn);
	assert_int_equal(turn_stopped(w->turn), TURN_DONE);
	assert_string_equal(told(w), "3\n");
}

static void test_a_turn_that_is_cut_off_marks_nothing(void **state)
{
	struct world *w = *state;

	note_marked(w, "<system>one</system>", "1");
	receive(w, "m1", "a");
	push(w);
	turn_end(w->turn);
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(told(w), "");
}

/* Given back with its messages, a note is told with the next ones. */
static void test_a_note_of_what_broke_off(void **state)
{
	struct world *w = *state;

	note_marked(w, "<system>one</system>", "1");
	receive(w, "m1", "a");
	push(w);
	assert_int_equal(break_off(w), TURN_RETRY);
	assert_string_equal(told(w), "");
	receive(w, "m2", "a");
	push(w);
	assert_memory_equal(w->pushed, "<system>one</system>\n<context", 29);
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(told(w), "1\n");
}

/* A mark alone has no words, but says what was told before it, too. */
static void test_a_mark_waits_for_earlier_ones(void **state)
{
	struct world *w = *state;

	note_marked(w, "<system>one</system>", "1");
	receive(w, "m1", "a");
	push(w);
	note_marked(w, "<system>two</system>", "2");
	note_marked(w, NULL, "3");
	receive(w, "m2", "a");
	push(w);
	assert_memory_equal(w->pushed, "<system>two</system>\n<context ", 30);
	/* The first one is given again, and the second answered before it. */
	w->last_push = 1;
	assert_int_equal(fail_with(w, PROVIDER_TRANSIENT), TURN_RETRY);
	w->last_push = 2;
	assert_int_equal(push(w), 1);
	w->last_push = 2;
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_GOES_ON);
	assert_string_equal(exchange_acks(&w->x), "m1|processing\nm2|completed\n");
	assert_string_equal(told(w), "");
	w->last_push = 3;
	assert_int_equal(answer(w, "<message to=\"ann\">hi</message>"), TURN_DONE);
	assert_string_equal(told(w), "3\n");
}

/* A late answer: the row is claimed and answered, the agent is told of it in our words. */
static void test_words_of_ours_for_a_row(void **state)
{
	struct turn_push text;
	struct world *w = *state;

	receive_rows(w, &(struct turn_input){ .text = "<system>late</system>" }, "s1", "a");
	assert_string_equal(exchange_acks(&w->x), "s1|processing\n");
	assert_true(turn_next_push(w->turn, &text));
	assert_false(text.is_command);
	assert_false(turn_is_full(w->turn));
	assert_int_equal(text.len, strlen(text.text));
	push(w);
	assert_string_equal(w->pushed, "<system>late</system>");
	assert_int_equal(answer(w, "<message to=\"ann\">thanks</message>"), TURN_DONE);
	assert_string_equal(exchange_sent(&w->x), "s1|a|thread-a|thanks\n");
	assert_string_equal(exchange_acks(&w->x), "s1|completed\n");
}

#define TURN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TURN_TEST(test_claim_comes_first),
		TURN_TEST(test_answer_and_acknowledgement_together),
		TURN_TEST(test_follow_up),
		TURN_TEST(test_full),
		TURN_TEST(test_passed_over_context_is_acknowledged),
		TURN_TEST(test_command_is_raw),
		TURN_TEST(test_command_is_alone),
		TURN_TEST(test_rejected_context),
		TURN_TEST(test_nudge_then_rescue),
		TURN_TEST(test_nudge_that_helps),
		TURN_TEST(test_empty_answer_is_no_reason_to_nudge),
		TURN_TEST(test_transient_failures_are_tried_again),
		TURN_TEST(test_only_the_failed_push_is_made_again),
		TURN_TEST(test_what_breaks_off_is_given_back),
		TURN_TEST(test_what_was_sent_before_it_broke_off),
		TURN_TEST(test_the_last_attempt),
		TURN_TEST(test_silence_is_told),
		TURN_TEST(test_a_start_that_breaks_off),
		TURN_TEST(test_an_aside_is_no_answer),
		TURN_TEST(test_fresh_conversation_once),
		TURN_TEST(test_lasting_failures_are_said_at_once),
		TURN_TEST(test_everybody_is_told),
		TURN_TEST(test_only_the_failed_are_told),
		TURN_TEST(test_background_work_answers_nothing),
		TURN_TEST(test_background_work_between_turns),
		TURN_TEST(test_stopped),
		TURN_TEST(test_what_came_after_a_stop_is_not_stopped),
		TURN_TEST(test_result_that_never_came_is_said),
		TURN_TEST(test_result_that_never_came_was_not_needed),
		TURN_TEST(test_new_try_starts_from_nothing),
		TURN_TEST(test_end_says_nothing_more),
		TURN_TEST(test_end_says_what_no_message_waits_for),
		TURN_TEST(test_interrupted_answer_is_not_nudged),
		TURN_TEST(test_rewind_forgets_a_nudge),
		TURN_TEST(test_claim_refused),
		TURN_TEST(test_no_nudge_after_a_tool_sent),
		TURN_TEST(test_a_block_repeats_no_tool),
		TURN_TEST(test_no_second_try_after_a_tool_sent),
		TURN_TEST(test_between_turns_nobody_keeps_count),
		TURN_TEST(test_notes_come_with_the_next_messages),
		TURN_TEST(test_notes_wait_for_messages),
		TURN_TEST(test_a_note_is_marked_when_its_messages_are_acknowledged),
		TURN_TEST(test_a_turn_that_is_cut_off_marks_nothing),
		TURN_TEST(test_a_note_of_what_broke_off),
		TURN_TEST(test_a_mark_waits_for_earlier_ones),
		TURN_TEST(test_words_of_ours_for_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
