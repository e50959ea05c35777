/* SPDX-License-Identifier: MIT */
/* The states in which the host, or a mount, can leave the file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/store/inbound-look.h"
#include "tests/runner/store/inbound.h"

/* The look is refused; text is what err says behind the path. */
static void assert_refused(int code, const char *text)
{
	struct inbound *inbound = NULL;
	struct err err = { "" };

	assert_int_equal(inbound_open(path(), &inbound, &err), code);
	assert_null(inbound);
	assert_memory_equal(err.text, path(), strlen(path()));
	assert_string_equal(err.text + strlen(path()), text);
}

/* The file */

static void test_no_database(void **state)
{
	(void)state;
	assert_refused(-EAGAIN, " is missing: the host has to create it");
	folder_write(&folder, "inbound.db", "");
	assert_refused(-EAGAIN, " is empty: the host has to create its tables");
	folder_write(&folder, "inbound.db", "SQLite format 3");
	assert_refused(-EBADMSG, " is not a readable SQLite database");
	folder_write(&folder, "inbound.db", "Not SQLite, but of a size that a header could have.");
	assert_refused(-EBADMSG, " is not a readable SQLite database");
	assert_int_equal(unlink(path()), 0);
	folder_mkdir(&folder, "inbound.db");
	assert_refused(-EBADMSG, " is not a readable SQLite database");
	assert_int_equal(rmdir(path()), 0);
	assert_int_equal(symlink("inbound.db", path()), 0);
	assert_refused(-EAGAIN, " cannot be read: Too many levels of symbolic links");
	assert_int_equal(unlink(path()), 0);
	assert_int_equal(mkfifo(path(), 0600), 0);
	assert_refused(-EBADMSG, " is not a readable SQLite database");
	assert_int_equal(unlink(path()), 0);
	sqlite_run(path(), "CREATE TABLE other (a)");
	assert_refused(-EAGAIN, ": there is no table messages_in: the host has to make it");
}

static void test_write_ahead_log(void **state)
{
	(void)state;
	sqlite_run(path(), "PRAGMA journal_mode=WAL");
	assert_refused(-ENOTSUP,
		       " is in WAL mode, whose index cannot be shared with a container: the host "
		       "must run \"PRAGMA journal_mode=DELETE\" on it");
	sqlite_run(path(), "PRAGMA journal_mode=DELETE");
	inbound_close(look());
}

/* Rows that fill pages, so that a part of the file can be missing. */
static void add_many_rows(void)
{
	sqlite_run(path(), "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
			   " INSERT INTO messages_in (id, seq, kind, timestamp, content)"
			   " SELECT 'in-' || i, 2 * i, 'chat', '2026-02-04', hex(randomblob(50))"
			   " FROM n");
}

static void test_damaged(void **state)
{
	cleanup_close int fd = -1;
	char zeros[4096] = "";
	struct inbound *inbound;
	struct err err = { "" };

	(void)state;
	add_many_rows();
	/* Noticed on the way: a page of rows that is gone. */
	fd = open(path(), O_WRONLY | O_CLOEXEC);
	for (off_t page = 12; page < 16; page++)
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), page * 4096), sizeof(zeros));
	inbound = look();
	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	assert_int_equal(inbound_due_next(inbound, &(struct inbound_due){ 0 }, &err), -EBADMSG);
	assert_string_equal(err.text, "database disk image is malformed (SQLite 11)");
	inbound_close(inbound);
	assert_int_equal(ftruncate(fd, 12 * 4096), 0);
	assert_refused(-EBADMSG, ": database disk image is malformed (SQLite 11)");
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_refused(-EBADMSG, ": database disk image is malformed (SQLite 11)");
	assert_int_equal(ftruncate(fd, 27), 0);
	assert_refused(-EBADMSG, " is not a readable SQLite database");
}

