/* SPDX-License-Identifier: MIT */
#include "runner/intake.h"

#include <stdlib.h>

#include "runner/io/child.h"
#include "tests/capture.h"
#include "tests/runner/exchange.h"

static struct capture capture;

struct world {
	struct exchange x;
	struct folder runtime; /* where the loop's socket goes */
	struct config *config;
	struct children *children;
	struct pulse *pulse;
	struct toolbox *toolbox;
	struct conversation *c;
	struct intake *intake;
	struct loop_timer *tick;
	const char *until; /* the loop ends when the acknowledgements are these */
	int broken;
};

static enum pulse_need need(void *userdata)
{
	(void)userdata;
	return PULSE_IDLE;
}

static void on_nothing(void *userdata)
{
	(void)userdata;
}

static void on_server(void *userdata, const char *name, const char *status)
{
	(void)userdata;
	(void)name;
	(void)status;
}

static void on_broken(void *userdata)
{
	struct world *w = userdata;

	w->broken++;
}

static void on_tick(void *userdata)
{
	struct world *w = userdata;

	if (w->until && strcmp(exchange_acks(&w->x), w->until) == 0)
		loop_stop(w->x.loop, 0);
	else
		loop_timer_arm(w->tick, 2);
}

static void open_conversation(struct world *w)
{
	static const struct conversation_events events = {
		.look = on_nothing,
		.ended = on_nothing,
		.server = on_server,
	};
	const struct conversation_options options = {
		.loop = w->x.loop,
		.children = w->children,
		.config = w->config,
		.workspace = w->x.folder.path,
		.inbound_path = w->x.inbound,
		.outbound = w->x.outbound,
		.outbox = w->x.outbox,
		.pulse = w->pulse,
		.toolbox = w->toolbox,
	};

	assert_int_equal(conversation_new(&options, &events, w, &w->c, NULL), 0);
}

/* No tool is called here: nobody is asked for anything. */
static void open_toolbox(struct world *w)
{
	static const struct toolbox_events none = { .writing = NULL };
	const struct toolbox_options options = {
		.loop = w->x.loop,
		.config = w->config,
		.workspace = w->x.folder.path,
		.self = "/x/agent-runner",
		.inbound_path = w->x.inbound,
		.outbound = w->x.outbound,
		.outbox = w->x.outbox,
	};

	assert_int_equal(toolbox_new(&options, &none, w, &w->toolbox), 0);
}

static void open_intake(struct world *w)
{
	const struct intake_options options = {
		.loop = w->x.loop,
		.children = w->children,
		.workspace = w->x.folder.path,
		.outbound = w->x.outbound,
		.outbox = w->x.outbox,
		.pulse = w->pulse,
		.toolbox = w->toolbox,
		.conversation = w->c,
		.broken = on_broken,
		.userdata = w,
	};

	assert_int_equal(intake_new(&options, &w->intake, NULL), 0);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .until = NULL };
	assert_int_equal(setenv("AGENT_PROVIDER", "mock", 1), 0);
	assert_int_equal(unsetenv("AGENT_MOCK_DELAY_MS"), 0);
	assert_int_equal(setenv("AGENT_MOCK_RESULT", "<message to=\"ann\">yes</message>", 1), 0);
	exchange_setup(&w->x);
	folder_make(&w->runtime);
	assert_int_equal(setenv("TMPDIR", w->runtime.path, 1), 0);
	assert_int_equal(config_load(folder_file(&w->x.folder, "none.json"), &w->config, NULL), 0);
	assert_int_equal(children_new(w->x.loop, NULL, &w->children, NULL), 0);
	assert_int_equal(pulse_new(w->x.loop, w->x.outbound,
				   folder_file(&w->x.folder, ".heartbeat"), need, w, &w->pulse),
			 0);
	assert_int_equal(loop_timer_new(w->x.loop, on_tick, w, &w->tick), 0);
	open_toolbox(w);
	open_conversation(w);
	open_intake(w);
	capture_start(&capture, STDERR_FILENO);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	(void)capture_stop(&capture);
	assert_int_equal(w->broken, 0);
	toolbox_free(w->toolbox);
	intake_free(w->intake);
	conversation_free(w->c);
	pulse_free(w->pulse);
	children_free(w->children);
	config_free(w->config);
	loop_timer_free(w->tick);
	exchange_teardown(&w->x);
	folder_remove(&w->runtime);
	return 0;
}

