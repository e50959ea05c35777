/* SPDX-License-Identifier: MIT */
#include "runner/store/outbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/table.h"
#include "runner/store/inbound.h"
#include "schema/outbound.h"
#include "tests/runner/store/outbound.h"

#define ACKS   "SELECT message_id, status FROM processing_ack ORDER BY message_id"
#define STATES "SELECT key, value FROM session_state ORDER BY key"
#define SEQS   "SELECT seq FROM messages_out ORDER BY seq"

/* Opening */

static void test_new_file(void **state)
{
	char schema[8192];

	(void)state;
	assert_rows("PRAGMA journal_mode", "delete\n");
	strcpy(schema,
	       sqlite_query(world.path, "SELECT sql FROM sqlite_schema ORDER BY name", &result));
	sqlite_run(folder_file(&world.folder, "other.db"), schema_outbound);
	assert_string_equal(sqlite_query(folder_file(&world.folder, "other.db"),
					 "SELECT sql FROM sqlite_schema ORDER BY name", &result),
			    schema);
	/* A file that has all is not written to. */
	fault_order(FAULT_KILL, 1);
	reopen();
}

static void test_older_file(void **state)
{
	(void)state;
	sqlite_run(world.path,
		   "CREATE TABLE messages_out (id TEXT PRIMARY KEY, timestamp TEXT NOT NULL,"
		   " kind TEXT NOT NULL, content TEXT NOT NULL, extra TEXT);"
		   "CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
		   "INSERT INTO messages_out VALUES ('a', 't', 'chat', '{}', 'kept');"
		   "INSERT INTO session_state VALUES ('k', 'v');");
	reopen();
	assert_rows("SELECT * FROM messages_out",
		    "a|t|chat|{}|kept|null|null|null|null|null|null|null\n");
	assert_rows("SELECT * FROM session_state", "k|v|\n");
	assert_rows("SELECT name FROM pragma_table_info('messages_out')",
		    "id\ntimestamp\nkind\ncontent\nextra\nseq\nin_reply_to\ndeliver_after\n"
		    "recurrence\nplatform_id\nchannel_type\nthread_id\n");
}

/* Opening fails with this; the text of err stands behind the path. */
static void assert_refused(int code, const char *text)
{
	struct outbound *outbound = NULL;
	struct err err = { "" };

	assert_int_equal(outbound_open(world.path, world.inbound, &outbound, &err), code);
	assert_null(outbound);
	assert_memory_equal(err.text, world.path, strlen(world.path));
	assert_string_equal(err.text + strlen(world.path), text);
}

static void test_refused(void **state)
{
	sqlite3 *host;

	(void)state;
	assert_int_equal(mkdir(world.path, 0755), 0);
	assert_refused(-ENOENT, ": unable to open database file: Is a directory (SQLite 14)");
	assert_int_equal(rmdir(world.path), 0);
	folder_write(&world.folder, "outbound.db",
		     "This is no database, though it is long enough to be taken for one: a header "
		     "has a hundred bytes, and so has this text.");
	assert_refused(-EBADMSG, ": file is not a database (SQLite 26)");
	assert_int_equal(unlink(world.path), 0);
	host = sqlite_open(world.path);
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	assert_refused(-EAGAIN, ": database is locked (SQLite 5)");
	assert_int_equal(fault.waited_us, OUTBOUND_START_MS * 1000);
	sqlite3_close(host);
	for (int n = 1; n <= 3; n++) {
		assert_int_equal(unlink(world.path), 0);
		fault_order(FAULT_FULL, n);
		assert_refused(n == 2 ? -EAGAIN : -ENOSPC,
			       n == 2 ? ": disk I/O error (SQLite 1034)"
				      : ": database or disk is full (SQLite 13)");
		fault_order(FAULT_NONE, 0);
	}
	assert_int_equal(unlink(world.path), 0);
	strcpy(world.path, folder_file(&world.folder, "no/outbound.db"));
	assert_refused(-ENOENT,
		       ": unable to open database file: No such file or directory (SQLite 14)");
}

