/* SPDX-License-Identifier: MIT */
#include "runner/intake.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/strbuf.h"
#include "runner/undelivered.h"
#include "tests/capture.h"
#include "tests/runner/mcp/rpc-client.h"
#include "tests/runner/parts.h"
#include "tests/sqlite.h"

static struct capture capture;

/*
 * Memory that runs out. The linker leads our own calls here (meson.build), not those of libraries;
 * they fail while the test says so.
 */
enum memory { MEMORY_MALLOC, MEMORY_CALLOC, MEMORY_REALLOC, MEMORY_CALLS };

static bool memory_is_out[MEMORY_CALLS];

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	return memory_is_out[MEMORY_MALLOC] ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return memory_is_out[MEMORY_CALLOC] ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return memory_is_out[MEMORY_REALLOC] ? NULL : __real_realloc(old, size);
}

struct world {
	struct parts p;
	struct intake *intake;
	struct inbound *kept;
	struct rpc_client client; /* of the agent's tools */
	int looks, broken;
};

static void on_server(void *userdata, const char *name, const char *status)
{
	(void)userdata;
	(void)name;
	(void)status;
}

static void on_look(void *userdata)
{
	struct world *w = userdata;

	w->looks++;
}

static void on_broken(void *userdata)
{
	struct world *w = userdata;

	w->broken++;
	loop_stop(w->p.x.loop, 0);
}

static void open_intake(struct world *w)
{
	const struct intake_options options = {
		.loop = w->p.x.loop,
		.children = w->p.children,
		.workspace = w->p.x.folder.path,
		.outbound = w->p.x.outbound,
		.outbox = w->p.x.outbox,
		.pulse = w->p.pulse,
		.toolbox = w->p.toolbox,
		.conversation = w->p.c,
		.look = on_look,
		.broken = on_broken,
		.userdata = w,
	};

	intake_free(steal_ptr(w->intake));
	assert_int_equal(intake_new(&options, &w->intake, NULL), 0);
}

static int setup(void **state)
{
	static const struct conversation_events events = {
		.look = exchange_on_nothing,
		.worked = exchange_on_nothing,
		.ended = exchange_on_nothing,
		.server = on_server,
	};
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .client = { .fd = -1 } };
	parts_setup(&w->p, &events, w);
	open_intake(w);
	capture_start(&capture, STDERR_FILENO);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	memset(memory_is_out, 0, sizeof(memory_is_out));
	log_set_level(LOG_LEVEL_INFO);
	(void)capture_stop(&capture);
	rpc_close(&w->client);
	intake_free(w->intake);
	parts_teardown(&w->p);
	return 0;
}

/* What was logged since the last time. */
static const char *said(void)
{
	const char *text = capture_stop(&capture);

	capture_start(&capture, STDERR_FILENO);
	return text;
}

/* The first text that the agent was given since then: does it begin with this? */
static void assert_prompt(const char *begin)
{
	static const char line[] = "agent-runner: debug: mock prompt: ";
	const char *prompt = strstr(said(), line);

	assert_non_null(prompt);
	prompt += strlen(line);
	if (strncmp(prompt, begin, strlen(begin)) != 0)
		fail_msg("%s", prompt);
}

/* What the host wrote */

static void receive_kind(struct world *w, const char *id, const char *kind, const char *content)
{
	char *sql = sqlite3_mprintf(
		"INSERT INTO messages_in (id, seq, kind, timestamp, channel_type, platform_id,"
		" content) SELECT %Q, 2 + coalesce(max(seq), 0), %Q, '2026-01-02 03:04:05', 'chat',"
		" 'a', %Q FROM messages_in",
		id, kind, content);

	database_exec(w->p.x.inbound, sql);
	sqlite3_free(sql);
}

static void receive(struct world *w, const char *id, const char *text)
{
	char content[128];

	(void)snprintf(content, sizeof(content), "{\"text\":\"%s\"}", text);
	receive_kind(w, id, "chat", content);
}

static void receive_task(struct world *w, const char *id, const char *script)
{
	cleanup_strbuf struct strbuf content = STRBUF_EMPTY;

	strbuf_printf(&content, "{\"prompt\":\"look\",\"script\":\"%s\"}", script);
	receive_kind(w, id, "task", content.data);
}

