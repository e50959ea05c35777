/* SPDX-License-Identifier: MIT */
#include "runner/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "tests/folder.h"
#include "tests/forked.h"
#include "tests/sqlite.h"
#include "tests/test.h"

enum query { QUERY_INSERT, QUERY_SELECT, QUERY_BROKEN, QUERY_ENDLESS, QUERIES };

static const char *const sql[] = {
	[QUERY_INSERT] = "INSERT INTO t (a, b) VALUES (:a, :b)",
	[QUERY_SELECT] = "SELECT a, b FROM t WHERE a >= :from ORDER BY a",
	[QUERY_BROKEN] = "SELECT absent FROM t",
	[QUERY_ENDLESS] = ("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT 1 FROM c)"
			   " SELECT max(n) FROM c"),
};
TABLE_COVERS(sql, QUERIES);

static const struct db_options options[] = {
	[DB_READ] = { .mode = DB_READ, .sql = sql, .sql_count = QUERIES },
	[DB_WRITE] = { .mode = DB_WRITE, .sql = sql, .sql_count = QUERIES },
};

static struct folder folder;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	sqlite_run(folder_file(&folder, "a.db"), "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static struct db *db_of(const char *name, enum db_mode mode)
{
	struct err err = { "" };
	struct db *db = NULL;

	if (db_open(folder_file(&folder, name), &options[mode], &db, &err) < 0)
		fail_msg("%s", err.text);
	return db;
}

/* What the test expects, with %s for the path of the file. */
static void assert_error(const struct err *err, const char *name, const char *format)
{
	char expected[ERR_TEXT_MAX];

	(void)snprintf(expected, sizeof(expected), "%s%s",
		       format[0] == ':' ? folder_file(&folder, name) : "", format);
	assert_string_equal(err->text, expected);
}

static void test_statements(void **state)
{
	struct db *db = db_of("a.db", DB_WRITE);
	sqlite3_stmt *s, *again;

	(void)state;
	for (int64_t a = 1; a <= 3; a++) {
		assert_int_equal(db_statement(db, QUERY_INSERT, &s, NULL), 0);
		db_bind_int(s, ":a", a);
		if (a != 2)
			db_bind_text(s, ":b", a == 1 ? "one" : NULL);
		assert_int_equal(db_run(db, s, NULL), 0);
	}
	/* What was bound before does not stay: b of row 2 is null. */
	assert_int_equal(db_statement(db, QUERY_SELECT, &s, NULL), 0);
	db_bind_int(s, ":from", 1);
	assert_int_equal(db_step(db, s, NULL), 1);
	assert_string_equal((const char *)sqlite3_column_text(s, 1), "one");
	assert_int_equal(db_step(db, s, NULL), 1);
	assert_int_equal(sqlite3_column_type(s, 1), SQLITE_NULL);
	/* Asked for again in the midst of it: it starts anew. */
	assert_int_equal(db_statement(db, QUERY_SELECT, &again, NULL), 0);
	assert_ptr_equal(again, s);
	db_bind_int(s, ":from", 3);
	assert_int_equal(db_step(db, s, NULL), 1);
	assert_int_equal(sqlite3_column_int(s, 0), 3);
	assert_int_equal(db_step(db, s, NULL), 0);
	/* A statement that is done holds no lock. */
	assert_int_equal(sqlite3_stmt_busy(s), 0);
	db_close(db);
}

static void test_modes(void **state)
{
	static struct sqlite_result result;
	struct db *db = db_of("new.db", DB_WRITE);
	struct err err = { "" };

	(void)state;
	assert_int_equal(db_exec(db, "CREATE TABLE t (a, b)", NULL), 0);
	db_close(db);
	assert_string_equal(sqlite_query(folder_file(&folder, "new.db"),
					 "PRAGMA journal_mode; SELECT name FROM sqlite_schema",
					 &result),
			    "delete\nt\n");
	/* A write-ahead log is turned back, or the host could not read it. */
	sqlite_run(folder_file(&folder, "new.db"), "PRAGMA journal_mode=WAL");
	db_close(db_of("new.db", DB_WRITE));
	assert_string_equal(
		sqlite_query(folder_file(&folder, "new.db"), "PRAGMA journal_mode", &result),
		"delete\n");
	db = db_of("a.db", DB_READ);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES (1, 2)", &err), -EROFS);
	assert_string_equal(err.text, "attempt to write a readonly database (SQLite 8)");
	db_close(db);
	assert_int_equal(access(folder_file(&folder, "a.db-journal"), F_OK), -1);
}

static void test_missing(void **state)
{
	struct db *db = NULL;
	struct err err;

	(void)state;
	assert_int_equal(db_open(folder_file(&folder, "no.db"), &options[DB_READ], &db, &err),
			 -ENOENT);
	assert_error(&err, "no.db",
		     ": unable to open database file: No such file or directory (SQLite 14)");
	/* Not created by that. */
	assert_int_equal(access(folder_file(&folder, "no.db"), F_OK), -1);
	assert_int_equal(db_open(folder_file(&folder, "no/no.db"), &options[DB_WRITE], &db, &err),
			 -ENOENT);
	assert_error(&err, "no/no.db",
		     ": unable to open database file: No such file or directory (SQLite 14)");
	folder_mkdir(&folder, "folder");
	assert_int_equal(db_open(folder_file(&folder, "folder"), &options[DB_WRITE], &db, &err),
			 -ENOENT);
	assert_error(&err, "folder", ": unable to open database file: Is a directory (SQLite 14)");
	assert_null(db);
}

static sqlite3_vfs *real_vfs;

/* A disk without room for one more file, as SQLite sees it after its second try. */
static int open_no_journal(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
			   int *out)
{
	(void)vfs;
	if (!(flags & SQLITE_OPEN_MAIN_JOURNAL))
		return real_vfs->xOpen(real_vfs, name, file, flags, out);
	file->pMethods = NULL;
	errno = ENOENT;
	return SQLITE_CANTOPEN;
}

static void test_no_journal(void **state)
{
	sqlite3_vfs vfs;
	struct db *db;
	struct err err;

	(void)state;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "no-journal";
	vfs.xOpen = open_no_journal;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
	db = db_of("a.db", DB_WRITE);
	assert_int_equal(sqlite3_vfs_unregister(&vfs), SQLITE_OK);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES (1, 2)", &err), -ENOENT);
	assert_string_equal(err.text, "unable to open database file: its journal cannot be made, "
				      "the disk may be full or read-only (SQLite 14)");
	db_close(db);
}

static void test_damaged(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct db *db = NULL;
	struct err err;

	(void)state;
	for (int i = 0; i < 200; i++)
		strbuf_puts(&text, "no database ");
	folder_write(&folder, "words.db", text.data);
	assert_int_equal(db_open(folder_file(&folder, "words.db"), &options[DB_WRITE], &db, &err),
			 -EBADMSG);
	assert_error(&err, "words.db", ": file is not a database (SQLite 26)");
	sqlite_run(folder_file(&folder, "a.db"),
		   "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
		   " FROM n WHERE i < 999)"
		   " INSERT INTO t SELECT i, hex(randomblob(50)) FROM n");
	assert_int_equal(truncate(folder_file(&folder, "a.db"), 2 * 4096), 0);
	db = db_of("a.db", DB_READ);
	assert_int_equal(db_exec(db, "SELECT sum(length(b)) FROM t", &err), -EBADMSG);
	assert_string_equal(err.text, "database disk image is malformed (SQLite 11)");
	db_close(db);
}

/* In place of a file whose pages lead in a circle. What is left afterwards is as good as nothing. */
static void test_endless(void **state)
{
	static const char text[] = "reading it does not end: it is damaged";
	struct db *db = db_of("a.db", DB_READ);
	struct err err = { "" };
	sqlite3_stmt *s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_statement(db, QUERY_ENDLESS, &s, NULL), 0);
		assert_int_equal(db_step(db, s, &err), -EBADMSG);
		assert_string_equal(err.text, text);
	}
	db_close(db);
}