/* Run in a process of its own, as a user that may only read. */
static int open_read_only(void)
{
	struct outbound *outbound;
	struct err err;
	int r;

	if (geteuid() == 0 && setreuid(65534, 65534) < 0)
		return 1;
	r = outbound_open(world.path, world.inbound, &outbound, &err);
	return r == -EROFS && strcmp(err.text + strlen(world.path), ": it may only be read") == 0
		       ? 0
		       : 2;
}

static void test_read_only(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	assert_int_equal(chmod(world.path, 0444), 0);
	assert_int_equal(chmod(world.folder.path, 0755), 0);
	pid = fork();
	if (pid == 0)
		_exit(open_read_only());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Acknowledgements */

static void test_claims(void **state)
{
	(void)state;
	assert_int_equal(outbound_has_ack(world.outbound, "a", NULL), 0);
	claim("a");
	assert_int_equal(outbound_has_ack(world.outbound, "a", NULL), 1);
	assert_int_equal(outbound_has_ack(world.outbound, "c", NULL), 0);
	assert_rows(ACKS, "a|processing\nb|processing\n");
	assert_rows("SELECT count(*) FROM processing_ack WHERE status_changed GLOB"
		    " '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]'"
		    " AND abs(julianday(status_changed) - julianday('now')) < 0.01",
		    "2\n");
	assert_rows(STATES, "in_reply_to|a\n");
	/* Follow-ups leave the turn's in_reply_to alone. */
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_c, 1 }, NULL, NULL), 0);
	assert_rows(STATES, "in_reply_to|a\n");
	/* No statement is left open: the host can write. */
	sqlite_run(world.path, "DELETE FROM processing_ack WHERE message_id = 'a'");
	assert_int_equal(outbound_has_ack(world.outbound, "a", NULL), 0);
}

static void test_release(void **state)
{
	const struct outbound_commit done = { .completed = { ids_c, 1 } };

	(void)state;
	assert_int_equal(outbound_commit(world.outbound, &done, NULL), 0);
	claim(NULL);
	assert_int_equal(outbound_set_tool(world.outbound, "Bash", 600000, 0, NULL), 0);
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_rows(ACKS, "c|completed\n");
	assert_rows("SELECT id, current_tool, tool_declared_timeout_ms, tool_started_at"
		    " FROM container_state",
		    "1|null|null|null\n");
	/* What is left of a tool whose name is gone. */
	sqlite_run(world.path, "UPDATE container_state SET tool_declared_timeout_ms = 9");
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_rows("SELECT tool_declared_timeout_ms FROM container_state", "null\n");
	/* A host has cleared the claims of it. */
	sqlite_run(world.path, "UPDATE attempts SET running = 1 WHERE message_id = 'a'");
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_rows("SELECT count(*) FROM attempts WHERE running", "0\n");
	/* With nothing to release nothing is written. */
	fault_order(FAULT_KILL, 1);
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
}

/* Taking over */

static void on_lost(void *userdata)
{
	++*(int *)userdata;
}

/* What is written once another has the folder: nothing, by nobody. */
static void assert_all_refused(struct outbound *outbound)
{
	static const struct outbound_ids ids = { ids_c, 1 };
	struct err err = { "" };

	assert_int_equal(outbound_claim(outbound, &ids, "c", &err), -ESTALE);
	assert_string_equal(err.text,
			    "cannot write outbound.db: another agent-runner has taken over");
	assert_int_equal(outbound_release(outbound, NULL), -ESTALE);
	assert_int_equal(outbound_commit(outbound, &whole, NULL), -ESTALE);
	assert_int_equal(outbound_set_tool(outbound, "Bash", -1, -1, NULL), -ESTALE);
	assert_int_equal(outbound_set_tool(outbound, NULL, -1, -1, NULL), -ESTALE);
	assert_true(outbound_is_taken(outbound));
}

