/* SPDX-License-Identifier: MIT */
/* How a session starts and ends. What happens between is the whole-program tests' affair. */
#include "runner/session.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit-code.h"
#include "runner/io/json.h"
#include "runner/mcp/client.h"
#include "runner/mcp/methods.h"
#include "runner/tenure.h"
#include "schema/inbound.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

/* A child that does not end by itself is a failure, after this. */
#define LIMIT_MS 10000

/* What the callback is told; inherited by the process of the session. */
struct confinement {
	int result;
	const char *workspace;
};

struct world {
	struct confinement *confinement; /* NULL: no callback */
	struct folder folder;
	struct folder runtime; /* where the loop's socket goes */
	pid_t pid;
	int err_fd;
	char err[8192]; /* what the session said */
};

static const char *late_sql; /* what the host writes when all is closed; NULL: nothing */
static char late_path[256];

/* The linker leads the call of session.c here. */

void __real_tenure_end(struct tenure *tenure);
void __wrap_tenure_end(struct tenure *tenure);

void __wrap_tenure_end(struct tenure *tenure)
{
	if (late_sql)
		database_exec(late_path, late_sql);
	__real_tenure_end(tenure);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	late_sql = NULL;
	*w = (struct world){ .pid = -1, .err_fd = -1 };
	assert_int_equal(setenv("AGENT_PROVIDER", "mock", 1), 0);
	assert_int_equal(unsetenv("AGENT_SANDBOX"), 0);
	folder_make(&w->folder);
	folder_make(&w->runtime);
	assert_int_equal(setenv("TMPDIR", w->runtime.path, 1), 0);
	folder_mkdir(&w->folder, "agent");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	folder_remove(&w->folder);
	folder_remove(&w->runtime);
	return 0;
}

/* Says which words it was given, and whether a database was there before it. */
static int confine(void *userdata, const char *const *words, struct err *err)
{
	const struct confinement *c = userdata;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/outbound.db", c->workspace);
	for (; *words; words++)
		(void)dprintf(STDERR_FILENO, "word %s\n", *words);
	(void)dprintf(STDERR_FILENO, "database: %d\n", access(path, F_OK) == 0);
	return c->result ? err_set(err, c->result, "no rights of less") : 0;
}

/* Runs the session in a process of its own, as PID 1 does. */
static void start(struct world *w)
{
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	w->pid = fork();
	if (w->pid == 0) {
		const struct runner_options options = {
			.workspace = w->folder.path,
			.self = "/nonexistent/agent-runner",
			.confine = w->confinement ? confine : NULL,
			.userdata = w->confinement,
		};

		(void)dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		(void)alarm(LIMIT_MS / 1000);
		_exit(session_run(&options));
	}
	assert_true(w->pid > 0);
	close(pipes[1]);
	w->err_fd = pipes[0];
	w->err[0] = '\0';
}

