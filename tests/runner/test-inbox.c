/* SPDX-License-Identifier: MIT */
#include "runner/inbox.h"

#include <errno.h>

#include "common/strbuf.h"
#include "runner/config.h"
#include "schema/inbound.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

struct world {
	struct folder folder;
	char inbound[96];
	struct outbound *outbound;
	struct inbox_view view;
	struct inbound *kept;
	struct inbox_look look;
	char text[1024]; /* what look() said last */
};

static bool known(void *userdata, const char *word)
{
	(void)userdata;
	return strcmp(word, "/mine") == 0;
}

static char tools[] = "tools";

/* A tool waits for the rows whose id says so. */
static bool is_awaited(void *userdata, const struct inbound_row *row)
{
	assert_ptr_equal(userdata, tools);
	assert_string_equal(row->kind, "system");
	return strncmp(row->id, "awaited", strlen("awaited")) == 0;
}

/* A message whose claim somebody cleared. */
static bool is_held(void *userdata, const char *id)
{
	assert_ptr_equal(userdata, tools);
	return strncmp(id, "held", strlen("held")) == 0;
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .look = { .command = COMMAND_NONE } };
	folder_make(&w->folder);
	strcpy(w->inbound, folder_file(&w->folder, "inbound.db"));
	database_exec(w->inbound, schema_inbound);
	assert_int_equal(outbound_open(folder_file(&w->folder, "outbound.db"), w->inbound,
				       &w->outbound, NULL),
			 0);
	w->view = (struct inbox_view){
		.inbound_path = w->inbound,
		.inbound = &w->kept,
		.outbound = w->outbound,
		.limit = 10,
		.commands_known = true,
		.known = known,
		.is_awaited = is_awaited,
		.awaited_userdata = tools,
		.is_held = is_held,
		.held_userdata = tools,
	};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	inbox_look_deinit(&w->look);
	inbound_close(w->kept);
	outbound_close(w->outbound);
	folder_remove(&w->folder);
	return 0;
}

static void receive_kind(struct world *w, const char *id, const char *kind, const char *content)
{
	char *sql = sqlite3_mprintf("INSERT INTO messages_in (id, seq, kind, timestamp, content)"
				    " SELECT %Q, 2 + coalesce(max(seq), 0), %Q, '', %Q"
				    " FROM messages_in",
				    id, kind, content);

	database_exec(w->inbound, sql);
	sqlite3_free(sql);
}

static void receive(struct world *w, const char *id, const char *text)
{
	char content[256];

	snprintf(content, sizeof(content), "{\"text\":\"%s\"}", text);
	receive_kind(w, id, "chat", content);
}

static const char *const commands[] = {
	[COMMAND_NONE] = "",
	[COMMAND_CLEAR] = "clear:",
	[COMMAND_STOP] = "stop:",
	[COMMAND_AGENT] = "agent:",
};

static const char *const reasons[] = {
	[INBOX_SYSTEM] = "system",     [INBOX_TASK] = "task",
	[INBOX_STOP] = "stop",	       [INBOX_UNKNOWN_KIND] = "unknown",
	[INBOX_OVERSIZE] = "oversize", [INBOX_GIVEN_UP] = "given up",
};

/* "command:a b|c=why|more": the batch, what is beside it, whether there is more. */
static const char *look(struct world *w)
{
	struct strbuf out = STRBUF_EMPTY;
	struct err err = { "" };

	inbox_look_deinit(&w->look);
	if (inbox_look(&w->view, &w->look, &err) < 0)
		fail_msg("%s", err.text);
	strbuf_puts(&out, commands[w->look.command]);
	for (size_t i = 0; i < w->look.batch.count; i++)
		strbuf_printf(&out, "%s%s", i ? " " : "", w->look.batch.rows[i].id);
	for (size_t i = 0; i < w->look.batch.aside_count; i++) {
		const struct inbound_row *row = &w->look.batch.aside[i];

		strbuf_printf(&out, "|%s=%s", row->id, reasons[inbox_aside_reason(row)]);
	}
	strbuf_puts(&out, w->look.batch.more ? "|more" : "");
	assert_true(out.len < sizeof(w->text));
	memcpy(w->text, out.data ? out.data : "", out.len + 1);
	strbuf_deinit(&out);
	return w->text;
}