static void test_take_over(void **state)
{
	struct outbound *old;
	int lost = 0;

	(void)state;
	outbound_on_taken(world.outbound, on_lost, &lost);
	assert_int_equal(outbound_take_over(world.outbound, false, NULL), 0);
	assert_rows("SELECT key, value GLOB 'run-[0-9]*-*' FROM session_state", "lease|1\n");
	claim("a");
	assert_int_equal(outbound_set_tool(world.outbound, "Bash", 1000, 1, NULL), 0);
	old = steal_ptr(world.outbound);
	reopen();
	assert_false(outbound_is_taken(old));
	assert_int_equal(outbound_take_over(world.outbound, false, NULL), 0);
	assert_rows(ACKS, "");
	assert_rows("SELECT current_tool FROM container_state", "null\n");
	claim("a");
	assert_int_equal(lost, 0);
	assert_all_refused(old);
	assert_int_equal(lost, 1);
	assert_rows(ACKS, "a|processing\nb|processing\n");
	assert_rows(SEQS, "");
	assert_false(outbound_is_taken(world.outbound));
	outbound_close(old);
}

static void test_take_over_alone(void **state)
{
	(void)state;
	/* There is nothing to clear, and so nothing is written. */
	fault_order(FAULT_KILL, 1);
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	fault_order(FAULT_NONE, 0);
	assert_false(outbound_is_taken(world.outbound));
	assert_rows(STATES, "");
	claim("a");
	assert_rows("SELECT key FROM session_state ORDER BY key", "in_reply_to\nlease\n");
	reopen();
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	assert_rows(ACKS, "");
}

/* Hosts clear the table, and may do so at any time. */
static void test_a_cleared_state_is_not_a_take_over(void **state)
{
	(void)state;
	assert_int_equal(outbound_take_over(world.outbound, false, NULL), 0);
	sqlite_run(world.path, "DELETE FROM session_state");
	assert_false(outbound_is_taken(world.outbound));
	claim("a");
	assert_rows("SELECT key FROM session_state ORDER BY key", "in_reply_to\nlease\n");
}

/* A claim that is taken back has not raised the fence: the next one does. */
static void test_take_over_on_a_full_disk(void **state)
{
	(void)state;
	sqlite_run(world.path, "INSERT INTO session_state VALUES ('lease', 'before us', '')");
	assert_int_equal(outbound_take_over(world.outbound, true, NULL), 0);
	fault_order(FAULT_FULL, 1);
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_ab, 2 }, "a", NULL),
		-ENOSPC);
	fault_order(FAULT_NONE, 0);
	claim("a");
	assert_rows(ACKS, "a|processing\nb|processing\n");
	assert_rows("SELECT count(*) FROM session_state WHERE value = 'before us'", "0\n");
}

/* Messages */

static void test_commit(void **state)
{
	(void)state;
	claim("a");
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_rows("SELECT seq, in_reply_to, deliver_after, recurrence, kind, platform_id,"
		    " channel_type, thread_id, content FROM messages_out ORDER BY seq",
		    "1|a|null|null|chat|C1|slack|t1|{\"text\":\"one\"}\n"
		    "3|null|null|null|chat|null|null|null|{\"text\":\"two\"}\n");
	assert_rows("SELECT count(DISTINCT id) FROM messages_out WHERE id GLOB 'msg-1[0-9][0-9]"
		    "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[a-z0-9][a-z0-9][a-z0-9]"
		    "[a-z0-9][a-z0-9][a-z0-9]' AND abs(substr(id, 5, 13) / 1000"
		    " - strftime('%s', 'now')) < 600 AND timestamp GLOB '2[0-9][0-9][0-9]-[01]"
		    "[0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]'",
		    "2\n");
	assert_rows(ACKS, "a|completed\nb|completed\nc|failed\n");
	assert_rows(STATES, "continuation:mock|next\nin_reply_to|a\n");
	assert_rows("SELECT count(*) FROM session_state WHERE updated_at GLOB '2[0-9][0-9][0-9]-"
		    "[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'",
		    "2\n");
}