/* What the host writes: (id, seq, kind, content) each. */
static void receive(struct world *w, const char *rows)
{
	char sql[2048];

	(void)snprintf(sql, sizeof(sql),
		       "WITH r(id, seq, kind, content) AS (VALUES %s) INSERT INTO messages_in"
		       " (id, seq, kind, timestamp, content, channel_type, platform_id)"
		       " SELECT id, seq, kind, '', content, 'chat', 'a' FROM r",
		       rows);
	database_exec(w->x.inbound, sql);
}

static struct inbox_view view_of(struct world *w)
{
	struct inbox_view view = {
		.inbound_path = w->x.inbound,
		.outbound = w->x.outbound,
		.limit = 10,
		.first_look = true,
	};

	intake_view(w->intake, &view);
	return view;
}

/* A look at the inbox, and what becomes of it. */
static int look(struct world *w, struct err *err)
{
	const struct inbox_view view = view_of(w);
	struct inbox_look found;
	int r = inbox_look(&view, &found, err);

	if (r < 0)
		fail_msg("%s", err->text);
	r = intake_take(w->intake, &found, err);
	inbox_look_deinit(&found);
	return r;
}

static void take(struct world *w)
{
	struct err err = { "" };

	if (look(w, &err) < 0)
		fail_msg("%s", err.text);
}

/* Runs until the acknowledgements are these. */
static void run_until(struct world *w, const char *acks)
{
	w->until = acks;
	loop_timer_arm(w->tick, 0);
	assert_int_equal(loop_run(w->x.loop, NULL), 0);
	assert_string_equal(exchange_acks(&w->x), acks);
}

static void test_messages_go_to_the_agent(void **state)
{
	struct world *w = *state;

	assert_false(view_of(w).commands_known);
	receive(w, "('a', 2, 'chat', '{\"text\":\"hi\"}'), ('b', 4, 'webhook', '{}')");
	take(w);
	assert_true(view_of(w).turn_is_active);
	assert_false(view_of(w).turn_is_full);
	assert_string_equal(exchange_acks(&w->x), "a|processing\nb|processing\n");
	run_until(w, "a|completed\nb|completed\n");
	assert_string_equal(exchange_sent(&w->x), "b|a|NULL|yes\n");
	assert_false(view_of(w).turn_is_active);
	assert_true(view_of(w).commands_known);
}

static void test_what_can_go_to_nobody(void **state)
{
	struct world *w = *state;

	receive(w, "('big', 2, 'chat', 'x'), ('odd', 4, 'gossip', '{}')");
	database_exec(w->x.inbound,
		      "UPDATE messages_in SET content = zeroblob(16777217) WHERE id = 'big'");
	take(w);
	assert_string_equal(exchange_acks(&w->x), "big|failed\nodd|failed\n");
	assert_string_equal(exchange_sent(&w->x),
			    "big|a|NULL|Your message is too large for me. Please send it as a "
			    "file.\n");
	(void)capture_stop(&capture);
	assert_non_null(strstr(capture.text,
			       "agent-runner: warning: message big has more than 16777216 bytes: "
			       "acknowledged as failed\n"
			       "agent-runner: warning: message odd has the unknown kind "
			       "\"gossip\": acknowledged as failed\n"));
	capture_start(&capture, STDERR_FILENO);
	/* They are done with. */
	take(w);
	assert_false(view_of(w).turn_is_active);
}

static void test_stop(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_DELAY_MS", "60000", 1), 0);
	receive(w, "('a', 2, 'chat', '{\"text\":\"hi\"}')");
	take(w);
	receive(w, "('b', 4, 'chat', '{\"text\":\"more\"}'),"
		   " ('s', 6, 'chat', '{\"text\":\"/stop\"}')");
	take(w);
	/* What was taken up in the same look is stopped, too. */
	run_until(w, "a|completed\nb|completed\ns|completed\n");
	assert_string_equal(exchange_sent(&w->x), "s|a|NULL|Stopped.\n");
}