#define WAKE  "echo '{\\\"wakeAgent\\\": true, \\\"data\\\": [7]}'"
#define QUIET "echo '{\\\"wakeAgent\\\": false}'"

/* A question of ours that nobody waits for any more, and its row in exchange_sent(). */
static void make_question(struct world *w)
{
	database_exec(w->p.x.outbound_path,
		      "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES"
		      " ('q', 1, '', 'chat-sdk', '{\"type\":\"ask_question\",\"title\":\"Cake\","
		      "\"question\":\"Which?\"}')");
}

#define QUESTION "NULL|NULL|NULL|NULL\n"
#define LATE	 "{\"questionId\":\"q\",\"selectedOption\":\"Plum\"}"
#define LATE_PROMPT                                                                   \
	"<system>Your question \"Which?\" (\"Cake\") was answered when nobody waited" \
	" for the answer any more: \"Plum\". Go on from there if it still matters;"   \
	" say so to the person who answered.</system>\n"

static void make_failure(struct world *w)
{
	database_exec(w->p.x.outbound_path,
		      "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES"
		      " ('m', 1, '', 'chat', '{\"text\":\"one\"}')");
	database_exec(w->p.x.inbound, "INSERT INTO delivered VALUES ('m', NULL, 'failed', '')");
}

#define FAILURE "agent-runner: warning: the host could not deliver the message m\n"
#define FAILURE_PROMPT                                                                \
	"<system>Your message 1 could not be delivered: \"one\". Nobody has seen it." \
	"</system>"

/* Looks */

/* Nothing is kept of a first look. */
static struct inbox_view view_of(struct world *w)
{
	struct inbox_view view = {
		.inbound_path = w->p.x.inbound,
		.inbound = &w->kept,
		.outbound = w->p.x.outbound,
		.limit = 10,
		.first_look = true,
	};

	intake_view(w->intake, &view);
	return view;
}

/* A look, as a session does it. call is a call for memory that fails, MEMORY_CALLS: none. */
static int look_without(struct world *w, enum memory call, struct err *err)
{
	const struct inbox_view view = view_of(w);
	struct inbox_look look;
	int r;

	if (inbox_look(&view, &look, err) < 0)
		fail_msg("%s", err->text);
	if (call < MEMORY_CALLS)
		memory_is_out[call] = true;
	r = intake_take(w->intake, &look, err);
	if (call < MEMORY_CALLS)
		memory_is_out[call] = false;
	inbox_look_deinit(&look);
	return r;
}

static void look(struct world *w)
{
	struct err err = { "" };

	if (look_without(w, MEMORY_CALLS, &err) < 0)
		fail_msg("%s", err.text);
}

static const char *acks(struct world *w)
{
	return exchange_acks(&w->p.x);
}

static void run_until(struct world *w, const char *expected)
{
	while (strcmp(acks(w), expected) != 0)
		rpc_turn(w->p.x.loop);
}

/* Until the agent has said what it can do. */
static void wait_for_commands(struct world *w)
{
	while (!conversation_knows_commands(w->p.c))
		rpc_turn(w->p.x.loop);
}

static void warm(struct world *w)
{
	look(w);
	wait_for_commands(w);
	assert_string_equal(said(), "agent-runner: agent mock started, new conversation\n");
}

static const char *in_reply_to(struct world *w)
{
	return database_query(w->p.x.outbound_path, "SELECT value FROM session_state"
						    " WHERE key = 'in_reply_to'");
}

static bool heart_beats(struct world *w)
{
	return access(folder_file(&w->p.x.folder, ".heartbeat"), F_OK) == 0;
}

/* Tests */

static void test_the_view(void **state)
{
	struct world *w = *state;
	struct inbox_view view = view_of(w);

	assert_false(view.turn_is_active);
	assert_false(view.turn_is_full);
	/* No look started the agent yet. */
	assert_false(view.commands_known);
	assert_int_equal(view.failures_seen, 0);
	warm(w);
	view = view_of(w);
	assert_true(view.commands_known);
	assert_true(view.known(view.userdata, "/mock"));
	assert_false(view.known(view.userdata, "/etc"));
	assert_ptr_equal(view.is_awaited, toolbox_is_awaited);
	assert_ptr_equal(view.awaited_userdata, w->p.toolbox);
	/* What is not the intake's to know is left as it was. */
	assert_int_equal(view.limit, 10);
	assert_true(view.first_look);
	receive(w, "a", "/mock");
	look(w);
	view = view_of(w);
	assert_true(view.turn_is_active);
	assert_true(view.turn_is_full);
	database_exec(w->p.x.outbound_path,
		      "INSERT INTO session_state VALUES ('" UNDELIVERED_STATE "', '5', '')");
	open_intake(w);
	view = view_of(w);
	assert_int_equal(view.failures_seen, 5);
	assert_false(view.commands_known);
}