static void test_locked(void **state)
{
	sqlite3 *host = sqlite_open(path());
	struct inbound *inbound;
	int64_t seq;

	(void)state;
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	assert_refused(-EAGAIN, ": database is locked (SQLite 5)");
	sqlite_exec(host, "COMMIT");
	/* What one look reads is of one moment: until it ends, the host cannot commit. */
	inbound = look();
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	sqlite_exec(host, "BEGIN; INSERT INTO messages_in (id, seq, kind, timestamp, content)"
			  " VALUES ('in-1', 2, 'chat', '', '')");
	assert_int_equal(sqlite3_exec(host, "COMMIT", NULL, NULL, NULL), SQLITE_BUSY);
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 0);
	inbound_close(inbound);
	sqlite_exec(host, "COMMIT");
	sqlite3_close(host);
	inbound = look();
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 2);
	inbound_close(inbound);
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

static void test_hot_journal(void **state)
{
	sqlite3 *host;

	(void)state;
	add_many_rows();
	copy("inbound.db", "host.db");
	host = sqlite_open(folder_file(&folder, "host.db"));
	sqlite_exec(host, "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN;"
			  "UPDATE messages_in SET content = hex(randomblob(50))");
	copy("host.db", "inbound.db");
	copy("host.db-journal", "inbound.db-journal");
	/* Only the host may play it back; a reader that did so would take away its transaction. */
	assert_refused(-EAGAIN, ": attempt to write a readonly database (SQLite 776)");
	assert_int_equal(access(folder_file(&folder, "inbound.db-journal"), F_OK), 0);
	sqlite3_close(host);
}

static void test_replaced(void **state)
{
	struct inbound *inbound;
	int64_t seq;
	char old[256];

	(void)state;
	add_many_rows();
	inbound = look();
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	strcpy(old, path());
	sqlite_run(folder_file(&folder, "new.db"), schema_inbound);
	assert_int_equal(rename(folder_file(&folder, "new.db"), old), 0);
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 1000);
	inbound_close(inbound);
	inbound = look();
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 0);
	inbound_close(inbound);
}

/* Looks one after the other */

/* How often this process has the file open. */
static int count_open(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(fds);
	for (struct dirent *fd; (fd = readdir(fds));) {
		char target[256];
		ssize_t len = readlinkat(dirfd(fds), fd->d_name, target, sizeof(target) - 1);

		if (len < 0)
			continue;
		target[len] = '\0';
		count += strcmp(target, path()) == 0;
	}
	(void)closedir(fds);
	return count;
}

/* Does this look go by the statement that an earlier one has compiled? */
static bool is_kept(const struct inbound *inbound)
{
	sqlite3_stmt *s = NULL;

	while ((s = sqlite3_next_stmt(db_handle(inbound_db(inbound)), s)))
		if (strstr(sqlite3_sql(s), "max("))
			return true;
	return false;
}

/* A look that has asked for the largest seq, and rests. */
static struct inbound *rested(void)
{
	int before = count_open();
	struct inbound *inbound = look();
	int64_t seq;

	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(count_open(), before + 1);
	inbound_rest(&inbound);
	assert_non_null(inbound);
	assert_int_equal(count_open(), before);
	return inbound;
}

#define INSERT(seq_)                                                  \
	"INSERT INTO messages_in (id, seq, kind, timestamp, content)" \
	" VALUES ('in-" #seq_ "', " #seq_ ", 'chat', '', '');"

/* What the host does between two looks, in its file or in another that it puts in its place. */
static void test_resume(void **state)
{
	static const struct {
		const char *schema; /* of the other file; NULL: it stays */
		const char *sql;
		int64_t seq;
		bool keeps;
	} rows[] = {
		{ NULL, "", 2, true },
		{ NULL, INSERT(4), 4, true },
		{ NULL, "DELETE FROM messages_in", 0, true },
		{ NULL, "ALTER TABLE messages_in ADD COLUMN more TEXT", 2, false },
		{ NULL, "CREATE INDEX more ON messages_in (seq)", 2, false },
		{ NULL, "CREATE TABLE more (a); DROP TABLE more", 2, true },
		{ NULL, "DROP TABLE destinations", 2, false },
		{ schema_inbound, INSERT(6), 6, true },
		{ "PRAGMA encoding = 'UTF-16'; CREATE TABLE messages_in"
		  " (id, kind, timestamp, content, seq)",
		  INSERT(6), 6, false },
		/* As many changes of the schema, so the same cookie. */
		{ "CREATE TABLE messages_in (id, kind, timestamp, content, seq);"
		  "CREATE TABLE a (a); CREATE TABLE b (a); CREATE TABLE c (a)",
		  INSERT(8), 8, false },
	};
	char old[256];

	(void)state;
	strcpy(old, path());
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inbound *inbound;
		int64_t seq;

		(void)unlink(old);
		run(schema_inbound);
		run(INSERT(2));
		inbound = rested();
		if (rows[i].schema) {
			sqlite_run(folder_file(&folder, "new.db"), rows[i].schema);
			assert_int_equal(rename(folder_file(&folder, "new.db"), old), 0);
		}
		run(rows[i].sql);
		for (int n = 0; n < 2; n++) {
			assert_int_equal(inbound_resume(old, &inbound, NULL), 0);
			assert_int_equal(is_kept(inbound), n > 0 || rows[i].keeps);
			assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
			assert_int_equal(seq, rows[i].seq);
			inbound_rest(&inbound);
			assert_int_equal(count_open(), 0);
		}
		inbound_close(inbound);
	}
}