/* Reads what the session says until it says this, or ends. */
static bool wait_for(struct world *w, const char *text)
{
	struct pollfd ready = { .fd = w->err_fd, .events = POLLIN };
	size_t len = strlen(w->err);
	ssize_t n;

	while (!text || !strstr(w->err, text)) {
		if (poll(&ready, 1, LIMIT_MS) != 1)
			return false;
		n = read(w->err_fd, w->err + len, sizeof(w->err) - 1 - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		w->err[len] = '\0';
	}
	return true;
}

/* Its exit code. */
static int finish(struct world *w)
{
	int status;

	(void)wait_for(w, NULL);
	close(w->err_fd);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What the host wrote, and what it reads. */
static void inbound(struct world *w, const char *sql)
{
	database_exec(folder_file(&w->folder, "inbound.db"), sql);
}

static const char *outbound(struct world *w, const char *sql)
{
	return database_query(folder_file(&w->folder, "outbound.db"), sql);
}

/* Waits until the host reads this. */
static void wait_rows(struct world *w, const char *sql, const char *rows)
{
	struct pollfd ready = { .fd = w->err_fd, .events = POLLIN };
	int64_t deadline = clock_monotonic_ms() + LIMIT_MS;

	while (strcmp(outbound(w, sql), rows) != 0) {
		size_t len = strlen(w->err);

		if (clock_monotonic_ms() > deadline)
			fail_msg("%s: %s%s", sql, outbound(w, sql), w->err);
		if (poll(&ready, 1, 5) == 1) {
			ssize_t n = read(w->err_fd, w->err + len, sizeof(w->err) - 1 - len);

			w->err[len + (size_t)(n > 0 ? n : 0)] = '\0';
		}
	}
}

static void make_inbound(struct world *w)
{
	database_exec(folder_file(&w->folder, "inbound.db"), schema_inbound);
}

static void test_starts_warms_and_ends(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	start(w);
	assert_true(wait_for(w, "agent mock started, new conversation"));
	assert_int_equal(kill(w->pid, SIGTERM), 0);
	assert_int_equal(finish(w), EXIT_CODE_OK);
	assert_non_null(strstr(w->err, "ending on signal 15"));
	/* Idle, it vouches for nothing. */
	assert_int_equal(access(folder_file(&w->folder, ".heartbeat"), F_OK), -1);
}

static void test_leftovers_of_a_killed_container(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	start(w);
	assert_true(wait_for(w, "agent mock started"));
	assert_int_equal(kill(w->pid, SIGINT), 0);
	assert_int_equal(finish(w), EXIT_CODE_OK);
	database_exec(folder_file(&w->folder, "outbound.db"),
		      "INSERT INTO processing_ack VALUES ('m1', 'processing', ''),"
		      " ('m2', 'completed', '');"
		      "INSERT OR REPLACE INTO container_state VALUES (1, 'Bash', 600000, '', '')");
	folder_mkdir(&w->folder, "outbox");
	folder_mkdir(&w->folder, "outbox/msg-1");
	folder_write(&w->folder, "outbox/msg-1/.copy-0123456789abcdef", "half a fi");
	start(w);
	assert_true(wait_for(w, "agent mock started"));
	assert_true(wait_for(w, "removed from the outbox: 1 unfinished copy of an earlier run"));
	assert_int_equal(access(folder_file(&w->folder, "outbox/msg-1"), F_OK), -1);
	assert_string_equal(database_query(folder_file(&w->folder, "outbound.db"),
					   "SELECT message_id FROM processing_ack UNION ALL"
					   " SELECT current_tool FROM container_state"
					   " WHERE current_tool IS NOT NULL"),
			    "m2\n");
	assert_int_equal(kill(w->pid, SIGTERM), 0);
	assert_int_equal(finish(w), EXIT_CODE_OK);
}

static void stop(struct world *w)
{
	assert_int_equal(kill(w->pid, SIGTERM), 0);
	assert_int_equal(finish(w), EXIT_CODE_OK);
}

#define ACKS "SELECT message_id, status FROM processing_ack ORDER BY message_id"

/* Asks for a command in a process of its own; its exit status is 0 if the answer is right. */
static pid_t ask_host(const struct world *w)
{
	pid_t pid = fork();

	if (pid == 0) {
		json_t *params = json_pack("{s:s}", "command", "help"), *result = NULL;
		const struct client_request request = {
			.method = METHODS_NCL,
			.params = params,
			.timeout_ms = LIMIT_MS,
		};
		int64_t code;
		struct err err;

		_exit(client_ask(w->folder.path, &request, &result, &code, &err) != 0 ||
		      !json_member_bool(result, "ok", false));
	}
	assert_true(pid > 0);
	return pid;
}

/* A command's way to the host and back, and the row of its answer is not left behind. */
static void test_a_command_for_the_host(void **state)
{
	struct world *w = *state;
	char sql[512], id[64];
	int status = -1;
	pid_t pid;

	make_inbound(w);
	start(w);
	assert_true(wait_for(w, "agent mock started"));
	pid = ask_host(w);
	wait_rows(w, "SELECT json_extract(content, '$.command') FROM messages_out", "help\n");
	(void)snprintf(id, sizeof(id), "%s", outbound(w, "SELECT id FROM messages_out"));
	id[strcspn(id, "\n")] = '\0';
	(void)snprintf(
		sql, sizeof(sql),
		"INSERT INTO messages_in (id, seq, kind, timestamp, content) VALUES"
		" ('answer', 2, 'system', '', '{\"requestId\":\"%s\",\"frame\":{\"ok\":true}}')",
		id);
	inbound(w, sql);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	wait_rows(w, ACKS, "answer|completed\n");
	stop(w);
}

/* A socket that is gone with the session that it belonged to. */
static void test_nothing_is_left_behind(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	start(w);
	assert_true(wait_for(w, "agent mock started"));
	stop(w);
	assert_int_equal(rmdir(w->runtime.path), 0);
	folder_make(&w->runtime);
}

static void test_broken_configuration(void **state)
{
	struct world *w = *state;

	folder_write(&w->folder, "agent/container.json", "{ \"provider\": ");
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CONFIG);
	assert_non_null(strstr(w->err, "agent/container.json"));
}

static void test_the_loop_is_confined_by_the_same_words(void **state)
{
	struct world *w = *state;
	struct confinement confinement = { .workspace = w->folder.path };
	char expected[512];
	struct stat st;

	w->confinement = &confinement;
	make_inbound(w);
	assert_int_equal(rmdir(folder_file(&w->folder, "agent")), 0);
	assert_int_equal(setenv("AGENT_SANDBOX", "{\"write\": [\"/srv\"]}", 1), 0);
	start(w);
	assert_true(wait_for(w, "database: "));
	snprintf(expected, sizeof(expected),
		 "word --write=/srv\nword --workspace=%s\nword --session\n%sword "
		 "--complete\ndatabase: 0\n",
		 w->folder.path, geteuid() == 0 ? "word --allow-root\n" : "");
	assert_true(wait_for(w, "agent mock started"));
	assert_int_equal(kill(w->pid, SIGTERM), 0);
	assert_int_equal(finish(w), 0);
	assert_non_null(strstr(w->err, expected));
	/* What the agent needs is made meanwhile. */
	assert_true(stat(folder_file(&w->folder, "agent"), &st) == 0 && S_ISDIR(st.st_mode));
	assert_true(stat(folder_file(&w->folder, "inbox"), &st) == 0 && S_ISDIR(st.st_mode));
}

/* A container that ends for want of work looks a last time when nothing works any more. */
static void test_what_comes_when_all_is_closed(void **state)
{
	static const char *const rows[] = {
		NULL,
		"INSERT INTO messages_in (id, kind, timestamp, content) VALUES"
		" ('late', 'chat', '', '{\"text\":\"wait\"}')",
	};
	struct world *w = *state;

	make_inbound(w);
	folder_write(&w->folder, "agent/container.json", "{\"idleExitSeconds\": 1}");
	(void)snprintf(late_path, sizeof(late_path), "%s", folder_file(&w->folder, "inbound.db"));
	for (size_t i = 0; i < 2; i++) {
		late_sql = rows[i];
		start(w);
		assert_int_equal(finish(w), i ? EXIT_CODE_INTERNAL : EXIT_CODE_OK);
		assert_non_null(strstr(w->err, "nothing to do for 1 s: ending"));
		assert_int_equal(strstr(w->err, "has changed at the last moment") != NULL, i);
	}
	/* It is the next one's. */
	assert_string_equal(outbound(w, ACKS), "");
	late_sql = NULL;
	start(w);
	wait_rows(w, ACKS, "late|completed\n");
	stop(w);
}

static void test_rights_that_cannot_be_narrowed(void **state)
{
	struct world *w = *state;
	struct confinement confinement = {
		.workspace = w->folder.path,
		.result = EXIT_CODE_NO_PERMISSION,
	};
	const char *line;

	w->confinement = &confinement;
	make_inbound(w);
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_NO_PERMISSION);
	line = strstr(w->err, "agent-runner: error: no rights of less\n");
	assert_non_null(line);
	assert_null(strstr(line + 1, "agent-runner:"));
	assert_int_equal(access(folder_file(&w->folder, "outbound.db"), F_OK), -1);
}