/* With the first look; and again, if it ended and what waits may be a command of its. */
static void test_the_agent_is_started(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_ERROR", "crashed", 1), 0);
	warm(w);
	look(w);
	assert_string_equal(said(), "");
	receive(w, "a", "hello");
	for (int i = 1; i < CONFIG_ATTEMPTS; i++) {
		look(w);
		run_until(w, "");
	}
	look(w);
	run_until(w, "a|failed\n");
	assert_int_equal(unsetenv("AGENT_MOCK_ERROR"), 0);
	(void)said();
	look(w);
	assert_string_equal(said(), "");
	receive(w, "b", "/dunno");
	look(w);
	assert_non_null(strstr(said(), "agent mock started, "));
	assert_string_equal(acks(w), "a|failed\n");
	wait_for_commands(w);
	look(w);
	run_until(w, "a|failed\nb|completed\n");
}

static void test_a_batch(void **state)
{
	struct world *w = *state;

	warm(w);
	assert_false(heart_beats(w));
	receive(w, "a", "hello");
	receive(w, "b", "world");
	look(w);
	assert_string_equal(acks(w), "a|processing\nb|processing\n");
	assert_string_equal(in_reply_to(w), "a\n");
	assert_true(heart_beats(w));
	assert_true(conversation_is_active(w->p.c));
	assert_false(intake_is_busy(w->intake));
	run_until(w, "a|completed\nb|completed\n");
	assert_string_equal(exchange_sent(&w->p.x), "b|a|NULL|echo: hello\nb|a|NULL|echo: world\n");
	assert_string_equal(said(), "");
}

/* What can go to nobody */

static void test_an_unknown_kind(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_kind(w, "a", "odd", "{}");
	look(w);
	assert_string_equal(said(),
			    "agent-runner: warning: message a has the unknown kind \"odd\": "
			    "acknowledged as failed\n");
	assert_string_equal(acks(w), "a|failed\n");
	assert_string_equal(exchange_sent(&w->p.x), "");
	assert_false(conversation_is_active(w->p.c));
	assert_false(heart_beats(w));
}

static void test_a_message_that_is_too_large(void **state)
{
	struct world *w = *state;

	warm(w);
	receive(w, "a", "hello");
	receive(w, "b", "hello");
	database_exec(w->p.x.inbound,
		      "UPDATE messages_in SET content = zeroblob(16777217) WHERE id = 'a'");
	look(w);
	assert_string_equal(said(),
			    "agent-runner: warning: message a has more than 16777216 bytes: "
			    "acknowledged as failed\n");
	assert_string_equal(acks(w), "a|failed\nb|processing\n");
	assert_string_equal(exchange_sent(&w->p.x), "a|a|NULL|Your message is too large for me. "
						    "Please send it as a file.\n");
}

/* Tasks with a script */

static void test_a_script_wakes_the_agent(void **state)
{
	struct world *w = *state;

	warm(w);
	receive(w, "a", "hello");
	look(w);
	run_until(w, "a|completed\n");
	log_set_level(LOG_LEVEL_DEBUG);
	receive_task(w, "t", WAKE);
	look(w);
	/* Claimed before its script runs, but there is no turn that it is part of. */
	assert_string_equal(acks(w), "a|completed\nt|processing\n");
	assert_string_equal(in_reply_to(w), "a\n");
	assert_true(heart_beats(w));
	assert_true(intake_is_busy(w->intake));
	assert_false(conversation_is_active(w->p.c));
	run_until(w, "a|completed\nt|completed\n");
	assert_string_equal(in_reply_to(w), "t\n");
	assert_false(intake_is_busy(w->intake));
	assert_non_null(strstr(said(), "\">Script output:?[?  7?]??Instructions:?look</task>\n"));
	assert_string_equal(exchange_sent(&w->p.x), "a|a|NULL|echo: hello\nt|a|NULL|echo: look\n");
}