/* The name leads to another file, by a link that the host has changed. */
static void test_resume_by_a_link(void **state)
{
	char link_path[256], next[256], by_folder[300];

	(void)state;
	strcpy(link_path, path());
	strcpy(next, folder_file(&folder, "next"));
	for (int i = 0; i < 2; i++) {
		static const char *const names[][2] = { { "a.db", "b.db" }, { "a", "b" } };
		struct inbound *inbound = NULL;
		int64_t seq;

		for (int n = 0; n < 2; n++) {
			if (i == 1)
				folder_mkdir(&folder, names[i][n]);
			(void)snprintf(by_folder, sizeof(by_folder), "%s%s",
				       folder_file(&folder, names[i][n]), i ? "/inbound.db" : "");
			sqlite_run(by_folder, schema_inbound);
			sqlite_run(by_folder, n ? INSERT(6) : INSERT(2));
		}
		(void)unlink(link_path);
		assert_int_equal(symlink(names[i][0], link_path), 0);
		(void)snprintf(by_folder, sizeof(by_folder), "%s%s", link_path,
			       i ? "/inbound.db" : "");
		for (int n = 0; n < 2; n++) {
			assert_int_equal(inbound_resume(by_folder, &inbound, NULL), 0);
			assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
			assert_int_equal(seq, n ? 6 : 2);
			inbound_rest(&inbound);
			assert_non_null(inbound);
			assert_int_equal(symlink(names[i][1], next), 0);
			assert_int_equal(rename(next, link_path), 0);
		}
		inbound_close(inbound);
	}
}

/* Statements are made for what the look saw, not for what the host made a moment later. */
static void test_resume_after_a_race(void **state)
{
	struct inbound *inbound;
	struct inbound_destinations destinations;
	sqlite3 *host;

	(void)state;
	run("DROP TABLE destinations");
	inbound = look();
	host = sqlite_open(path());
	/* The look has the lock by now. */
	assert_int_equal(sqlite3_exec(host, "CREATE TABLE destinations (name)", NULL, NULL, NULL),
			 SQLITE_BUSY);
	assert_int_equal(inbound_destinations(inbound, &destinations, NULL), 0);
	assert_int_equal(destinations.count, 0);
	inbound_rest(&inbound);
	sqlite_exec(host,
		    "CREATE TABLE destinations (name); INSERT INTO destinations VALUES ('x')");
	sqlite3_close(host);
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	assert_int_equal(inbound_destinations(inbound, &destinations, NULL), 0);
	assert_int_equal(destinations.count, 1);
	inbound_destinations_deinit(&destinations);
	/* A transaction that SQLite has ended by itself: what is read then is of another moment. */
	assert_int_equal(db_exec(inbound_db(inbound), "ROLLBACK", NULL), 0);
	inbound_rest(&inbound);
	assert_null(inbound);
}

/* A log that was left beside a database without one. */
static void test_a_log_that_is_left(void **state)
{
	struct inbound *inbound = NULL;
	int64_t seq;

	(void)state;
	run(INSERT(2));
	folder_write(&folder, "inbound.db-wal", "left by somebody");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
		assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
		assert_int_equal(seq, 2);
		inbound_rest(&inbound);
		assert_non_null(inbound);
	}
	inbound_close(inbound);
}