static void test_locked(void **state)
{
	sqlite3 *other = sqlite_open(folder_file(&folder, "a.db"));
	struct db *db = db_of("a.db", DB_WRITE);
	struct err err;

	(void)state;
	sqlite_exec(other, "BEGIN EXCLUSIVE");
	assert_int_equal(db_exec(db, "SELECT * FROM t", &err), -EAGAIN);
	assert_string_equal(err.text, "database is locked (SQLite 5)");
	assert_int_equal(db_has(db, "t", NULL, &err), 1);
	db_close(db);
	db = db_of("a.db", DB_READ);
	/* Whether there is such a table is not known: that is no "no". */
	assert_int_equal(db_has(db, "t", NULL, &err), -EAGAIN);
	assert_string_equal(err.text, "database is locked (SQLite 5)");
	sqlite_exec(other, "COMMIT");
	assert_int_equal(db_has(db, "t", NULL, NULL), 1);
	assert_int_equal(db_has(db, "t", "b", NULL), 1);
	assert_int_equal(db_has(db, "t", "c", NULL), 0);
	assert_int_equal(db_has(db, "u", "b", NULL), 0);
	assert_int_equal(db_has(db, "u", NULL, NULL), 0);
	db_close(db);
	sqlite3_close(other);
}

/* As long as it is told, and not a moment less. */
static void test_waiting_for_a_lock(void **state)
{
	sqlite3 *other = sqlite_open(folder_file(&folder, "a.db"));
	struct db *db = db_of("a.db", DB_WRITE);
	int64_t start_ms;

	(void)state;
	sqlite_exec(other, "BEGIN EXCLUSIVE");
	for (int ms = 0; ms <= 60; ms += 30) {
		db_wait_for(db, ms);
		start_ms = clock_monotonic_ms();
		assert_int_equal(db_exec(db, "DELETE FROM t", NULL), -EAGAIN);
		assert_true(clock_monotonic_ms() - start_ms >= ms);
	}
	sqlite_exec(other, "COMMIT");
	assert_int_equal(db_exec(db, "DELETE FROM t", NULL), 0);
	sqlite3_close(other);
	db_close(db);
}

