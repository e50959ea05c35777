/* SPDX-License-Identifier: MIT */
#include "runner/undelivered.h"

#include "common/strbuf.h"
#include "tests/capture.h"
#include "tests/runner/exchange.h"

static struct capture capture;

struct world {
	struct exchange x;
	struct inbound_destinations destinations;
	struct undelivered *undelivered;
	struct strbuf notes; /* each with its mark, followed by | */
};

static void on_note(void *userdata, const char *text, const struct outbound_state *mark)
{
	struct world *w = userdata;

	assert_string_equal(mark->key, UNDELIVERED_STATE);
	strbuf_printf(&w->notes, "%s %s|", text ? text : "-", mark->value);
}

static void open_undelivered(struct world *w)
{
	undelivered_free(w->undelivered);
	w->undelivered = NULL;
	assert_int_equal(undelivered_new(w->x.outbound, &w->undelivered, NULL), 0);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .notes = STRBUF_EMPTY };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	open_undelivered(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	undelivered_free(w->undelivered);
	strbuf_deinit(&w->notes);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	return 0;
}

/* What the agent wrote. */
static void wrote(struct world *w, const char *rows)
{
	char sql[1024];

	(void)snprintf(sql, sizeof(sql),
		       "INSERT INTO messages_out (id, seq, timestamp, kind, content, channel_type,"
		       " platform_id) VALUES %s",
		       rows);
	database_exec(w->x.outbound_path, sql);
}