/* Acknowledges what the last look took or put aside. */
static void acknowledge(struct world *w)
{
	const char *ids[32];
	struct outbound_ids list = { .ids = ids };

	for (size_t i = 0; i < w->look.batch.count; i++)
		ids[list.count++] = w->look.batch.rows[i].id;
	for (size_t i = 0; i < w->look.batch.aside_count; i++)
		ids[list.count++] = w->look.batch.aside[i].id;
	assert_int_equal(outbound_claim(w->outbound, &list, NULL, NULL), 0);
}

static void test_nothing(void **state)
{
	struct world *w = *state;

	assert_string_equal(look(w), "");
	assert_int_equal(w->look.batch.next_due_ms, -1);
	assert_int_equal(w->look.destinations.count, 0);
}

static void test_kinds(void **state)
{
	struct world *w = *state;

	database_exec(w->inbound, "INSERT INTO destinations VALUES ('ann', 'Ann', 'channel',"
				  " 'chat', 'a', NULL)");
	receive(w, "a", "hello");
	receive_kind(w, "b", "chat-sdk", "{}");
	receive_kind(w, "c", "system", "{}");
	receive_kind(w, "d", "task", "{\"prompt\":\"p\"}");
	receive_kind(w, "e", "webhook", "not JSON");
	receive_kind(w, "f", "", "{}");
	receive_kind(w, "g", "Chat", "{}");
	assert_string_equal(look(w), "a b d e|c=system|f=unknown|g=unknown");
	assert_int_equal(w->look.destinations.count, 1);
	acknowledge(w);
	assert_string_equal(look(w), "");
}

static void test_limit(void **state)
{
	struct world *w = *state;

	w->view.limit = 2;
	receive(w, "a", "1");
	receive(w, "b", "2");
	receive(w, "c", "3");
	assert_string_equal(look(w), "a b|more");
	acknowledge(w);
	assert_string_equal(look(w), "c");
}

static void test_first_look(void **state)
{
	struct world *w = *state;

	receive(w, "a", "1");
	database_exec(w->inbound, "UPDATE messages_in SET on_wake = 1");
	assert_string_equal(look(w), "");
	w->view.first_look = true;
	assert_string_equal(look(w), "a");
}

static void test_oversize(void **state)
{
	struct world *w = *state;

	receive(w, "a", "1");
	receive(w, "b", "2");
	receive_kind(w, "t", "task", "{\"script\":\"exit\"}");
	database_exec(w->inbound, "UPDATE messages_in SET content = zeroblob(16777217)"
				  " WHERE id IN ('a', 't')");
	assert_string_equal(look(w), "b|a=oversize|t=oversize");
}

/* A turn, a clear, a turn: each in its place. */
static void test_clear_in_its_place(void **state)
{
	struct world *w = *state;

	receive(w, "a", "before");
	receive(w, "b", " /CLEAR please ");
	receive(w, "c", "/clear");
	receive(w, "d", "after");
	assert_string_equal(look(w), "a|more");
	acknowledge(w);
	w->view.turn_is_active = true;
	assert_string_equal(look(w), "|more");
	w->view.turn_is_active = false;
	assert_string_equal(look(w), "clear:b|more");
	assert_null(w->look.command_text);
	acknowledge(w);
	assert_string_equal(look(w), "clear:c|more");
	acknowledge(w);
	assert_string_equal(look(w), "d");
	assert_int_equal(w->look.command, COMMAND_NONE);
}

static void test_commands_of_the_agent(void **state)
{
	struct world *w = *state;

	receive(w, "a", "  /Compact  keep the plan ");
	receive(w, "b", "/mine");
	receive(w, "c", "/etc/hosts is broken");
	receive(w, "d", "/clearly not");
	assert_string_equal(look(w), "agent:a|more");
	assert_string_equal(w->look.command_text, "/compact  keep the plan");
	acknowledge(w);
	assert_string_equal(look(w), "agent:b|more");
	assert_string_equal(w->look.command_text, "/mine");
	acknowledge(w);
	assert_string_equal(look(w), "c d");
	assert_null(w->look.command_text);
}

