/* SPDX-License-Identifier: MIT */
#include "runner/resume.h"

#include "runner/config.h"
#include "tests/runner/exchange.h"

struct world {
	struct exchange x;
	struct inbound_destinations destinations;
	struct inbound_row rows[2];
	struct strbuf note;
	struct strbuf sent; /* name/thread=text; of each that was handed over */
	bool is_last;
};

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .note = STRBUF_EMPTY };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	w->rows[0] = exchange_row("m1", "a", "hello");
	w->rows[1] = exchange_row("m2", "b", "hello");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++)
		inbound_row_deinit(&w->rows[i]);
	strbuf_deinit(&w->note);
	strbuf_deinit(&w->sent);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	return 0;
}

static void on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	struct world *w = userdata;

	strbuf_printf(&w->sent, "%s/%s=%s;", to ? to : "-", thread ? thread : "-", text);
}

static void look(struct world *w, bool claimed)
{
	const struct resume_options options = {
		.outbound = w->x.outbound,
		.destinations = &w->destinations,
		.sent = on_sent,
		.userdata = w,
	};

	strbuf_reset(&w->note);
	strbuf_reset(&w->sent);
	strbuf_puts(&w->note, "");
	strbuf_puts(&w->sent, "");
	w->is_last = false;
	assert_int_equal(resume_look(&options, w->rows, 2, claimed, &w->note, &w->is_last, NULL),
			 0);
}

static void claim(struct world *w, const char *id)
{
	assert_int_equal(
		outbound_claim(w->x.outbound, &(struct outbound_ids){ &id, 1 }, NULL, NULL), 0);
}

static void release(struct world *w, bool excused)
{
	assert_int_equal(excused ? outbound_release(w->x.outbound, NULL)
				 : outbound_take_over(w->x.outbound, true, NULL),
			 0);
}

static void test_first_attempt(void **state)
{
	struct world *w = *state;

	look(w, false);
	assert_string_equal(w->note.data, "");
	assert_false(w->is_last);
	claim(w, "m1");
	look(w, true);
	assert_string_equal(w->note.data, "");
	assert_false(w->is_last);
}

static void test_nothing_was_sent(void **state)
{
	struct world *w = *state;

	/* Also after an orderly end: the agent had begun. */
	claim(w, "m2");
	release(w, true);
	look(w, false);
	assert_non_null(strstr(w->note.data, "Nothing of it had been sent."));
	assert_string_equal(w->note.data + w->note.len - 10, "</system>\n");
	assert_string_equal(w->sent.data, "");
	claim(w, "m2");
	look(w, true);
	assert_non_null(strstr(w->note.data, "Nothing of it had been sent."));
}

static void test_what_was_sent(void **state)
{
	struct world *w = *state;

	claim(w, "m1");
	release(w, false);
	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, content,"
		      " channel_type, platform_id, thread_id) VALUES"
		      " ('1', 1, 'm1', '', 'chat', '{\"text\":\"on it\"}', 'chat', 'a', 't'),"
		      " ('2', 3, 'm1', '', 'chat', '{\"text\":\"<there>\"}', 'chat', 'z', NULL),"
		      " ('3', 5, 'm1', '', 'system', '{\"action\":\"x\"}', NULL, NULL, NULL),"
		      " ('4', 7, 'm1', '', 'chat', 'odd', 'chat', 'b', NULL),"
		      " ('5', 9, 'm2', '', 'chat', '{\"text\":\"not retried\"}', 'chat', 'a', '')");
	look(w, false);
	assert_non_null(strstr(
		w->note.data, "This was already sent: \"on it\" to \"ann\"; \"&lt;there&gt;\"; the "
			      "request \"x\" to the host; \"odd\" to \"bob\". Do not"));
	assert_string_equal(w->sent.data, "ann/t=on it;-/-=<there>;bob/-=odd;");
}

static void test_much_was_sent(void **state)
{
	struct world *w = *state;
	const char *p;
	int named = 0;

	claim(w, "m1");
	release(w, false);
	database_exec(
		w->x.outbound_path,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30)"
		"INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, content)"
		" SELECT 'x' || i, 2 * i + 1, 'm1', '', 'chat', '{\"text\":\"word\"}' FROM n");
	look(w, false);
	for (p = w->note.data; (p = strstr(p, "\"word\"")) != NULL; p++)
		named++;
	assert_int_equal(named, 20);
	assert_non_null(strstr(w->note.data, "This was already sent, among other things: "));
}

