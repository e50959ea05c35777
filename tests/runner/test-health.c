/* SPDX-License-Identifier: MIT */
#include "runner/health.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>

#include "common/clock.h"
#include "common/fd.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound.h"
#include "schema/inbound.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/runner/mcp/fake-loop.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;
static struct err found; /* what the last check said */

/* A workspace in which all is well: both databases, no configuration, the mock provider. */
static int setup(void **state)
{
	struct outbound *outbound;
	char path[256];

	(void)state;
	folder_make(&folder);
	setenv("AGENT_PROVIDER", "mock", 1);
	snprintf(path, sizeof(path), "%s/inbound.db", folder.path);
	database_exec(path, schema_inbound);
	assert_int_equal(outbound_open(folder_file(&folder, "outbound.db"), path, &outbound, NULL),
			 0);
	outbound_close(outbound);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("AGENT_PROVIDER");
	folder_remove(&folder);
	return 0;
}

/* Name, size, times of everything in the folder, and of itself, as one number. */
static uint64_t fingerprint(void)
{
	DIR *dir = opendir(folder.path);
	const struct dirent *entry;
	uint64_t sum = 0;
	struct stat st;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		uint64_t hash = 14695981039346656037U;

		if (strcmp(entry->d_name, "..") == 0)
			continue;
		assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		for (const char *c = entry->d_name; *c; c++)
			hash = (hash ^ (uint64_t)*c) * 1099511628211U;
		hash = (hash ^ (uint64_t)st.st_size) * 1099511628211U;
		hash = (hash ^ (uint64_t)st.st_mtim.tv_sec) * 1099511628211U;
		hash = (hash ^ (uint64_t)st.st_mtim.tv_nsec) * 1099511628211U;
		sum += hash;
	}
	closedir(dir);
	return sum;
}

/* Runs one check, which must write nothing. */
static enum runner_health check(const char *name)
{
	const struct runner_options options = { .workspace = folder.path };
	uint64_t before = fingerprint();
	const struct runner_check *rows;
	enum runner_health health;
	size_t count;

	rows = health_checks(&count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		found = (struct err){ "" };
		health = rows[i].run(&options, &found);
		assert_true(fingerprint() == before);
		return health;
	}
	fail_msg("no check %s", name);
	return RUNNER_HEALTH_FAIL;
}

/* text: %s in it is the workspace's path. */
#define assert_check(name, health, ...)                                    \
	do {                                                               \
		char expected_[ERR_TEXT_MAX];                              \
                                                                           \
		assert_int_equal(check(name), health);                     \
		(void)snprintf(expected_, sizeof(expected_), __VA_ARGS__); \
		assert_string_equal(found.text, expected_);                \
	} while (0)

static void exec(const char *file, const char *sql)
{
	database_exec(folder_file(&folder, file), sql);
}

static void truncate_file(const char *file, off_t size)
{
	assert_int_equal(truncate(folder_file(&folder, file), size), 0);
}

static void remove_file(const char *file)
{
	assert_int_equal(unlink(folder_file(&folder, file)), 0);
}

static void test_all_is_well(void **state)
{
	(void)state;
	assert_check("inbound", RUNNER_HEALTH_OK, "%s/inbound.db is readable and in DELETE mode",
		     folder.path);
	assert_check("outbound", RUNNER_HEALTH_OK, "%s/outbound.db is readable and in DELETE mode",
		     folder.path);
	assert_check("config", RUNNER_HEALTH_OK, "container.json loads; provider mock");
	assert_check("agent", RUNNER_HEALTH_OK, "mock: nothing is needed");
	assert_check("claims", RUNNER_HEALTH_OK, "nothing is claimed");
}

/* What the loop answers. */
static const char *loop_answer;

static int serve(int fd)
{
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd, loop_answer);
	fake_loop_wait(fd);
	return strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent-runner/status\"}");
}

/* What the check says to that; it is asked again where this machine is too slow for its patience. */
static void assert_mcp(const char *answer, enum runner_health health, const char *text)
{
	struct fake_loop loop;

	loop_answer = answer;
	for (int i = 0; i < 20; i++) {
		enum runner_health found_health;

		fake_loop_start(&loop, serve);
		found_health = check("mcp");
		assert_int_equal(fake_loop_stop(&loop), 0);
		if (strcmp(found.text, "no answer within 0.03 s") == 0)
			continue;
		assert_int_equal(found_health, health);
		assert_string_equal(found.text, text);
		return;
	}
	fail_msg("it was never answered in time");
}