static void set_inbound_seq(const char *value)
{
	char sql[128];

	(void)snprintf(sql, sizeof(sql),
		       "INSERT OR REPLACE INTO messages_in (id, seq, kind, timestamp, content)"
		       " VALUES ('x', %s, '', '', '')",
		       value);
	sqlite_run(world.inbound, sql);
}

/* Rows whose ids were made before, and who asks for their numbers. */
static void test_ids_and_numbers(void **state)
{
	struct outbound_message named[] = { messages[0], messages[1], messages[0] };
	int64_t seqs[3] = { -1, -1, -1 };
	const struct outbound_commit commit = {
		.messages = named,
		.message_count = 3,
		.ret_seqs = seqs,
	};
	struct err err;

	(void)state;
	named[0].id = "task-1";
	named[2].id = "sys-1";
	set_inbound_seq("10");
	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
	assert_int_equal(seqs[0], 11);
	assert_int_equal(seqs[1], 13);
	assert_int_equal(seqs[2], 15);
	assert_rows("SELECT seq, iif(id LIKE 'msg-%', 'made', id) FROM messages_out ORDER BY seq",
		    "11|task-1\n13|made\n15|sys-1\n");
	/* An id that is there already is no matter of numbers, and nothing of it stays. */
	assert_int_equal(outbound_commit(world.outbound, &commit, &err), -EEXIST);
	assert_string_equal(err.text, "cannot write outbound.db: UNIQUE constraint failed: "
				      "messages_out.id (SQLite 1555)");
	assert_rows(SEQS, "11\n13\n15\n");
}

static void test_make_id(void **state)
{
	char id[OUTBOUND_ID_SIZE], other[OUTBOUND_ID_SIZE];

	(void)state;
	outbound_make_id("cli", id);
	outbound_make_id("cli", other);
	assert_memory_equal(id, "cli-1", 5);
	assert_int_equal(strspn(id + 4, "0123456789"), 13);
	assert_int_equal(id[17], '-');
	assert_int_equal(strspn(id + 18, "0123456789abcdefghijklmnopqrstuvwxyz"), 6);
	assert_int_equal(strlen(id), 24);
	assert_string_not_equal(id, other);
}

static void test_several_states(void **state)
{
	const struct outbound_state states[] = {
		{ "a", "1" }, { "b", "2" }, { "c", NULL }, { "a", "3" }
	};
	const struct outbound_commit commit = { .states = states, .state_count = 4 };

	(void)state;
	sqlite_run(world.path, "INSERT INTO session_state VALUES ('c', 'old', '')");
	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
	assert_rows(STATES, "a|3\nb|2\n");
}

static void test_empty_commit(void **state)
{
	const struct outbound_commit forget = {
		.states = &(struct outbound_state){ "continuation:mock", NULL },
		.state_count = 1,
	};

	(void)state;
	assert_int_equal(outbound_commit(world.outbound, &(struct outbound_commit){ NULL }, NULL),
			 0);
	assert_int_equal(outbound_commit(world.outbound, &whole, NULL), 0);
	assert_int_equal(outbound_commit(world.outbound, &forget, NULL), 0);
	assert_rows(STATES, "");
	assert_rows("SELECT count(*) FROM messages_out", "2\n");
}

static void send(size_t count)
{
	const struct outbound_commit commit = { .messages = messages, .message_count = count };

	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
}