/* A word that the agent may be about to announce is waited for, and with it what follows. */
static void test_commands_not_known_yet(void **state)
{
	struct world *w = *state;

	w->view.commands_known = false;
	receive(w, "a", "hello");
	receive(w, "b", "/dunno");
	receive(w, "c", "world");
	assert_string_equal(look(w), "a|more");
	acknowledge(w);
	assert_string_equal(look(w), "|more");
	w->view.commands_known = true;
	assert_string_equal(look(w), "b c");
	acknowledge(w);
	/* What is known from the start is not waited for. */
	w->view.commands_known = false;
	receive(w, "d", "/cost");
	assert_string_equal(look(w), "agent:d");
}

static void test_stop(void **state)
{
	struct world *w = *state;

	receive(w, "a", "hello");
	receive(w, "b", "/stop");
	receive(w, "c", "world");
	w->view.turn_is_active = true;
	assert_string_equal(look(w), "a|b=stop|more");
	acknowledge(w);
	/* What follows is a turn of its own: the session says so until the stop is over. */
	w->view.turn_is_full = true;
	assert_string_equal(look(w), "|more");
	w->view.turn_is_full = w->view.turn_is_active = false;
	assert_string_equal(look(w), "c");
}

static void test_stop_without_a_turn_is_a_message(void **state)
{
	struct world *w = *state;

	receive(w, "a", "/stop");
	assert_string_equal(look(w), "a");
	assert_int_equal(w->look.command, COMMAND_NONE);
}

/* However much waits before it. */
static void test_stop_is_seen_behind_what_waits(void **state)
{
	struct world *w = *state;

	w->view.turn_is_active = true;
	receive(w, "a", "/clear");
	receive(w, "b", "hello");
	receive_kind(w, "t", "task", "{\"script\":\"exit\"}");
	receive(w, "c", "/stop");
	receive(w, "d", "/stop");
	assert_string_equal(look(w), "|c=stop|d=stop|more");
	w->view.turn_is_full = true;
	assert_string_equal(look(w), "|c=stop|d=stop|more");
}

static void test_a_full_turn_takes_nothing(void **state)
{
	struct world *w = *state;

	w->view.turn_is_active = w->view.turn_is_full = true;
	receive(w, "a", "hello");
	receive_kind(w, "t", "task", "{\"script\":\"exit\"}");
	receive_kind(w, "u", "odd", "{}");
	assert_string_equal(look(w), "|u=unknown|more");
}

/* They count for nothing, wait for nothing, and mean something without a trigger, too. */
static void test_rows_of_kind_system(void **state)
{
	struct world *w = *state;

	w->view.limit = 1;
	receive(w, "a", "/clear");
	receive(w, "b", "hello");
	receive_kind(w, "c", "system", "{\"text\":\"/stop\"}");
	receive_kind(w, "d", "system", "not JSON");
	database_exec(w->inbound, "UPDATE messages_in SET \"trigger\" = 0 WHERE id = 'd'");
	assert_string_equal(look(w), "clear:a|c=system|d=system|more");
	w->view.turn_is_active = true;
	assert_string_equal(look(w), "|c=system|d=system|more");
	acknowledge(w);
	assert_string_equal(look(w), "|more");
	database_exec(w->inbound, "DELETE FROM messages_in");
	receive_kind(w, "e", "system", "{}");
	database_exec(w->inbound, "UPDATE messages_in SET content = zeroblob(16777217)");
	assert_string_equal(look(w), "|e=system");
}

/* What answers a tool gets through; what nobody waits for may have to be told to the agent. */
static void test_a_full_turn_and_rows_of_kind_system(void **state)
{
	struct world *w = *state;

	w->view.turn_is_active = w->view.turn_is_full = true;
	receive_kind(w, "late", "system", "{}");
	receive_kind(w, "awaited-1", "system", "{}");
	receive_kind(w, "awaited-2", "system", "{}");
	assert_string_equal(look(w), "|awaited-1=system|awaited-2=system|more");
	w->view.turn_is_full = false;
	assert_string_equal(look(w), "|late=system|awaited-1=system|awaited-2=system");
}