static void assert_servers(const char *servers, enum runner_health health, const char *text)
{
	char answer[512];

	(void)snprintf(answer, sizeof(answer),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"servers\":%s}}\n", servers);
	assert_mcp(answer, health, text);
}

static void test_mcp_servers(void **state)
{
	(void)state;
	assert_servers("[]", RUNNER_HEALTH_OK, "served; the agent has not told of any yet");
	assert_servers("[{\"name\":\"nanoclaw\",\"status\":\"connected\"},"
		       "{\"name\":\"b\",\"status\":\"connected\"}]",
		       RUNNER_HEALTH_OK, "connected to the agent: 2");
	assert_servers("[{\"name\":\"nanoclaw\",\"status\":\"connected\"},"
		       "{\"name\":\"b\",\"status\":\"failed\"},"
		       "{\"name\":\"c d\",\"status\":\"needs-auth\"}]",
		       RUNNER_HEALTH_WARN, "b: failed, c d: needs-auth");
	assert_servers("null", RUNNER_HEALTH_OK, "served; the agent has not told of any yet");
}

static void test_mcp_without_a_loop(void **state)
{
	(void)state;
	unsetenv("AGENT_SOCKET");
	assert_check("mcp", RUNNER_HEALTH_WARN,
		     "no session loop serves %s: start agent-runner there, or name its socket in "
		     "AGENT_SOCKET",
		     folder.path);
}

static void test_mcp_of_an_odd_loop(void **state)
{
	(void)state;
	assert_mcp("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,"
		   "\"message\":\"what?\"}}\n",
		   RUNNER_HEALTH_WARN, "what?");
}

static void test_names_are_unique_and_explained(void **state)
{
	const struct runner_check *rows;
	size_t count;

	(void)state;
	rows = health_checks(&count);
	assert_int_equal(count, 6);
	for (size_t i = 0; i < count; i++) {
		assert_true(strlen(rows[i].help) > 0);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows[i].name, rows[j].name);
	}
}

static void test_missing_files(void **state)
{
	(void)state;
	remove_file("inbound.db");
	remove_file("outbound.db");
	assert_check("inbound", RUNNER_HEALTH_FAIL,
		     "%s/inbound.db is missing: the host has to create it", folder.path);
	assert_check("outbound", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is missing: the session loop makes it when it starts",
		     folder.path);
	assert_check("claims", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is missing: the session loop makes it when it starts",
		     folder.path);
}

static void test_empty_files(void **state)
{
	(void)state;
	truncate_file("inbound.db", 0);
	truncate_file("outbound.db", 0);
	assert_check("inbound", RUNNER_HEALTH_FAIL,
		     "%s/inbound.db is empty: the host has to create its tables", folder.path);
	assert_check("outbound", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is empty: the session loop makes its tables when it starts",
		     folder.path);
}