static void test_clear(void **state)
{
	struct world *w = *state;

	receive(w, "('c', 2, 'chat', '{\"text\":\"/clear\"}')");
	take(w);
	assert_string_equal(exchange_acks(&w->x), "c|completed\n");
	assert_string_equal(exchange_sent(&w->x), "c|a|NULL|Session cleared.\n");
}

/* Tasks whose scripts decide */

#define SCRIPT(wake)                                                       \
	"'{\"prompt\":\"p\",\"script\":\"echo ''{\\\"wakeAgent\\\": " wake \
	", \\\"data\\\": 7}''\"}'"

static void test_a_script_that_needs_nobody(void **state)
{
	struct world *w = *state;

	receive(w, "('t', 2, 'task', " SCRIPT("false") ")");
	assert_false(intake_is_busy(w->intake));
	take(w);
	assert_true(intake_is_busy(w->intake));
	assert_string_equal(exchange_acks(&w->x), "t|processing\n");
	run_until(w, "t|completed\n");
	assert_false(intake_is_busy(w->intake));
	assert_string_equal(exchange_sent(&w->x), "");
}

static void test_a_script_that_wakes_the_agent(void **state)
{
	struct world *w = *state;

	receive(w, "('t', 2, 'task', " SCRIPT("true") "), ('a', 4, 'chat', '{\"text\":\"hi\"}')");
	take(w);
	/* Nothing waits for a script. */
	assert_string_equal(exchange_acks(&w->x), "a|processing\nt|processing\n");
	run_until(w, "a|completed\nt|completed\n");
	assert_false(intake_is_busy(w->intake));
	assert_string_equal(database_query(w->x.outbound_path, "SELECT count(*) FROM messages_out"),
			    "2\n");
}

static void test_the_end_while_a_script_runs(void **state)
{
	struct world *w = *state;

	receive(w, "('t', 2, 'task', '{\"prompt\":\"p\",\"script\":\"sleep 60\"}'),"
		   " ('u', 4, 'task', '{\"prompt\":\"p\",\"script\":\"sleep 60\"}')");
	take(w);
	assert_string_equal(exchange_acks(&w->x), "t|processing\nu|processing\n");
	assert_true(intake_is_busy(w->intake));
}

/* Rows of kind system */

static void ask_question(struct world *w)
{
	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES"
		      " ('q-1', 1, '', 'chat-sdk', '{\"type\":\"ask_question\",\"title\":\"T\","
		      "\"question\":\"Q?\"}')");
}

static void test_rows_of_kind_system(void **state)
{
	struct world *w = *state;

	ask_question(w);
	receive(w, "('late', 2, 'system', '{\"questionId\":\"q-1\"}'),"
		   " ('stray', 4, 'system', '{\"questionId\":\"q-2\"}')");
	take(w);
	assert_string_equal(exchange_acks(&w->x), "late|processing\nstray|completed\n");
	run_until(w, "late|completed\nstray|completed\n");
	(void)capture_stop(&capture);
	assert_non_null(strstr(capture.text, "agent-runner: message stray of kind system answers "
					     "nothing: acknowledged\n"));
	capture_start(&capture, STDERR_FILENO);
}

static void test_a_command_waits_for_a_late_answer(void **state)
{
	struct world *w = *state;

	ask_question(w);
	receive(w, "('c', 2, 'chat', '{\"text\":\"/clear\"}'),"
		   " ('late', 4, 'system', '{\"questionId\":\"q-1\"}')");
	take(w);
	take(w);
	assert_string_equal(exchange_acks(&w->x), "late|processing\n");
	run_until(w, "late|completed\n");
	take(w);
	assert_string_equal(exchange_acks(&w->x), "c|completed\nlate|completed\n");
}

/* outbound.db refuses */