static void test_a_script_lets_the_agent_sleep(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_task(w, "t", QUIET);
	look(w);
	assert_string_equal(acks(w), "t|processing\n");
	assert_int_equal(w->looks, 0);
	run_until(w, "t|completed\n");
	assert_int_equal(w->looks, 1);
	assert_false(intake_is_busy(w->intake));
	assert_false(conversation_is_active(w->p.c));
	assert_string_equal(exchange_sent(&w->p.x), "");
	assert_string_equal(in_reply_to(w), "");
	assert_string_equal(said(), "");
}

/* A script waits until something is written to this; it ends with the test. */
static int make_fifo(struct world *w)
{
	const char *path = folder_file(&w->p.x.folder, "go");
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Chat goes on meanwhile. */
static void test_a_message_beside_a_script(void **state)
{
	struct world *w = *state;
	int fd = make_fifo(w);

	warm(w);
	receive_task(w, "t", "read -r line <go; " WAKE);
	receive(w, "a", "hello");
	look(w);
	assert_string_equal(acks(w), "a|processing\nt|processing\n");
	run_until(w, "a|completed\nt|processing\n");
	assert_int_equal(write(fd, "\n", 1), 1);
	run_until(w, "a|completed\nt|completed\n");
	assert_string_equal(exchange_sent(&w->p.x), "a|a|NULL|echo: hello\nt|a|NULL|echo: look\n");
	close(fd);
}

/* Rows of kind system */

/* The agent asks Ann. */
static void ask_question(struct world *w)
{
	char path[128];

	database_exec(w->p.x.inbound, "INSERT INTO session_routing VALUES (1, 'chat', 'a', NULL)");
	(void)snprintf(path, sizeof(path), "%s/socket", toolbox_folder(w->p.toolbox));
	rpc_open(&w->client, w->p.x.loop, path);
	rpc_say(&w->client, "{'jsonrpc':'2.0','id':1,'method':'tools/call','params':{'name':"
			    "'ask_user_question','arguments':{'title':'Cake','question':'Which?',"
			    "'options':['Plum','None']}}}");
	assert_string_equal(rpc_hear(&w->client), "");
}

static void test_an_answer(void **state)
{
	struct world *w = *state;
	char content[128], expected[128], id[64];

	warm(w);
	ask_question(w);
	(void)snprintf(id, sizeof(id), "%s",
		       database_query(w->p.x.outbound_path, "SELECT id FROM messages_out"));
	id[strcspn(id, "\n")] = '\0';
	(void)snprintf(content, sizeof(content),
		       "{\"questionId\":\"%s\",\"selectedOption\":\"Plum\"}", id);
	receive_kind(w, "s", "system", content);
	look(w);
	assert_string_equal(rpc_hear(&w->client),
			    "{'jsonrpc':'2.0','id':1,'result':{'content':[{'type':'text','text':"
			    "'Plum'}]}}");
	(void)snprintf(expected, sizeof(expected), "%s|completed\ns|completed\n", id);
	assert_string_equal(acks(w), expected);
	assert_false(conversation_is_active(w->p.c));
	assert_string_equal(said(), "");
}

/* The first one counts, also of those that come together. */
static void test_a_second_answer(void **state)
{
	static const char logged[] =
		"agent-runner: message t of kind system answers nothing: acknowledged\n";
	struct world *w = *state;
	char content[128];
	const char *id;

	warm(w);
	ask_question(w);
	id = database_query(w->p.x.outbound_path, "SELECT id FROM messages_out");
	(void)snprintf(content, sizeof(content),
		       "{\"questionId\":\"%.*s\",\"selectedOption\":\"Plum\"}",
		       (int)strcspn(id, "\n"), id);
	receive_kind(w, "s", "system", content);
	receive_kind(w, "t", "system", content);
	look(w);
	assert_string_equal(rpc_hear(&w->client),
			    "{'jsonrpc':'2.0','id':1,'result':{'content':[{'type':'text','text':"
			    "'Plum'}]}}");
	assert_string_equal(said(), logged);
	receive_kind(w, "u", "system", content);
	look(w);
	assert_string_equal(
		said(), "agent-runner: message u of kind system answers nothing: acknowledged\n");
	assert_non_null(strstr(acks(w), "\ns|completed\nt|completed\nu|completed\n"));
	assert_false(conversation_is_active(w->p.c));
}

static void test_a_second_late_answer(void **state)
{
	struct world *w = *state;

	make_question(w);
	warm(w);
	receive_kind(w, "s", "system", LATE);
	receive_kind(w, "t", "system", LATE);
	look(w);
	assert_string_equal(
		said(), "agent-runner: message t of kind system answers nothing: acknowledged\n");
	assert_string_equal(acks(w), "q|processing\ns|processing\nt|completed\n");
	/* A turn that is cut off gives the question back with its answer. */
	assert_int_equal(outbound_take_over(w->p.x.outbound, true, NULL), 0);
	assert_string_equal(acks(w), "t|completed\n");
	run_until(w, "q|completed\ns|completed\nt|completed\n");
	receive_kind(w, "u", "system", LATE);
	look(w);
	assert_string_equal(acks(w), "q|completed\ns|completed\nt|completed\nu|completed\n");
	assert_false(conversation_is_active(w->p.c));
}

static void test_what_answers_nothing(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_kind(w, "s", "system", "{\"questionId\":\"unknown\"}");
	receive_kind(w, "t", "system", "");
	database_exec(w->p.x.inbound,
		      "UPDATE messages_in SET content = zeroblob(16777217) WHERE id = 't'");
	look(w);
	assert_string_equal(acks(w), "s|completed\nt|completed\n");
	assert_string_equal(
		said(), "agent-runner: message s of kind system answers nothing: acknowledged\n"
			"agent-runner: message t of kind system answers nothing: acknowledged\n");
	assert_false(conversation_is_active(w->p.c));
	assert_false(heart_beats(w));
}

static void test_an_answer_that_comes_late(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_RESULT", "<message to=\"ann\">thanks</message>", 1), 0);
	make_question(w);
	warm(w);
	log_set_level(LOG_LEVEL_DEBUG);
	receive_kind(w, "s", "system", LATE);
	look(w);
	assert_string_equal(acks(w), "q|processing\ns|processing\n");
	assert_string_equal(in_reply_to(w), "s\n");
	assert_true(heart_beats(w));
	run_until(w, "q|completed\ns|completed\n");
	assert_prompt(LATE_PROMPT);
	assert_string_equal(exchange_sent(&w->p.x), QUESTION "s|a|NULL|thanks\n");
}