static void copy(const char *from, const char *to)
{
	cleanup_free char *text = NULL;
	cleanup_fclose FILE *file = NULL;
	size_t len;

	assert_int_equal(fd_read_file(folder_file(&folder, from), 1 << 20, &text, &len, NULL), 0);
	file = fopen(folder_file(&folder, to), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
}

/* What a host that was killed in the midst of a transaction leaves behind. */
static void make_hot_journal(const char *name, const char *journal)
{
	sqlite3 *host = sqlite_open(folder_file(&folder, "a.db"));

	sqlite_exec(host, "INSERT INTO t VALUES (1, 'kept');"
			  "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN;"
			  "WITH n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
			  " INSERT INTO t SELECT i, hex(randomblob(50)) FROM n");
	copy("a.db", name);
	copy("a.db-journal", journal);
	sqlite3_close(host);
}

static void test_hot_journal(void **state)
{
	static struct sqlite_result result;
	struct db *db = NULL;
	struct err err;

	(void)state;
	make_hot_journal("hot.db", "hot.db-journal");
	/* A reader neither plays it back nor looks past it. */
	db = db_of("hot.db", DB_READ);
	assert_int_equal(db_exec(db, "SELECT * FROM t", &err), -EAGAIN);
	assert_string_equal(err.text, "attempt to write a readonly database (SQLite 776)");
	db_close(db);
	assert_int_equal(access(folder_file(&folder, "hot.db-journal"), F_OK), 0);
	/* The owner does, at once. */
	db_close(db_of("hot.db", DB_WRITE));
	assert_int_equal(access(folder_file(&folder, "hot.db-journal"), F_OK), -1);
	assert_string_equal(
		sqlite_query(folder_file(&folder, "hot.db"), "SELECT a, b FROM t", &result),
		"1|kept\n");
}

static void test_other_failures(void **state)
{
	static const struct {
		const char *sql;
		int code;
		const char *error;
	} rows[] = {
		{ "INSERT INTO t (a) VALUES (1), (1)", -EEXIST,
		  "UNIQUE constraint failed: t.a (SQLite 1555)" },
		{ "CREATE TABLE u (a UNIQUE, b NOT NULL); INSERT INTO u VALUES (1, 1), (1, 2)",
		  -EEXIST, "UNIQUE constraint failed: u.a (SQLite 2067)" },
		{ "INSERT INTO u VALUES (1, NULL)", -EIO,
		  "NOT NULL constraint failed: u.b (SQLite 1299)" },
		{ "SELECT", -EIO, "incomplete input (SQLite 1)" },
		{ "PRAGMA max_page_count=3; INSERT INTO t VALUES (9, zeroblob(100000))", -ENOSPC,
		  "database or disk is full (SQLite 13)" },
	};
	struct db *db = db_of("a.db", DB_WRITE);
	struct err err;
	sqlite3_stmt *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(db_exec(db, rows[i].sql, &err), rows[i].code);
		assert_string_equal(err.text, rows[i].error);
	}
	assert_int_equal(db_statement(db, QUERY_BROKEN, &s, &err), -EIO);
	assert_string_equal(err.text, "no such column: absent (SQLite 1)");
	/* The file under it was replaced: what is written now would reach nobody. */
	assert_int_equal(unlink(folder_file(&folder, "a.db")), 0);
	assert_int_equal(db_exec(db, "DELETE FROM t", &err), -EAGAIN);
	assert_string_equal(err.text, "attempt to write a readonly database (SQLite 1032)");
	db_close(db);
}