static void test_seq(void **state)
{
	cleanup_inbound struct inbound *inbound = NULL;
	sqlite3 *host;

	(void)state;
	set_inbound_seq("10");
	send(2);
	assert_rows(SEQS, "11\n13\n");
	set_inbound_seq("12");
	send(1);
	assert_rows(SEQS, "11\n13\n15\n");
	/* A host that writes here itself, and a seq that is odd where it should be even. */
	sqlite_run(world.path, "INSERT INTO messages_out (id, seq, timestamp, kind, content)"
			       " VALUES ('host', 20, '', '', '')");
	send(1);
	set_inbound_seq("33");
	send(1);
	assert_rows(SEQS, "11\n13\n15\n20\n21\n35\n");
	/* While inbound.db cannot be read, what was seen there last counts. */
	set_inbound_seq("100");
	reopen();
	assert_int_equal(inbound_open(world.inbound, &inbound, NULL), 0);
	outbound_see_inbound(world.outbound, inbound);
	inbound_close(steal_ptr(inbound));
	set_inbound_seq("200");
	host = sqlite_open(world.inbound);
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	send(1);
	sqlite3_close(host);
	assert_rows("SELECT max(seq) FROM messages_out", "101\n");
}

static void test_odd_seq(void **state)
{
	static const char *const values[] = { "-7", "'abc'", "9223372036854775807", "1e300",
					      "x'07'" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		char sql[128];

		sqlite_run(world.path, "DELETE FROM messages_out");
		set_inbound_seq(values[i]);
		(void)snprintf(sql, sizeof(sql),
			       "INSERT INTO messages_out (id, seq, timestamp, kind, content)"
			       " VALUES ('host', %s, '', '', '')",
			       values[i]);
		sqlite_run(world.path, sql);
		reopen();
		send(2);
		assert_rows("SELECT seq FROM messages_out WHERE id <> 'host' ORDER BY seq",
			    "1\n3\n");
	}
}

static void test_collision(void **state)
{
	const struct outbound_commit commit = { .messages = messages, .message_count = 1 };
	struct err err;

	(void)state;
	/* An index of a host's under which 3 and 5 stand for 1. */
	send(1);
	sqlite_run(world.path, "CREATE UNIQUE INDEX own ON messages_out (seq / 6)");
	send(1);
	assert_rows(SEQS, "1\n7\n");
	sqlite_run(world.path, "DROP INDEX own; DELETE FROM messages_out;"
			       "CREATE UNIQUE INDEX own ON messages_out (kind)");
	send(1);
	assert_int_equal(outbound_commit(world.outbound, &commit, &err), -EEXIST);
	assert_string_equal(err.text, "cannot write outbound.db: UNIQUE constraint failed: "
				      "messages_out.kind (SQLite 2067)");
	assert_rows(SEQS, "1\n");
}

/* State */

static void test_state(void **state)
{
	const struct outbound_commit commit = {
		.states = &(struct outbound_state){ "k", "caf\xc3\xa9" },
		.state_count = 1,
	};
	char *value = NULL;

	(void)state;
	assert_int_equal(outbound_get_state(world.outbound, "k", &value, NULL), 0);
	assert_null(value);
	assert_int_equal(outbound_commit(world.outbound, &commit, NULL), 0);
	assert_int_equal(outbound_get_state(world.outbound, "k", &value, NULL), 1);
	assert_string_equal(value, "caf\xc3\xa9");
	free(value);
}

static void test_continuation(void **state)
{
	static const struct {
		const char *legacy; /* NULL: no such key */
		const char *own;
		const char *found; /* NULL: none */
		const char *states;
	} rows[] = {
		{ NULL, NULL, NULL, "" },
		{ NULL, "new", "new", "continuation:claude|new\n" },
		{ "old", NULL, "old", "continuation:claude|old\n" },
		{ "old", "new", "new", "continuation:claude|new\n" },
		{ "old", "", "old", "continuation:claude|old\n" },
		{ "", NULL, NULL, "" },
		{ "", "new", "new", "continuation:claude|new\n" },
		{ NULL, "", NULL, "continuation:claude|\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct outbound_commit legacy = {
			.states = &(struct outbound_state){ "sdk_session_id", rows[i].legacy },
			.state_count = 1,
		};
		const struct outbound_commit own = {
			.states = &(struct outbound_state){ "continuation:claude", rows[i].own },
			.state_count = 1,
		};
		cleanup_free char *value = NULL;

		assert_int_equal(outbound_commit(world.outbound, &legacy, NULL), 0);
		assert_int_equal(outbound_commit(world.outbound, &own, NULL), 0);
		assert_int_equal(outbound_continuation(world.outbound, "Claude", &value, NULL),
				 rows[i].found != NULL);
		if (rows[i].found)
			assert_string_equal(value, rows[i].found);
		assert_rows(STATES, rows[i].states);
	}
}