/* What it answers cannot be found out: it waits, and what was dealt with before it stays so. */
static void test_an_answer_to_what_cannot_be_read(void **state)
{
	struct world *w = *state;
	struct err err = { "" };

	make_question(w);
	warm(w);
	receive_kind(w, "s", "system", "{}");
	receive_kind(w, "t", "system", LATE);
	receive(w, "a", "hello");
	database_exec(w->p.x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	assert_int_equal(look_without(w, MEMORY_CALLS, &err), -EIO);
	assert_string_equal(err.text, "no such table: messages_out (SQLite 1)");
	assert_string_equal(acks(w), "s|completed\n");
	database_exec(w->p.x.outbound_path, "ALTER TABLE hidden RENAME TO messages_out");
	look(w);
	assert_string_equal(acks(w), "a|processing\nq|processing\ns|completed\nt|processing\n");
}

/* The host writes it before or behind the command: it is told first, and the command waits. */
static void test_a_command_waits_for_a_late_answer(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_RESULT", "<message to=\"ann\">thanks</message>", 1), 0);
	make_question(w);
	warm(w);
	receive(w, "a", "/clear");
	receive_kind(w, "s", "system", LATE);
	look(w);
	assert_string_equal(acks(w), "q|processing\ns|processing\n");
	run_until(w, "q|completed\ns|completed\n");
	look(w);
	assert_string_equal(acks(w), "a|completed\nq|completed\ns|completed\n");
	assert_string_equal(exchange_sent(&w->p.x),
			    QUESTION "s|a|NULL|thanks\na|a|NULL|Session cleared.\n");
}