static void test_what_is_no_database(void **state)
{
	(void)state;
	folder_write(&folder, "inbound.db", "hello, I am a text file of some length");
	folder_write(&folder, "outbound.db", "me too");
	assert_check("inbound", RUNNER_HEALTH_FAIL,
		     "%s/inbound.db is not a readable SQLite database", folder.path);
	assert_check("outbound", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is not a readable SQLite database", folder.path);
	assert_check("claims", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is not a readable SQLite database", folder.path);
}

/* A reader would make the -shm file, and a look at the claims is one too. */
static void test_write_ahead_log(void **state)
{
	(void)state;
	exec("inbound.db", "PRAGMA journal_mode=WAL");
	exec("outbound.db", "PRAGMA journal_mode=WAL");
	assert_check("inbound", RUNNER_HEALTH_FAIL,
		     "%s/inbound.db is in WAL mode, whose index cannot be shared with a container: "
		     "the host must run \"PRAGMA journal_mode=DELETE\" on it",
		     folder.path);
	assert_check("outbound", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is in WAL mode; it has to be in DELETE mode", folder.path);
	assert_check("claims", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db is in WAL mode; it has to be in DELETE mode", folder.path);
}

static sqlite3 *lock(const char *file)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(folder_file(&folder, file), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* Somebody is at work: no trouble, and nothing is waited for. */
static void test_locked_files(void **state)
{
	static const char *const names[] = { "inbound", "outbound", "claims" };
	sqlite3 *inbound = lock("inbound.db"), *outbound = lock("outbound.db");
	int64_t best = INT64_MAX;

	(void)state;
	assert_check("inbound", RUNNER_HEALTH_WARN, "%s/inbound.db: database is locked (SQLite 5)",
		     folder.path);
	assert_check("outbound", RUNNER_HEALTH_WARN,
		     "%s/outbound.db: database is locked (SQLite 5)", folder.path);
	assert_check("claims", RUNNER_HEALTH_WARN, "%s/outbound.db: database is locked (SQLite 5)",
		     folder.path);
	/* The best of some: this machine may have other things to do. */
	for (int i = 0; i < 5; i++) {
		int64_t start = clock_monotonic_ms(), took;

		for (size_t n = 0; n < 3; n++)
			(void)check(names[n]);
		took = clock_monotonic_ms() - start;
		best = took < best ? took : best;
	}
	assert_true(best < 50);
	sqlite3_close(inbound);
	sqlite3_close(outbound);
}

static void copy(const char *from, const char *to)
{
	char *bytes;
	size_t len;
	int fd;

	assert_int_equal(
		fd_read_file(folder_file(&folder, from), 16 * 1024 * 1024, &bytes, &len, NULL), 0);
	fd = open(folder_file(&folder, to), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes, len), 0);
	close(fd);
	free(bytes);
}

/* A host that was killed in a commit leaves its journal: only a writer may play it back. */
static void test_hot_journal(void **state)
{
	static const char *const half = "PRAGMA cache_size=1; BEGIN; INSERT INTO messages_in"
					" (id, kind, timestamp, content) WITH RECURSIVE"
					" n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<99)"
					" SELECT i, 'chat', '', hex(zeroblob(999)) FROM n";
	sqlite3 *db;

	(void)state;
	exec("inbound.db", "INSERT INTO messages_in (id, kind, timestamp, content)"
			   " VALUES ('a', 'chat', '', '')");
	assert_int_equal(sqlite3_open(folder_file(&folder, "inbound.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, half, NULL, NULL, NULL), SQLITE_OK);
	copy("inbound.db", "half.db");
	copy("inbound.db-journal", "half.db-journal");
	sqlite3_close(db);
	copy("half.db", "inbound.db");
	copy("half.db-journal", "inbound.db-journal");
	assert_check("inbound", RUNNER_HEALTH_WARN,
		     "%s/inbound.db: attempt to write a readonly database (SQLite 776)",
		     folder.path);
}

static void test_missing_tables(void **state)
{
	(void)state;
	exec("inbound.db", "DROP TABLE messages_in");
	exec("outbound.db", "DROP TABLE processing_ack");
	assert_check("inbound", RUNNER_HEALTH_WARN,
		     "%s/inbound.db: there is no table messages_in: the host has to make it",
		     folder.path);
	assert_check("outbound", RUNNER_HEALTH_FAIL,
		     "%s/outbound.db: no such table: processing_ack (SQLite 1)", folder.path);
}

static void test_broken_configuration(void **state)
{
	(void)state;
	folder_mkdir(&folder, "agent");
	folder_write(&folder, "agent/container.json", "{\n  oops");
	assert_check("config", RUNNER_HEALTH_FAIL,
		     "%s/agent/container.json: line 2, column 6: string or '}' expected",
		     folder.path);
	assert_check("agent", RUNNER_HEALTH_FAIL,
		     "%s/agent/container.json: line 2, column 6: string or '}' expected",
		     folder.path);
}

static void test_unknown_provider(void **state)
{
	(void)state;
	setenv("AGENT_PROVIDER", "nobody", 1);
	assert_check("config", RUNNER_HEALTH_OK, "container.json loads; provider nobody");
	assert_int_equal(check("agent"), RUNNER_HEALTH_FAIL);
	assert_non_null(strstr(found.text, "there is no provider \"nobody\": there are "));
	assert_non_null(strstr(found.text, "mock"));
}

static void claim(int64_t seconds_ago)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO processing_ack VALUES ('m-%lld', 'processing', datetime('now',"
		 " '-%lld seconds')), ('done-%lld', 'completed', datetime('now', '-1 day'))",
		 (long long)seconds_ago, (long long)seconds_ago, (long long)seconds_ago);
	exec("outbound.db", sql);
}

static void beat(int64_t seconds_ago)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };

	times[1].tv_sec = (time_t)(clock_realtime_ms() / 1000 - seconds_ago);
	folder_write(&folder, ".heartbeat", "");
	assert_int_equal(utimensat(AT_FDCWD, folder_file(&folder, ".heartbeat"), times, 0), 0);
}

/* The text, in which # stands for a number, and its two numbers. */
static void assert_ages(const char *expected, int64_t first, int64_t second)
{
	int64_t numbers[2] = { -1, -1 };
	char text[ERR_TEXT_MAX];
	size_t used = 0, count = 0;

	for (char *p = found.text; *p;) {
		if (*p < '0' || *p > '9') {
			text[used++] = *p++;
			continue;
		}
		assert_true(count < 2);
		numbers[count++] = strtol(p, &p, 10);
		text[used++] = '#';
	}
	text[used] = '\0';
	assert_string_equal(text, expected);
	/* A second may pass between writing and reading. */
	assert_in_range(numbers[0], (uintmax_t)first, (uintmax_t)first + 2);
	assert_in_range(numbers[1], (uintmax_t)second, (uintmax_t)second + 2);
}

static void test_a_fresh_claim(void **state)
{
	(void)state;
	claim(0);
	claim(20);
	assert_int_equal(check("claims"), RUNNER_HEALTH_OK);
	assert_ages("# claimed, the last sign of life is # s old", 2, 20);
}

static void test_a_claim_without_a_heartbeat(void **state)
{
	static const char text[] = "a message was claimed # s ago and the last sign of life is "
				   "# s old: the session loop or the agent hangs";

	(void)state;
	claim(HEALTH_CLAIM_MAX_S + 10);
	assert_int_equal(check("claims"), RUNNER_HEALTH_FAIL);
	assert_ages(text, HEALTH_CLAIM_MAX_S + 10, HEALTH_CLAIM_MAX_S + 10);
	/* That of an earlier turn does not count. */
	beat(5000);
	assert_int_equal(check("claims"), RUNNER_HEALTH_FAIL);
	assert_ages(text, HEALTH_CLAIM_MAX_S + 10, HEALTH_CLAIM_MAX_S + 10);
}

static void test_an_old_claim_with_a_heartbeat(void **state)
{
	(void)state;
	claim(5000);
	beat(3);
	assert_int_equal(check("claims"), RUNNER_HEALTH_OK);
	assert_ages("# claimed, the last sign of life is # s old", 1, 3);
	/* A clock that differs from ours. */
	beat(-500);
	assert_int_equal(check("claims"), RUNNER_HEALTH_OK);
	assert_ages("# claimed, the last sign of life is # s old", 1, 0);
	beat(HEALTH_CLAIM_MAX_S + 10);
	assert_int_equal(check("claims"), RUNNER_HEALTH_FAIL);
}

static void test_a_tool_may_take_its_time(void **state)
{
	(void)state;
	claim(500);
	exec("outbound.db",
	     "INSERT INTO container_state (id, current_tool,"
	     " tool_declared_timeout_ms, updated_at) VALUES (1, 'Bash', 600000, '')");
	assert_int_equal(check("claims"), RUNNER_HEALTH_OK);
	exec("outbound.db", "UPDATE container_state SET tool_declared_timeout_ms = 400000");
	assert_int_equal(check("claims"), RUNNER_HEALTH_FAIL);
}

/* What is odd is said by the check, and by nobody else. */
static void test_odd_configuration(void **state)
{
	(void)state;
	folder_mkdir(&folder, "agent");
	folder_write(&folder, "agent/container.json", "{\"model\": 5, \"effort\": 6}");
	capture_start(&capture, STDERR_FILENO);
	assert_check("config", RUNNER_HEALTH_WARN,
		     "%s/agent/container.json: \"model\" must be a string, found an integer: using "
		     "\"\"",
		     folder.path);
	assert_check("agent", RUNNER_HEALTH_OK, "mock: nothing is needed");
	assert_string_equal(capture_stop(&capture), "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_all_is_well),
		CASE(test_mcp_servers),
		CASE(test_mcp_without_a_loop),
		CASE(test_mcp_of_an_odd_loop),
		CASE(test_names_are_unique_and_explained),
		CASE(test_missing_files),
		CASE(test_empty_files),
		CASE(test_what_is_no_database),
		CASE(test_write_ahead_log),
		CASE(test_locked_files),
		CASE(test_hot_journal),
		CASE(test_missing_tables),
		CASE(test_broken_configuration),
		CASE(test_unknown_provider),
		CASE(test_a_fresh_claim),
		CASE(test_a_claim_without_a_heartbeat),
		CASE(test_an_old_claim_with_a_heartbeat),
		CASE(test_a_tool_may_take_its_time),
		CASE(test_odd_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