/* Edits and reactions are no messages, and files have names. */
static void test_other_rows(void **state)
{
	struct world *w = *state;

	claim(w, "m1");
	release(w, false);
	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, content)"
		      " VALUES ('1', 1, 'm1', '', 'chat',"
		      " '{\"operation\":\"edit\",\"text\":\"fixed\"}'),"
		      " ('2', 3, 'm1', '', 'chat', '{\"text\":\"\",\"files\":[\"a.pdf\"]}')");
	look(w, false);
	assert_null(strstr(w->note.data, "fixed"));
	assert_non_null(
		strstr(w->note.data, "sent: something without words with the file \"a.pdf\"."));
	assert_string_equal(w->sent.data, "-/-=;");
}

/* They shared a turn: what was sent for one of them is told once, and to each by itself. */
static void test_rows_of_one_turn(void **state)
{
	const char *const ids[] = { "m1", "m2" };
	struct world *w = *state;

	assert_int_equal(
		outbound_claim(w->x.outbound, &(struct outbound_ids){ ids, 2 }, NULL, NULL), 0);
	release(w, false);
	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, content)"
		      " VALUES ('1', 1, 'm2', '', 'chat', '{\"text\":\"on it\"}')");
	look(w, false);
	assert_non_null(strstr(w->note.data, "sent: \"on it\". Do not"));
	assert_string_equal(w->sent.data, "-/-=on it;");
	assert_true(w->rows[0].resumed && w->rows[1].resumed);
}

/* Context was given with whatever message came: it is not what broke off. */
static void test_context_does_not_count(void **state)
{
	struct world *w = *state;

	w->rows[0].wakes = false;
	for (int i = 0; i < CONFIG_ATTEMPTS; i++) {
		claim(w, "m1");
		release(w, false);
	}
	look(w, false);
	assert_string_equal(w->note.data, "");
	assert_false(w->is_last);
}

static void test_last_attempt(void **state)
{
	struct world *w = *state;

	for (int i = 1; i < CONFIG_ATTEMPTS; i++) {
		look(w, false);
		assert_false(w->is_last);
		claim(w, "m2");
		look(w, true);
		assert_false(w->is_last);
		release(w, false);
	}
	look(w, false);
	assert_true(w->is_last);
	claim(w, "m2");
	look(w, true);
	assert_true(w->is_last);
}

static void test_failure(void **state)
{
	const struct resume_options options = { .sent = on_sent };
	struct world *w = *state;
	struct resume_options broken = options;
	struct err err;

	broken.outbound = w->x.outbound;
	broken.destinations = &w->destinations;
	broken.userdata = w;
	database_exec(w->x.outbound_path, "ALTER TABLE attempts RENAME TO hidden");
	assert_int_equal(resume_look(&broken, w->rows, 2, false, &w->note, &w->is_last, &err),
			 -EIO);
	assert_string_equal(err.text, "no such table: attempts (SQLite 1)");
}

/* Of what the look has found to be new nothing is read again, until it is claimed. */
static void test_new_rows(void **state)
{
	struct world *w = *state;

	claim(w, "m1");
	release(w, false);
	w->rows[0].is_new = w->rows[1].is_new = true;
	database_exec(w->x.outbound_path, "ALTER TABLE attempts RENAME TO hidden");
	look(w, false);
	assert_string_equal(w->note.data, "");
	assert_false(w->is_last);
	database_exec(w->x.outbound_path, "ALTER TABLE hidden RENAME TO attempts");
	claim(w, "m1");
	look(w, true);
	assert_non_null(strstr(w->note.data, "Nothing of it had been sent."));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_first_attempt),
		CASE(test_nothing_was_sent),
		CASE(test_what_was_sent),
		CASE(test_much_was_sent),
		CASE(test_other_rows),
		CASE(test_rows_of_one_turn),
		CASE(test_context_does_not_count),
		CASE(test_last_attempt),
		CASE(test_failure),
		CASE(test_new_rows),
	};

	return cmocka_run_group_tests_name("runner/resume", tests, NULL, NULL);
}