/* Closes the folder and opens it again, for ever. */
static _Noreturn void flip(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		(void)chmod(folder.path, 0);
		(void)chmod(folder.path, 0700);
	}
}

/* As a user whom a mode keeps out. */
static int look_while_it_is_closed(void)
{
	struct db *db, *late = NULL;
	char path[256];
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s", folder_file(&folder, "a.db"));
	if (geteuid() == 0)
		CHECK(chown(path, 65534, 65534) == 0 && chown(folder.path, 65534, 65534) == 0 &&
		      setreuid(65534, 65534) == 0);
	CHECK(db_open(path, &options[DB_WRITE], &db, NULL) == 0);
	CHECK(chmod(folder.path, 0) == 0);
	CHECK(!db_has_moved(db));
	CHECK(chmod(folder.path, 0700) == 0);
	CHECK(!db_has_moved(db));
	pid = fork();
	if (pid == 0)
		flip();
	/* Opened in the midst of it, too. */
	for (int i = 0; i < 20000; i++) {
		CHECK(!db_has_moved(db));
		if (!late && db_open(path, &options[DB_WRITE], &late, NULL) < 0)
			late = NULL;
		CHECK(!late || !db_has_moved(late));
	}
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(chmod(folder.path, 0700) == 0);
	CHECK(late && !db_has_moved(late));
	CHECK(rename(path, folder_file(&folder, "b.db")) == 0);
	CHECK(db_has_moved(db) && db_has_moved(late));
	CHECK(close(open(folder_file(&folder, "a.db"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
	CHECK(db_has_moved(db) && db_has_moved(late));
	db_close(db);
	db_close(late);
	return 0;
}

/* A commit that cannot remove its journal has failed, and is not taken for done while that is closed. */
static int commit_while_it_is_closed(void)
{
	struct err err = { "" };
	char path[256];
	struct db *db;
	sqlite3_stmt *s;

	(void)snprintf(path, sizeof(path), "%s", folder_file(&folder, "a.db"));
	if (geteuid() == 0)
		CHECK(chown(path, 65534, 65534) == 0 && chown(folder.path, 65534, 65534) == 0 &&
		      setreuid(65534, 65534) == 0);
	CHECK(db_open(path, &options[DB_WRITE], &db, NULL) == 0);
	CHECK(db_exec(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 'x')", &err) == 0);
	CHECK(chmod(folder.path, 0) == 0);
	CHECK(db_exec(db, "COMMIT", &err) == -EAGAIN);
	(void)db_exec(db, "ROLLBACK", NULL);
	CHECK(db_statement(db, QUERY_SELECT, &s, &err) == 0);
	db_bind_int(s, ":from", 0);
	CHECK(db_step(db, s, &err) == -EAGAIN);
	CHECK(chmod(folder.path, 0700) == 0);
	CHECK(db_step(db, s, &err) == 0);
	CHECK(db_exec(db, "INSERT INTO t VALUES (1, 'x')", &err) == 0);
	CHECK(access(folder_file(&folder, "a.db-journal"), F_OK) < 0);
	db_close(db);
	return 0;
}

static void test_a_commit_in_a_closed_folder(void **state)
{
	(void)state;
	assert_int_equal(forked(commit_while_it_is_closed), 0);
}

static void test_a_closed_file_has_not_moved(void **state)
{
	(void)state;
	assert_int_equal(forked(look_while_it_is_closed), 0);
}

static int deny(void *userdata, int action, const char *a, const char *b, const char *c,
		const char *d)
{
	(void)userdata;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return action == SQLITE_DELETE ? SQLITE_DENY : SQLITE_OK;
}

static void test_denied(void **state)
{
	struct db *db = db_of("a.db", DB_WRITE);
	struct err err;

	(void)state;
	sqlite3_set_authorizer(db_handle(db), deny, NULL);
	assert_int_equal(db_exec(db, "DELETE FROM t", &err), -EACCES);
	assert_string_equal(err.text, "not authorized (SQLite 23)");
	db_close(db);
}

static void test_columns(void **state)
{
	static const struct {
		const char *value; /* SQL */
		const char *text;  /* NULL: null */
		size_t len;
	} rows[] = {
		{ "NULL", NULL, 0 },
		{ "''", "", 0 },
		{ "x''", "", 0 },
		{ "'caf\xc3\xa9'", "caf\xc3\xa9", 5 },
		{ "42", "42", 2 },
		{ "1.5", "1.5", 3 },
		{ "x'61ff62'", "a\xff\x62", 3 },
		{ "char(0)", "\xef\xbf\xbd", 3 },
		{ "CAST(x'610062006300' AS TEXT)",
		  "a\xef\xbf\xbd"
		  "b\xef\xbf\xbd"
		  "c\xef\xbf\xbd",
		  12 },
		{ "zeroblob(2)", "\xef\xbf\xbd\xef\xbf\xbd", 6 },
	};
	struct db *db = db_of("a.db", DB_WRITE);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf insert = STRBUF_EMPTY;
		cleanup_free char *text = NULL;
		size_t len = 99;
		sqlite3_stmt *s;

		strbuf_printf(&insert, "DELETE FROM t; INSERT INTO t VALUES (1, %s)",
			      rows[i].value);
		assert_int_equal(db_exec(db, insert.data, NULL), 0);
		assert_int_equal(db_statement(db, QUERY_SELECT, &s, NULL), 0);
		db_bind_int(s, ":from", 0);
		assert_int_equal(db_step(db, s, NULL), 1);
		assert_int_equal(db_column_dup(s, 1, &text, &len), 0);
		if (rows[i].text)
			assert_string_equal(text, rows[i].text);
		else
			assert_null(text);
		assert_int_equal(len, rows[i].len);
		/* The statement is in the way of the next change of the table. */
		sqlite3_reset(s);
	}
	db_close(db);
}

static void test_moved(void **state)
{
	struct db *db = db_of("a.db", DB_WRITE);
	char path[sizeof(folder.file)];

	(void)state;
	strcpy(path, folder_file(&folder, "a.db"));
	assert_false(db_has_moved(db));
	assert_int_equal(rename(path, folder_file(&folder, "b.db")), 0);
	assert_true(db_has_moved(db));
	sqlite_run(path, "CREATE TABLE other (x)");
	assert_true(db_has_moved(db));
	db_close(db);
}

static void test_leave_wal(void **state)
{
	struct db *db = db_of("a.db", DB_WRITE);

	(void)state;
	assert_int_equal(db_exec(db, "BEGIN IMMEDIATE", NULL), 0);
	assert_int_equal(db_leave_wal(db, NULL), 0);
	assert_int_equal(db_exec(db, "COMMIT", NULL), 0);
	sqlite_run(folder_file(&folder, "a.db"), "PRAGMA journal_mode=WAL");
	assert_int_equal(db_exec(db, "BEGIN IMMEDIATE", NULL), 0);
	assert_int_equal(db_leave_wal(db, NULL), 1);
	assert_int_equal(db_exec(db, "BEGIN IMMEDIATE", NULL), 0);
	assert_int_equal(db_leave_wal(db, NULL), 0);
	db_close(db);
	assert_int_equal(access(folder_file(&folder, "a.db-wal"), F_OK), -1);
}

static void test_null(void **state)
{
	(void)state;
	db_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_statements, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_for_a_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hot_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_closed_file_has_not_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_commit_in_a_closed_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_columns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave_wal, setup, teardown),
		cmocka_unit_test(test_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