static void refuse(struct world *w, sqlite3 **ret_host)
{
	assert_int_equal(sqlite3_open(w->x.outbound_path, ret_host), SQLITE_OK);
	assert_int_equal(sqlite3_exec(*ret_host, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void test_what_cannot_be_claimed_is_still_due(void **state)
{
	static const char *const rows[] = {
		"('a', 2, 'chat', '{\"text\":\"hi\"}')",
		"('a', 2, 'task', '{\"prompt\":\"p\",\"script\":\"exit 1\"}')",
		"('a', 2, 'system', '{\"questionId\":\"q-1\"}')",
	};
	struct world *w = *state;
	struct err err;
	sqlite3 *host;

	ask_question(w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		receive(w, rows[i]);
		refuse(w, &host);
		assert_int_equal(look(w, &err), -EAGAIN);
		assert_string_equal(err.text,
				    "cannot write outbound.db: database is locked (SQLite 5)");
		assert_int_equal(sqlite3_close(host), SQLITE_OK);
		assert_string_equal(exchange_acks(&w->x), "");
		assert_false(view_of(w).turn_is_active);
		assert_false(intake_is_busy(w->intake));
		take(w);
		run_until(w, "a|completed\n");
		database_exec(w->x.inbound, "DELETE FROM messages_in");
		database_exec(w->x.outbound_path, "DELETE FROM processing_ack");
	}
}

/* What follows it must not be taken before it is on disk. */
static void test_what_cannot_be_acknowledged_holds_up_the_rest(void **state)
{
	struct world *w = *state;
	struct err err;
	sqlite3 *host;

	receive(w, "('odd', 2, 'gossip', '{}'), ('a', 4, 'chat', '{\"text\":\"hi\"}')");
	refuse(w, &host);
	assert_int_equal(look(w, &err), -EAGAIN);
	assert_string_equal(err.text, "outbound.db cannot be written yet");
	assert_false(view_of(w).turn_is_active);
	assert_int_equal(sqlite3_close(host), SQLITE_OK);
	assert_true(outbox_commit(w->x.outbox));
	assert_string_equal(exchange_acks(&w->x), "odd|failed\n");
	take(w);
	run_until(w, "a|completed\nodd|failed\n");
}

/* What the host could not deliver */

static void test_failed_deliveries(void **state)
{
	struct world *w = *state;
	static const char told[] =
		"SELECT value FROM session_state WHERE key = 'delivery_failures_told'";

	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES"
		      " ('m-1', 1, '', 'chat', '{\"text\":\"lost\"}')");
	database_exec(w->x.inbound, "INSERT INTO delivered VALUES ('m-1', NULL, 'failed', '')");
	assert_int_equal(view_of(w).failures_seen, 0);
	/* A command is no message that a note could come with. */
	receive(w, "('c', 2, 'chat', '{\"text\":\"/clear\"}')");
	take(w);
	assert_int_equal(view_of(w).failures_seen, 0);
	receive(w, "('a', 4, 'chat', '{\"text\":\"hi\"}')");
	take(w);
	assert_int_equal(view_of(w).failures_seen, 1);
	run_until(w, "a|completed\nc|completed\n");
	assert_string_equal(database_query(w->x.outbound_path, told), "1\n");
}

static void test_state_that_cannot_be_read(void **state)
{
	struct world *w = *state;
	const struct intake_options options = {
		.loop = w->x.loop,
		.children = w->children,
		.workspace = w->x.folder.path,
		.outbound = w->x.outbound,
	};
	struct intake *none = NULL;
	struct err err;

	database_exec(w->x.outbound_path, "ALTER TABLE session_state RENAME TO hidden");
	assert_int_equal(intake_new(&options, &none, &err), -EIO);
	assert_null(none);
	assert_string_equal(err.text, "no such table: session_state (SQLite 1)");
	intake_free(NULL);
	database_exec(w->x.outbound_path, "ALTER TABLE hidden RENAME TO session_state");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_messages_go_to_the_agent),
		CASE(test_what_can_go_to_nobody),
		CASE(test_stop),
		CASE(test_clear),
		CASE(test_a_script_that_needs_nobody),
		CASE(test_a_script_that_wakes_the_agent),
		CASE(test_the_end_while_a_script_runs),
		CASE(test_rows_of_kind_system),
		CASE(test_a_command_waits_for_a_late_answer),
		CASE(test_what_cannot_be_claimed_is_still_due),
		CASE(test_what_cannot_be_acknowledged_holds_up_the_rest),
		CASE(test_failed_deliveries),
		CASE(test_state_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