/* These failed, newest first; notes and what was logged are compared. */
static void tell_of(struct world *w, char **ids, const struct inbound_failures *what,
		    const char *notes, const char *logged)
{
	struct inbound_failures failures = *what;
	struct err err = { "" };

	for (size_t i = 0; i < failures.count; i++)
		failures.ids[i] = ids[i];
	strbuf_reset(&w->notes);
	strbuf_puts(&w->notes, "");
	capture_start(&capture, STDERR_FILENO);
	if (undelivered_tell(w->undelivered, &failures, &w->destinations, on_note, w, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(capture_stop(&capture), logged);
	assert_string_equal(w->notes.data, notes);
}

static void tell(struct world *w, char **ids, size_t count, int64_t newest, const char *notes,
		 const char *logged)
{
	const struct inbound_failures failures = { .count = count, .newest = newest };

	tell_of(w, ids, &failures, notes, logged);
}

static void test_nothing_failed(void **state)
{
	struct world *w = *state;

	assert_int_equal(undelivered_seen(w->undelivered), 0);
	tell(w, NULL, 0, 7, "", "");
	assert_int_equal(undelivered_seen(w->undelivered), 0);
	assert_true(outbox_is_empty(w->x.outbox));
}

static void test_failures_are_told_oldest_first(void **state)
{
	char *ids[] = { (char[]){ "m-2" }, (char[]){ "m-1" } };
	struct world *w = *state;

	wrote(w, "('m-1', 1, '', 'chat', '{\"text\":\"one\"}', 'chat', 'b'),"
		 "('m-2', 3, '', 'chat', '{\"text\":\"two\"}', 'odd', NULL)");
	tell(w, ids, 2, 9,
	     "<system>Your message 1 to \"bob\" could not be delivered: \"one\". Nobody has seen "
	     "it.</system>\n<system>Your message 3 could not be delivered: \"two\". Nobody has "
	     "seen it.</system> 9|",
	     "agent-runner: warning: the host could not deliver the message m-1\n"
	     "agent-runner: warning: the host could not deliver the message m-2\n");
	assert_int_equal(undelivered_seen(w->undelivered), 9);
	/* The next container knows only what was acknowledged. */
	assert_true(outbox_is_empty(w->x.outbox));
	open_undelivered(w);
	assert_int_equal(undelivered_seen(w->undelivered), 0);
	outbox_set_state(w->x.outbox, UNDELIVERED_STATE, "9");
	assert_true(outbox_commit(w->x.outbox));
	open_undelivered(w);
	assert_int_equal(undelivered_seen(w->undelivered), 9);
}

static void test_too_many_failures(void **state)
{
	char *ids[] = { (char[]){ "m-1" } };
	const struct inbound_failures failures = { .count = 1, .more = true, .newest = 9 };
	struct world *w = *state;

	/* Of nothing that is ours there is no more, either. */
	tell_of(w, ids, &failures, "- 9|",
		"agent-runner: warning: the host could not deliver the message m-1\n"
		"agent-runner: warning: the host could not deliver messages before these either\n");
	wrote(w, "('m-1', 1, '', 'chat', '{\"text\":\"one\"}', NULL, NULL)");
	tell_of(w, ids, &failures,
		"<system>Your message 1 could not be delivered: \"one\". Nobody has seen "
		"it.</system>"
		"\n<system>More that you sent before these could not be delivered or carried out "
		"either.</system> 9|",
		"agent-runner: warning: the host could not deliver the message m-1\n"
		"agent-runner: warning: the host could not deliver messages before these either\n");
}

/* A row of an outbound.db that is no more, or of somebody else. */
static void test_what_is_not_ours_is_logged_only(void **state)
{
	char *ids[] = { (char[]){ "gone" }, (char[]){ "m-1" }, (char[]){ "gone too" } };
	struct world *w = *state;

	tell(w, ids, 1, 4, "- 4|",
	     "agent-runner: warning: the host could not deliver the message gone\n");
	assert_int_equal(undelivered_seen(w->undelivered), 4);
	wrote(w, "('m-1', 1, '', 'system', '{\"action\":\"schedule_task\"}', NULL, NULL)");
	tell(w, ids, 3, 6,
	     "<system>The host could not carry out \"schedule_task\", which you asked "
	     "for.</system> 6|",
	     "agent-runner: warning: the host could not deliver the message gone too\n"
	     "agent-runner: warning: the host could not deliver the message m-1\n"
	     "agent-runner: warning: the host could not deliver the message gone\n");
}

/* Nothing is told by halves: it is told when the file can be read again. */
static void test_rows_that_cannot_be_read(void **state)
{
	char *ids[] = { (char[]){ "m-1" } };
	struct inbound_failures failures = { .ids = { ids[0] }, .count = 1, .newest = 9 };
	struct world *w = *state;
	struct err err;

	wrote(w, "('m-1', 1, '', 'chat', 'plain', NULL, NULL)");
	database_exec(w->x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	assert_int_equal(
		undelivered_tell(w->undelivered, &failures, &w->destinations, on_note, w, &err),
		-EIO);
	assert_string_equal(err.text, "no such table: messages_out (SQLite 1)");
	assert_int_equal(w->notes.len, 0);
	assert_int_equal(undelivered_seen(w->undelivered), 0);
	assert_true(outbox_is_empty(w->x.outbox));
	database_exec(w->x.outbound_path, "ALTER TABLE hidden RENAME TO messages_out");
	tell(w, ids, 1, 9,
	     "<system>Your message 1 could not be delivered: \"plain\". Nobody has seen "
	     "it.</system> 9|",
	     "agent-runner: warning: the host could not deliver the message m-1\n");
}

static void test_odd_state(void **state)
{
	static const char *const values[] = { "", "x", "-1", "1.5", "99999999999999999999" };
	struct undelivered *none = NULL;
	struct world *w = *state;
	struct err err;
	char sql[128];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		(void)snprintf(sql, sizeof(sql),
			       "INSERT OR REPLACE INTO session_state VALUES"
			       " ('delivery_failures_told', '%s', '')",
			       values[i]);
		database_exec(w->x.outbound_path, sql);
		open_undelivered(w);
		assert_int_equal(undelivered_seen(w->undelivered), 0);
	}
	database_exec(w->x.outbound_path, "DROP TABLE session_state");
	assert_int_equal(undelivered_new(w->x.outbound, &none, &err), -EIO);
	assert_null(none);
	assert_string_equal(err.text, "no such table: session_state (SQLite 1)");
	undelivered_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_failed),	     CASE(test_failures_are_told_oldest_first),
		CASE(test_too_many_failures),	     CASE(test_what_is_not_ours_is_logged_only),
		CASE(test_rows_that_cannot_be_read), CASE(test_odd_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