/* As inbound_open() refuses it, and nothing is left. */
static void test_resume_refused(void **state)
{
	static const struct {
		const char *sql; /* NULL: the file is gone */
		int code;
		const char *text;
	} rows[] = {
		{ NULL, -EAGAIN, " is missing: the host has to create it" },
		{ "PRAGMA journal_mode=WAL", -ENOTSUP, " is in WAL mode" },
		{ "DROP TABLE messages_in", -EAGAIN, ": there is no table messages_in" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inbound *inbound;
		struct err err = { "" };

		(void)unlink(path());
		run(schema_inbound);
		inbound = rested();
		if (rows[i].sql)
			run(rows[i].sql);
		else
			assert_int_equal(unlink(path()), 0);
		assert_int_equal(inbound_resume(path(), &inbound, &err), rows[i].code);
		assert_null(inbound);
		assert_memory_equal(err.text, path(), strlen(path()));
		assert_memory_equal(err.text + strlen(path()), rows[i].text, strlen(rows[i].text));
		assert_int_equal(count_open(), 0);
	}
}

static void test_resume_locked(void **state)
{
	struct inbound *inbound = rested();
	sqlite3 *host = sqlite_open(path());
	struct err err = { "" };
	int64_t seq;

	(void)state;
	sqlite_exec(host, "BEGIN EXCLUSIVE");
	assert_int_equal(inbound_resume(path(), &inbound, &err), -EAGAIN);
	assert_null(inbound);
	assert_string_equal(err.text + strlen(path()), ": database is locked (SQLite 5)");
	sqlite_exec(host, INSERT(2) "COMMIT");
	/* A look that goes on locks as any other does, one that rests does not. */
	inbound = rested();
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	sqlite_exec(host, "BEGIN;" INSERT(4));
	assert_int_equal(sqlite3_exec(host, "COMMIT", NULL, NULL, NULL), SQLITE_BUSY);
	inbound_rest(&inbound);
	sqlite_exec(host, "COMMIT");
	sqlite3_close(host);
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	assert_int_equal(inbound_max_seq(inbound, &seq, NULL), 0);
	assert_int_equal(seq, 4);
	inbound_close(inbound);
}

/* A page that was read in an earlier look is read again, whatever its file says of itself. */
static void test_resume_reads_anew(void **state)
{
	struct inbound *inbound;
	cleanup_free char *before = NULL;
	cleanup_close int fd = -1;
	struct inbound_row row;
	char *place;
	size_t len;

	(void)state;
	run(INSERT(2));
	inbound = rested();
	assert_int_equal(fd_read_file(path(), 1 << 20, &before, &len, NULL), 0);
	place = memmem(before, len, "in-2", 4);
	assert_non_null(place);
	fd = open(path(), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "in-7", 4, place - before), 4);
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	assert_true(is_kept(inbound));
	assert_int_equal(inbound_read_row(inbound, 1, &row, NULL), 0);
	assert_string_equal(row.id, "in-7");
	inbound_row_deinit(&row);
	inbound_close(inbound);
}

/* A walk that was left in its middle, and a schema that is too long to be kept. */
static void test_rest(void **state)
{
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;
	struct inbound *inbound;
	struct inbound_due row;

	(void)state;
	run(INSERT(2) INSERT(4));
	inbound = look();
	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	assert_int_equal(inbound_due_next(inbound, &row, NULL), 1);
	inbound_rest(&inbound);
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	assert_int_equal(inbound_due_start(inbound, NULL), 0);
	assert_int_equal(inbound_due_next(inbound, &row, NULL), 1);
	assert_string_equal(row.id, "in-2");
	inbound_close(inbound);
	strbuf_puts(&sql, "CREATE TABLE long (a DEFAULT '");
	for (int i = 0; i < 70 * 1024; i++)
		strbuf_putc(&sql, 'x');
	strbuf_puts(&sql, "')");
	run(sql.data);
	inbound = look();
	inbound_rest(&inbound);
	assert_null(inbound);
	assert_int_equal(inbound_resume(path(), &inbound, NULL), 0);
	inbound_close(inbound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_ahead_log, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_hot_journal, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_by_a_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_after_a_race, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_a_log_that_is_left, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_resume_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_locked, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_resume_reads_anew, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup_schema, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