/* Told with messages for the agent only. */
static void test_failed_deliveries(void **state)
{
	struct world *w = *state;

	database_exec(w->inbound, "INSERT INTO delivered VALUES ('out-1', NULL, 'failed', ''),"
				  " ('out-2', 'p-2', 'delivered', ''),"
				  " ('out-3', NULL, 'failed', '')");
	receive_kind(w, "s", "system", "{}");
	assert_string_equal(look(w), "|s=system");
	assert_int_equal(w->look.failures.count, 0);
	receive(w, "a", "hello");
	assert_string_equal(look(w), "a|s=system");
	assert_int_equal(w->look.failures.count, 2);
	assert_string_equal(w->look.failures.ids[0], "out-3");
	assert_string_equal(w->look.failures.ids[1], "out-1");
	assert_int_equal(w->look.failures.newest, 3);
	w->view.failures_seen = 3;
	assert_string_equal(look(w), "a|s=system");
	assert_int_equal(w->look.failures.count, 0);
}

static void test_scripts(void **state)
{
	struct world *w = *state;

	receive_kind(w, "a", "task", "{\"prompt\":\"p\",\"script\":\"exit\"}");
	receive_kind(w, "b", "task", "{\"prompt\":\"p\",\"script\":\"\"}");
	receive_kind(w, "c", "task", "plain text");
	receive_kind(w, "d", "webhook", "{\"script\":\"exit\"}");
	assert_string_equal(look(w), "b c d|a=task");
}

static void test_a_script_waits_behind_a_command(void **state)
{
	struct world *w = *state;

	receive(w, "a", "/clear");
	receive_kind(w, "b", "task", "{\"script\":\"exit\"}");
	assert_string_equal(look(w), "clear:a|more");
	acknowledge(w);
	assert_string_equal(look(w), "|b=task");
}

/* As many attempts at it broke off. */
static void break_off(struct world *w, const char *id, int times)
{
	const struct outbound_ids ids = { &id, 1 };

	for (int i = 0; i < times; i++) {
		assert_int_equal(outbound_claim(w->outbound, &ids, NULL, NULL), 0);
		assert_int_equal(outbound_take_over(w->outbound, true, NULL), 0);
	}
}

/* The last attempt at a row takes no other with it, and there is none behind it. */
static void test_attempts(void **state)
{
	struct world *w = *state;

	receive(w, "a", "hello");
	receive(w, "b", "hello");
	receive(w, "c", "hello");
	break_off(w, "b", CONFIG_ATTEMPTS - 2);
	assert_string_equal(look(w), "a b c");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(w->look.batch.rows[i].is_new, i != 1);
	break_off(w, "b", 1);
	assert_string_equal(look(w), "a|more");
	acknowledge(w);
	w->view.turn_is_active = true;
	assert_string_equal(look(w), "|more");
	w->view.turn_is_active = false;
	assert_string_equal(look(w), "b|more");
	break_off(w, "b", 1);
	/* Its turn has come, but there is none for it. */
	assert_string_equal(look(w), "a c|b=given up");
	w->view.turn_is_full = true;
	assert_string_equal(look(w), "|more");
}

static void test_attempts_at_rows_of_kind_system(void **state)
{
	struct world *w = *state;

	receive_kind(w, "late", "system", "{}");
	break_off(w, "late", CONFIG_ATTEMPTS - 1);
	assert_string_equal(look(w), "|late=system");
	w->view.turn_is_full = true;
	assert_string_equal(look(w), "|more");
	break_off(w, "late", 1);
	assert_string_equal(look(w), "|late=given up");
}

/* The script of a task ran in an earlier attempt: it does not run again. */
static void test_script_output(void **state)
{
	const struct outbound_state output = { "b", "{\"n\":1}" };
	struct world *w = *state;

	receive(w, "a", "hello");
	receive_kind(w, "b", "task", "{\"script\":\"exit\"}");
	receive(w, "c", "hello");
	assert_string_equal(look(w), "a c|b=task");
	assert_null(w->look.script_output);
	assert_int_equal(outbound_claim(w->outbound,
					&(struct outbound_ids){ (const char *const[]){ "b" }, 1 },
					NULL, NULL),
			 0);
	assert_int_equal(
		outbound_commit(w->outbound,
				&(struct outbound_commit){ .outputs = &output, .output_count = 1 },
				NULL),
		0);
	assert_int_equal(outbound_take_over(w->outbound, true, NULL), 0);
	assert_string_equal(look(w), "a|more");
	acknowledge(w);
	assert_string_equal(look(w), "b|more");
	assert_string_equal(w->look.script_output, "{\"n\":1}");
	acknowledge(w);
	assert_string_equal(look(w), "c");
	assert_null(w->look.script_output);
}