/* More of them than a turn takes wait in the inbox. */
static void test_a_flood_of_late_answers(void **state)
{
	static const char query[] = "SELECT status, count(*) FROM processing_ack"
				    " WHERE message_id NOT LIKE 'q%' GROUP BY status";
	struct world *w = *state;
	char id[] = "s0", content[32];

	make_question(w);
	database_exec(w->p.x.outbound_path,
		      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)"
		      " INSERT INTO messages_out (id, seq, timestamp, kind, content)"
		      " SELECT 'q' || i, 2 * i + 3, '', kind, content FROM n, messages_out");
	warm(w);
	for (int i = 0; i < TURN_GROUPS_MAX + 2; i++) {
		id[1] = (char)('0' + i);
		(void)snprintf(content, sizeof(content), "{\"questionId\":\"q%d\"}", i);
		receive_kind(w, id, "system", content);
	}
	receive_kind(w, "t", "system", "{}");
	look(w);
	assert_string_equal(database_query(w->p.x.outbound_path, query),
			    "completed|1\nprocessing|8\n");
	assert_true(conversation_is_full(w->p.c));
	look(w);
	while (conversation_is_active(w->p.c))
		rpc_turn(w->p.x.loop);
	look(w);
	assert_string_equal(database_query(w->p.x.outbound_path, query),
			    "completed|9\nprocessing|2\n");
}

/* Commands */

static void test_a_command_waits_for_the_turn(void **state)
{
	struct world *w = *state;

	warm(w);
	receive(w, "a", "hello");
	look(w);
	receive(w, "b", "/mock");
	receive(w, "c", "hello");
	look(w);
	assert_string_equal(acks(w), "a|processing\n");
	run_until(w, "a|completed\n");
	look(w);
	assert_string_equal(acks(w), "a|completed\nb|processing\n");
	/* It is alone in its turn. */
	look(w);
	assert_string_equal(acks(w), "a|completed\nb|processing\n");
	run_until(w, "a|completed\nb|completed\n");
	assert_string_equal(exchange_sent(&w->p.x), "a|a|NULL|echo: hello\nb|a|NULL|echo: /mock\n");
}

static void test_clear(void **state)
{
	static const char query[] = "SELECT key FROM session_state WHERE key LIKE 'continuation%'";
	struct world *w = *state;

	warm(w);
	receive(w, "a", "hello");
	look(w);
	run_until(w, "a|completed\n");
	assert_string_equal(database_query(w->p.x.outbound_path, query), "continuation:mock\n");
	receive(w, "b", "/clear");
	look(w);
	assert_string_equal(said(), "agent-runner: /clear: forgetting the conversation\n");
	assert_string_equal(database_query(w->p.x.outbound_path, query), "");
	assert_string_equal(acks(w), "a|completed\nb|completed\n");
	assert_string_equal(exchange_sent(&w->p.x),
			    "a|a|NULL|echo: hello\nb|a|NULL|Session cleared.\n");
	assert_false(conversation_is_active(w->p.c));
}

/*
 * It ends what came before it, also in the same look; not what comes behind it, nor an answer that
 * was never told.
 */
static void test_stop(void **state)
{
	struct world *w = *state;

	assert_int_equal(setenv("AGENT_MOCK_DELAY_MS", "60000", 1), 0);
	make_question(w);
	warm(w);
	receive(w, "a", "hello");
	look(w);
	receive(w, "b", "more");
	receive(w, "c", "/stop");
	receive_kind(w, "d", "system", LATE);
	receive(w, "e", "/stop");
	receive(w, "f", "after");
	look(w);
	assert_string_equal(acks(w), "a|processing\nb|processing\nc|completed\ne|completed\n");
	/* Until the agent has stopped. */
	look(w);
	assert_string_equal(acks(w), "a|processing\nb|processing\nc|completed\ne|completed\n");
	run_until(w, "a|completed\nb|completed\nc|completed\ne|completed\n");
	assert_string_equal(exchange_sent(&w->p.x),
			    QUESTION "c|a|NULL|Stopped.\ne|a|NULL|Stopped.\n");
	assert_false(conversation_is_active(w->p.c));
	look(w);
	assert_string_equal(acks(w), "a|completed\nb|completed\nc|completed\nd|processing\n"
				     "e|completed\nf|processing\nq|processing\n");
}

/* What the host could not deliver */

static const char *told(struct world *w)
{
	return database_query(w->p.x.outbound_path,
			      "SELECT value FROM session_state WHERE key = '" UNDELIVERED_STATE
			      "'");
}