static void test_a_sandbox_that_is_not_json(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	assert_int_equal(setenv("AGENT_SANDBOX", "off", 1), 0);
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CONFIG);
	assert_string_equal(w->err, "agent-runner: error: AGENT_SANDBOX: line 1, column 3: invalid "
				    "token\n");
}

static void test_unknown_provider(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	assert_int_equal(setenv("AGENT_PROVIDER", "nobody", 1), 0);
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CONFIG);
	assert_non_null(strstr(w->err, "there is no provider \"nobody\""));
}

static void test_write_ahead_log(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	database_exec(folder_file(&w->folder, "inbound.db"), "PRAGMA journal_mode = WAL");
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CONFIG);
	assert_non_null(strstr(w->err, "WAL"));
}

static void test_outbound_is_no_database(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	folder_write(&w->folder, "outbound.db",
		     "This is not a database, although it is long enough for a header of one.....");
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CANNOT_CREATE);
	assert_non_null(strstr(w->err, "outbound.db"));
}

static void test_outbound_cannot_be_made(void **state)
{
	struct world *w = *state;

	make_inbound(w);
	folder_mkdir(&w->folder, "outbound.db");
	start(w);
	assert_int_equal(finish(w), EXIT_CODE_CANNOT_CREATE);
	assert_non_null(strstr(w->err, "outbound.db"));
}

/* A host that is late is waited for. */
static void test_inbound_is_missing(void **state)
{
	struct world *w = *state;

	start(w);
	assert_true(wait_for(w, "inbound.db is missing"));
	make_inbound(w);
	assert_true(wait_for(w, "agent mock started"));
	assert_true(wait_for(w, "the inbox is served again"));
	assert_int_equal(kill(w->pid, SIGTERM), 0);
	assert_int_equal(finish(w), EXIT_CODE_OK);
}

#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_starts_warms_and_ends),
		SESSION_TEST(test_leftovers_of_a_killed_container),
		SESSION_TEST(test_a_command_for_the_host),
		SESSION_TEST(test_nothing_is_left_behind),
		SESSION_TEST(test_what_comes_when_all_is_closed),
		SESSION_TEST(test_broken_configuration),
		SESSION_TEST(test_the_loop_is_confined_by_the_same_words),
		SESSION_TEST(test_rights_that_cannot_be_narrowed),
		SESSION_TEST(test_a_sandbox_that_is_not_json),
		SESSION_TEST(test_unknown_provider),
		SESSION_TEST(test_write_ahead_log),
		SESSION_TEST(test_outbound_is_no_database),
		SESSION_TEST(test_outbound_cannot_be_made),
		SESSION_TEST(test_inbound_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