/* Context is not addressed to the agent: its slashes mean nothing. */
static void test_context(void **state)
{
	struct world *w = *state;

	receive(w, "a", "/clear");
	receive_kind(w, "b", "odd", "{}");
	database_exec(w->inbound, "UPDATE messages_in SET \"trigger\" = 0");
	assert_string_equal(look(w), "");
	receive(w, "c", "hello");
	assert_string_equal(look(w), "a b c");
	database_exec(w->inbound, "DELETE FROM messages_in WHERE id = 'c'");
	receive(w, "c", "/clear");
	assert_string_equal(look(w), "clear:c");
}

static void test_what_is_held_is_not_taken_again(void **state)
{
	struct world *w = *state;

	receive(w, "held", "one");
	receive_kind(w, "held-task", "task", "{\"script\":\"exit\"}");
	assert_string_equal(look(w), "");
	receive(w, "a", "two");
	assert_string_equal(look(w), "a");
}

static void assert_fails(struct world *w, int r, const char *text)
{
	struct inbox_look untouched = w->look;
	char expected[ERR_TEXT_MAX];
	struct err err = { "" };

	assert_int_equal(inbox_look(&w->view, &w->look, &err), r);
	(void)snprintf(expected, sizeof(expected), "%s%s", strchr(" :", *text) ? w->inbound : "",
		       text);
	assert_string_equal(err.text, expected);
	assert_memory_equal(&w->look, &untouched, sizeof(untouched));
}

static void test_failures(void **state)
{
	struct world *w = *state;

	receive(w, "a", "hello");
	database_exec(folder_file(&w->folder, "outbound.db"),
		      "ALTER TABLE processing_ack RENAME TO hidden");
	assert_fails(w, -EIO,
		     "outbound.db: cannot read the acknowledgement of a: Input/output error");
	database_exec(folder_file(&w->folder, "outbound.db"),
		      "ALTER TABLE hidden RENAME TO processing_ack");
	database_exec(folder_file(&w->folder, "outbound.db"),
		      "ALTER TABLE attempts RENAME TO hidden");
	assert_fails(w, -EIO, "outbound.db: cannot read messages: Input/output error");
	database_exec(folder_file(&w->folder, "outbound.db"),
		      "ALTER TABLE hidden RENAME TO attempts");
	assert_string_equal(look(w), "a");
	inbox_look_deinit(&w->look);
	database_exec(w->inbound, "ALTER TABLE messages_in RENAME COLUMN content TO hidden");
	assert_fails(w, -EIO, ": no such column: messages_in.content (SQLite 1)");
	assert_int_equal(unlink(w->inbound), 0);
	assert_fails(w, -EAGAIN, " is missing: the host has to create it");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing),
		CASE(test_kinds),
		CASE(test_limit),
		CASE(test_first_look),
		CASE(test_oversize),
		CASE(test_clear_in_its_place),
		CASE(test_commands_of_the_agent),
		CASE(test_commands_not_known_yet),
		CASE(test_stop),
		CASE(test_stop_without_a_turn_is_a_message),
		CASE(test_stop_is_seen_behind_what_waits),
		CASE(test_a_full_turn_takes_nothing),
		CASE(test_rows_of_kind_system),
		CASE(test_a_full_turn_and_rows_of_kind_system),
		CASE(test_failed_deliveries),
		CASE(test_scripts),
		CASE(test_a_script_waits_behind_a_command),
		CASE(test_attempts),
		CASE(test_attempts_at_rows_of_kind_system),
		CASE(test_script_output),
		CASE(test_context),
		CASE(test_what_is_held_is_not_taken_again),
		CASE(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
