/* SPDX-License-Identifier: MIT */
#include "runner/store/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/forked.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct folder folder;
static struct watch *watch;
static char path[128];

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	strcpy(path, folder_file(&folder, "inbound.db"));
	sqlite_run(path, "CREATE TABLE t (a)");
	assert_int_equal(watch_new(path, true, &watch, NULL), 0);
	assert_true(watch_fd(watch) >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	watch_free(steal_ptr(watch));
	folder_remove(&folder);
	return 0;
}

/* The header */

/* As a user whom a mode keeps out. */
static int look_at_a_closed_file(void)
{
	if (geteuid() == 0)
		CHECK(chown(path, 65534, 65534) == 0 && chmod(folder.path, 0755) == 0 &&
		      setreuid(65534, 65534) == 0);
	CHECK(watch_header(path) == WATCH_DATABASE);
	CHECK(chmod(path, 0) == 0);
	CHECK(watch_header(path) == WATCH_CLOSED && errno == EACCES);
	return 0;
}

static void test_a_closed_file(void **state)
{
	(void)state;
	assert_int_equal(forked(look_at_a_closed_file), 0);
}

static void test_header(void **state)
{
	char bytes[28];
	int fd;

	(void)state;
	assert_int_equal(watch_header(path), WATCH_DATABASE);
	assert_int_equal(watch_header(folder_file(&folder, "none")), WATCH_MISSING);
	assert_int_equal(watch_header(folder.path), WATCH_ALIEN);
	folder_write(&folder, "empty", "");
	assert_int_equal(watch_header(folder_file(&folder, "empty")), WATCH_EMPTY);
	folder_write(&folder, "words", "SQLite format 4: no such thing.");
	assert_int_equal(watch_header(folder_file(&folder, "words")), WATCH_ALIEN);
	/* Opening a FIFO does not wait for a writer. */
	assert_int_equal(mkfifo(folder_file(&folder, "fifo"), 0600), 0);
	assert_int_equal(watch_header(folder_file(&folder, "fifo")), WATCH_ALIEN);
	sqlite_run(path, "PRAGMA journal_mode=WAL");
	assert_int_equal(watch_header(path), WATCH_WAL);
	/* One of the two versions is enough. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\1", 1, 18), 1);
	assert_int_equal(watch_header(path), WATCH_WAL);
	assert_int_equal(pwrite(fd, "\2\1", 2, 18), 2);
	assert_int_equal(watch_header(path), WATCH_WAL);
	assert_int_equal(pwrite(fd, "\1\1", 2, 18), 2);
	assert_int_equal(watch_header(path), WATCH_DATABASE);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(ftruncate(fd, 28), 0);
	assert_int_equal(watch_header(path), WATCH_DATABASE);
	assert_int_equal(ftruncate(fd, 27), 0);
	assert_int_equal(watch_header(path), WATCH_ALIEN);
	close(fd);
}

/* The mark */

static void mark(void)
{
	watch_mark(watch);
	assert_false(watch_changed(watch));
}

/* What was written between the check and the mark is not marked. */
static void test_marked_as_seen(void **state)
{
	(void)state;
	/* Nothing was read without a mark: it is now. */
	assert_true(watch_changed(watch));
	watch_mark_seen(watch);
	assert_false(watch_changed(watch));
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(watch_changed(watch));
	watch_mark_seen(watch);
	assert_false(watch_changed(watch));
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(watch_changed(watch));
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	watch_mark_seen(watch);
	assert_true(watch_changed(watch));
	watch_mark_seen(watch);
	assert_false(watch_changed(watch));
}

static void test_changed(void **state)
{
	(void)state;
	assert_true(watch_changed(watch));
	mark();
	sqlite_run(path, "SELECT * FROM t");
	assert_false(watch_changed(watch));
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(watch_changed(watch));
	assert_true(watch_changed(watch));
	mark();
	watch_unmark(watch);
	assert_true(watch_changed(watch));
	mark();
	assert_int_equal(truncate(path, 0), 0);
	assert_true(watch_changed(watch));
	/* What is no database has no mark: it is looked at each time. */
	watch_mark(watch);
	assert_true(watch_changed(watch));
	assert_int_equal(unlink(path), 0);
	watch_mark(watch);
	assert_true(watch_changed(watch));
}

/* Copies the file's times, so that nothing but the content tells it from another. */
static void set_times(const char *name, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static void test_counter(void **state)
{
	struct stat before;

	(void)state;
	mark();
	assert_int_equal(stat(path, &before), 0);
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	set_times(path, &before);
	assert_true(watch_changed(watch));
}

/* A commit of the mark's own time is seen by its counter, however late that is. */
static void test_late_look(void **state)
{
	struct stat before;

	(void)state;
	watch_set_settle_ms(watch, 0);
	watch_mark(watch);
	assert_int_equal(stat(path, &before), 0);
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	set_times(path, &before);
	assert_true(watch_changed(watch));
	assert_true(watch_changed(watch));
}

/* The counter of a file that rests is not read, but whatever a commit leaves is seen. */
static void test_rest(void **state)
{
	struct stat before;

	(void)state;
	watch_set_settle_ms(watch, 0);
	mark();
	assert_int_equal(stat(path, &before), 0);
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(watch_changed(watch));
	set_times(path, &before);
	assert_false(watch_changed(watch));
	sqlite_run(path, "INSERT INTO t VALUES (2)");
	assert_true(watch_changed(watch));
	mark();
	assert_int_equal(truncate(path, before.st_size + 1), 0);
	assert_true(watch_changed(watch));
	mark();
	assert_int_equal(unlink(path), 0);
	assert_true(watch_changed(watch));
}

static void assert_replacement_is_seen(void)
{
	char other[128];
	struct stat before;

	mark();
	assert_int_equal(stat(path, &before), 0);
	/* The same counter, size and time: it is still another file. */
	strcpy(other, folder_file(&folder, "other.db"));
	sqlite_run(other, "CREATE TABLE u (a)");
	set_times(other, &before);
	assert_int_equal(rename(other, path), 0);
	assert_true(watch_changed(watch));
}

static void test_replaced(void **state)
{
	(void)state;
	assert_replacement_is_seen();
	watch_set_settle_ms(watch, 0);
	assert_replacement_is_seen();
}

static void test_written_without_counter(void **state)
{
	struct stat before;
	struct timespec times[2];
	int fd;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	times[0] = before.st_atim;
	times[1] = before.st_mtim;
	mark();
	/* A transaction that was rolled back and written again can bear the same counter. */
	times[1].tv_nsec ^= 1;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_true(watch_changed(watch));
	mark();
	times[1].tv_sec++;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_true(watch_changed(watch));
	mark();
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "", 1), 1);
	close(fd);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_true(watch_changed(watch));
}