static void test_failures_are_told_once(void **state)
{
	struct world *w = *state;

	make_failure(w);
	warm(w);
	log_set_level(LOG_LEVEL_DEBUG);
	receive(w, "a", "hello");
	look(w);
	assert_string_equal(told(w), "");
	assert_int_equal(view_of(w).failures_seen, 1);
	assert_string_equal(said(), FAILURE);
	run_until(w, "a|completed\n");
	assert_string_equal(told(w), "1\n");
	assert_prompt(FAILURE_PROMPT "?<context ");
	receive(w, "b", "hello");
	look(w);
	run_until(w, "a|completed\nb|completed\n");
	assert_prompt("<context ");
	/* Nor by the next container. */
	open_intake(w);
	receive(w, "c", "hello");
	look(w);
	run_until(w, "a|completed\nb|completed\nc|completed\n");
	assert_prompt("<context ");
}

/* A command has no room for it: it comes with the next message. */
static void test_failures_and_commands(void **state)
{
	struct world *w = *state;

	make_failure(w);
	warm(w);
	receive(w, "a", "/clear");
	look(w);
	assert_string_equal(said(), "agent-runner: /clear: forgetting the conversation\n");
	assert_int_equal(view_of(w).failures_seen, 0);
	receive(w, "b", "hello");
	look(w);
	assert_string_equal(said(), FAILURE);
}