#define TOOL \
	"SELECT id, current_tool, tool_declared_timeout_ms, tool_started_at FROM container_state"

static void test_tool(void **state)
{
	(void)state;
	assert_int_equal(outbound_set_tool(world.outbound, NULL, 0, 0, NULL), 0);
	assert_rows(TOOL, "");
	assert_int_equal(outbound_set_tool(world.outbound, "Bash", 600000, 1770211800042, NULL), 0);
	assert_rows(TOOL, "1|Bash|600000|2026-02-04T13:30:00.042Z\n");
	assert_rows("SELECT updated_at GLOB '2[0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
		    "[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z' FROM container_state",
		    "1\n");
	assert_int_equal(outbound_set_tool(world.outbound, "Read", -1, -1, NULL), 0);
	assert_rows(TOOL, "1|Read|null|null\n");
	assert_int_equal(outbound_set_tool(world.outbound, NULL, 0, 0, NULL), 0);
	assert_rows(TOOL, "1|null|null|null\n");
}

static void test_lost(void **state)
{
	(void)state;
	assert_null(outbound_lost(world.outbound));
	sqlite_run(world.path, "DROP TABLE processing_ack");
	/* Asked for when something failed. */
	assert_int_equal(outbound_has_ack(world.outbound, "a", NULL), -EIO);
	assert_string_equal(outbound_lost(world.outbound), "it lacks a table");
	reopen();
	assert_null(outbound_lost(world.outbound));
	assert_int_equal(unlink(world.path), 0);
	assert_string_equal(outbound_lost(world.outbound), "it was deleted or replaced");
	reopen();
	assert_null(outbound_lost(world.outbound));
}

static void test_damaged(void **state)
{
	const int pages = 2 * 4096;
	struct err err;
	FILE *file;

	(void)state;
	claim("a");
	assert_null(outbound_lost(world.outbound));
	file = fopen(world.path, "r+e");
	assert_non_null(file);
	/* All but the first page, and a counter that says that something changed. */
	assert_int_equal(fseek(file, 27, SEEK_SET), 0);
	assert_int_equal(fputc(99, file), 99);
	assert_int_equal(fseek(file, 4096, SEEK_SET), 0);
	for (int i = 0; i < 4 * pages; i++)
		assert_int_equal(fputc(0xff, file), 0xff);
	fclose(file);
	assert_int_equal(
		outbound_claim(world.outbound, &(struct outbound_ids){ ids_c, 1 }, NULL, &err),
		-EBADMSG);
	assert_string_equal(outbound_lost(world.outbound), "it is damaged");
}

/* A host that sets the file to WAL meanwhile is undone with the next transaction. */
static void test_wal(void **state)
{
	(void)state;
	sqlite_run(world.path, "PRAGMA journal_mode=WAL");
	claim("a");
	assert_rows("SELECT message_id FROM processing_ack ORDER BY 1", "a\nb\n");
	assert_rows("PRAGMA journal_mode", "delete\n");
}

static void test_null(void **state)
{
	(void)state;
	outbound_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older_file, setup_folder, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup_folder, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_over_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_cleared_state_is_not_a_take_over, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_take_over_on_a_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids_and_numbers, setup, teardown),
		cmocka_unit_test(test_make_id),
		cmocka_unit_test_setup_teardown(test_several_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_seq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collision, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_continuation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wal, setup, teardown),
		cmocka_unit_test(test_null),
	};

	fault_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