/* inotify */

/* Has something happened, and is it worth a look? */
static bool drain(void)
{
	struct pollfd ready = { .fd = watch_fd(watch), .events = POLLIN };
	bool worth;

	assert_int_equal(poll(&ready, 1, 0), 1);
	worth = watch_drain(watch);
	assert_int_equal(poll(&ready, 1, 0), 0);
	return worth;
}

static void assert_silent(void)
{
	struct pollfd ready = { .fd = watch_fd(watch), .events = POLLIN };

	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_false(watch_drain(watch));
}

static void test_commit_is_noticed(void **state)
{
	(void)state;
	assert_silent();
	for (int i = 0; i < 3; i++) {
		sqlite_run(path, "INSERT INTO t VALUES (1)");
		assert_true(drain());
		assert_silent();
	}
	/* Our own looks do not wake us. */
	close(open(path, O_RDONLY | O_CLOEXEC));
	assert_silent();
}

static void test_transaction_is_waited_for(void **state)
{
	sqlite3 *host = sqlite_open(path);

	(void)state;
	sqlite_exec(host, "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN;"
			  "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
			  " INSERT INTO t SELECT hex(randomblob(50)) FROM n");
	/* Pages were written already, but who reads now only waits for the lock. */
	assert_false(drain());
	sqlite_exec(host, "COMMIT");
	assert_true(drain());
	/* An empty journal is no transaction. */
	folder_write(&folder, "inbound.db-journal", "");
	assert_true(drain());
	sqlite3_close(host);
}

static void test_replacement_is_noticed(void **state)
{
	char other[128];

	(void)state;
	strcpy(other, folder_file(&folder, "other.db"));
	sqlite_run(other, "CREATE TABLE u (a)");
	assert_false(drain());
	assert_int_equal(rename(other, path), 0);
	assert_true(drain());
	assert_int_equal(unlink(path), 0);
	assert_true(drain());
	sqlite_run(path, "CREATE TABLE u (a)");
	assert_true(drain());
}

static void test_others_are_not(void **state)
{
	static const char *const names[] = { "outbound.db", "inbound.db-wal", "inbound.db2",
					     "inbound.d",   "a-inbound.db",   ".heartbeat" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		folder_write(&folder, names[i], "text");
		assert_false(drain());
	}
	/* Many at once: the read goes on until nothing is left. */
	for (int i = 0; i < 500; i++)
		folder_write(&folder, names[i % 6], "text");
	assert_false(drain());
}

static void test_file_that_comes_later(void **state)
{
	(void)state;
	watch_free(steal_ptr(watch));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(watch_new(path, true, &watch, NULL), 0);
	assert_true(watch_changed(watch));
	sqlite_run(path, "CREATE TABLE t (a)");
	assert_true(drain());
}

static void test_relative_path(void **state)
{
	cleanup_close int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	watch_free(steal_ptr(watch));
	assert_int_equal(chdir(folder.path), 0);
	assert_int_equal(watch_new("inbound.db", true, &watch, NULL), 0);
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(drain());
	assert_int_equal(fchdir(old), 0);
}

static void test_without_inotify(void **state)
{
	static struct capture capture;
	struct watch *other = NULL;
	char expected[512];

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(watch_new(path, false, &other, NULL), 0);
	assert_string_equal(capture_stop(&capture), "");
	assert_int_equal(watch_fd(other), -1);
	assert_false(watch_drain(other));
	watch_mark(other);
	assert_false(watch_changed(other));
	sqlite_run(path, "INSERT INTO t VALUES (1)");
	assert_true(watch_changed(other));
	watch_free(other);
	/* There is nothing that could be watched: said, and no error. */
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(watch_new(folder_file(&folder, "no/inbound.db"), true, &other, NULL), 0);
	(void)snprintf(expected, sizeof(expected),
		       "agent-runner: warning: cannot watch %s/no/inbound.db with inotify (No such "
		       "file or directory): new messages are noticed by polling\n",
		       folder.path);
	assert_string_equal(capture_stop(&capture), expected);
	assert_int_equal(watch_fd(other), -1);
	watch_free(other);
	watch_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_closed_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marked_as_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_without_counter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transaction_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replacement_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_are_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_that_comes_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_inotify, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