/* The message waits with it. */
static void test_failures_that_cannot_be_read(void **state)
{
	struct world *w = *state;
	struct err err = { "" };

	make_failure(w);
	warm(w);
	receive(w, "a", "hello");
	database_exec(w->p.x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	assert_int_equal(look_without(w, MEMORY_CALLS, &err), -EIO);
	assert_string_equal(err.text, "no such table: messages_out (SQLite 1)");
	assert_string_equal(acks(w), "");
	assert_string_equal(told(w), "");
	database_exec(w->p.x.outbound_path, "ALTER TABLE hidden RENAME TO messages_out");
	look(w);
	assert_string_equal(acks(w), "a|processing\n");
	assert_string_equal(said(), FAILURE);
	run_until(w, "a|completed\n");
	assert_string_equal(told(w), "1\n");
}

/* Files that cannot be written */

#define LOCKED "cannot write outbound.db: database is locked (SQLite 5)"

/* A look fails while somebody holds outbound.db, and nothing is claimed; then it succeeds. */
static void refuse(struct world *w, const char *text, const char *logged, const char *after)
{
	sqlite3 *host = sqlite_open(w->p.x.outbound_path);
	struct err err = { "" };

	(void)said();
	outbound_hurry(w->p.x.outbound);
	sqlite_exec(host, "BEGIN IMMEDIATE");
	assert_int_equal(look_without(w, MEMORY_CALLS, &err), -EAGAIN);
	assert_string_equal(err.text, text);
	assert_int_equal(sqlite3_close(host), SQLITE_OK);
	assert_string_equal(said(), logged);
	assert_string_equal(acks(w), "");
	assert_false(conversation_is_active(w->p.c));
	assert_false(intake_is_busy(w->intake));
	assert_false(heart_beats(w));
	/* As a session does before it looks. */
	assert_true(outbox_flush(w->p.x.outbox));
	(void)said();
	look(w);
	assert_string_equal(acks(w), after);
	assert_int_equal(w->broken, 0);
}

static void test_a_batch_that_cannot_be_claimed(void **state)
{
	struct world *w = *state;

	make_failure(w);
	warm(w);
	receive(w, "a", "hello");
	log_set_level(LOG_LEVEL_DEBUG);
	refuse(w, LOCKED, FAILURE, "a|processing\n");
	/* What was told for nothing is told with it, and once. */
	run_until(w, "a|completed\n");
	assert_prompt(FAILURE_PROMPT "?<context ");
	assert_string_equal(told(w), "1\n");
}

static void test_a_task_that_cannot_be_claimed(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_task(w, "t", QUIET);
	refuse(w, LOCKED, "", "t|processing\n");
	run_until(w, "t|completed\n");
}

static void test_a_late_answer_that_cannot_be_claimed(void **state)
{
	struct world *w = *state;

	make_question(w);
	warm(w);
	receive_kind(w, "s", "system", LATE);
	refuse(w, LOCKED, "", "q|processing\ns|processing\n");
}

static void test_an_acknowledgement_that_cannot_be_written(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_kind(w, "s", "system", "{}");
	receive(w, "a", "hello");
	refuse(w, "outbound.db cannot be written yet",
	       "agent-runner: message s of kind system answers nothing: acknowledged\n"
	       "agent-runner: warning: " LOCKED "; kept, and tried again\n",
	       "a|processing\ns|completed\n");
}

/* Memory */

/* The session has to end; nothing that is not claimed is acknowledged. */
static void assert_breaks(struct world *w, enum memory call, const char *expected)
{
	struct err err = { "" };

	if (look_without(w, call, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(w->broken, 1);
	assert_string_equal(acks(w), expected);
}

static void test_no_memory_for_destinations(void **state)
{
	struct world *w = *state;

	warm(w);
	receive(w, "a", "hello");
	assert_breaks(w, MEMORY_REALLOC, "");
}

static void test_no_memory_for_a_task(void **state)
{
	struct world *w = *state;

	warm(w);
	receive_task(w, "t", QUIET);
	assert_breaks(w, MEMORY_CALLOC, "t|processing\n");
	assert_false(intake_is_busy(w->intake));
}

static void test_no_memory_for_a_late_answer(void **state)
{
	struct world *w = *state;

	make_question(w);
	warm(w);
	receive_kind(w, "s", "system", LATE);
	assert_breaks(w, MEMORY_MALLOC, "");
}

static void test_no_memory_behind_a_script(void **state)
{
	struct world *w = *state;
	int fd = make_fifo(w);

	warm(w);
	receive_task(w, "t", "read -r line <go; " WAKE);
	look(w);
	rpc_turn(w->p.x.loop);
	/* It runs: what is missing is the memory to hand its task on. */
	memory_is_out[MEMORY_MALLOC] = true;
	assert_int_equal(write(fd, "\n", 1), 1);
	assert_int_equal(loop_run(w->p.x.loop, NULL), 0);
	memory_is_out[MEMORY_MALLOC] = false;
	close(fd);
	assert_int_equal(w->broken, 1);
	/* The claim is the next container's to give back. */
	assert_string_equal(acks(w), "t|processing\n");
	assert_false(conversation_is_active(w->p.c));
}

static void test_what_an_intake_needs(void **state)
{
	struct world *w = *state;
	const struct intake_options options = {
		.loop = w->p.x.loop,
		.children = w->p.children,
		.workspace = w->p.x.folder.path,
		.outbound = w->p.x.outbound,
		.outbox = w->p.x.outbox,
	};
	struct intake *none = NULL;
	struct err err = { "" };

	memory_is_out[MEMORY_CALLOC] = true;
	assert_int_equal(intake_new(&options, &none, &err), -ENOMEM);
	memory_is_out[MEMORY_CALLOC] = false;
	assert_string_equal(err.text, "cannot start the session: Cannot allocate memory");
	database_exec(w->p.x.outbound_path, "DROP TABLE session_state");
	assert_int_equal(intake_new(&options, &none, &err), -EIO);
	assert_string_equal(err.text, "no such table: session_state (SQLite 1)");
	assert_null(none);
	intake_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_view),
		CASE(test_the_agent_is_started),
		CASE(test_a_batch),
		CASE(test_an_unknown_kind),
		CASE(test_a_message_that_is_too_large),
		CASE(test_a_script_wakes_the_agent),
		CASE(test_a_script_lets_the_agent_sleep),
		CASE(test_a_message_beside_a_script),
		CASE(test_an_answer),
		CASE(test_a_second_answer),
		CASE(test_a_second_late_answer),
		CASE(test_what_answers_nothing),
		CASE(test_an_answer_that_comes_late),
		CASE(test_an_answer_to_what_cannot_be_read),
		CASE(test_a_command_waits_for_a_late_answer),
		CASE(test_a_flood_of_late_answers),
		CASE(test_a_command_waits_for_the_turn),
		CASE(test_clear),
		CASE(test_stop),
		CASE(test_failures_are_told_once),
		CASE(test_failures_and_commands),
		CASE(test_failures_that_cannot_be_read),
		CASE(test_a_batch_that_cannot_be_claimed),
		CASE(test_a_task_that_cannot_be_claimed),
		CASE(test_a_late_answer_that_cannot_be_claimed),
		CASE(test_an_acknowledgement_that_cannot_be_written),
		CASE(test_no_memory_for_destinations),
		CASE(test_no_memory_for_a_task),
		CASE(test_no_memory_for_a_late_answer),
		CASE(test_no_memory_behind_a_script),
		CASE(test_what_an_intake_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
