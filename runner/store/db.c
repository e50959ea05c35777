/* SPDX-License-Identifier: MIT */
#include "runner/store/db.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/store/db-file.h"

/*
 * What a connection that only reads may do, in steps of SQLite's virtual machine: many times what an
 * honest file of its size needs. In a damaged one pages can lead to each other so that a walk over
 * the table never ends, and who waits for it would wait for ever.
 */
#define DB_STEPS	  (4 * 1000 * 1000)
#define DB_STEPS_PER_BYTE 32
/* So many at once are counted. */
#define DB_STEPS_COUNTED 100000

/* From this much memory on SQLite, all connections together, uses pages again before it takes more. */
#define DB_HEAP_BYTES (512 * 1024)

/* Small allocations of one connection that go without malloc(3). */
#define DB_LOOKASIDE_BYTES 128
#define DB_LOOKASIDE_SLOTS 64

/*
 * After how many microseconds it is looked again for a lock. A host that has just removed its journal
 * keeps the lock until the file system has freed it, half a millisecond perhaps: so long often; then
 * after twice as many each time, up to what costs nothing.
 */
#define DB_TRY_FIRST_US 50
#define DB_TRY_OFTEN_US 1000
#define DB_TRY_MAX_US	5000

struct db {
	sqlite3 *handle;
	sqlite3_vfs vfs;
	char vfs_name[sizeof("agent-runner-") + 2 * sizeof(void *) + sizeof("0x")];
	int64_t steps; /* that are left */
	int busy_ms;   /* how long a statement waits for a lock */
	int waited_us; /* this time */
	int try_us;    /* until the next look */
	const char *const *sql;
	size_t sql_count;
	sqlite3_stmt **statements;
	ino_t file; /* the inode that is open, of a connection that writes */
};

/* Extended codes first: the primary code of a row further down would swallow them. */
static const struct {
	int code;
	int result;
} db_results[] = {
	{ SQLITE_READONLY_ROLLBACK, -EAGAIN }, /* hot journal, and we may not play it back */
	{ SQLITE_READONLY_DBMOVED, -EAGAIN },  /* the file was replaced */
	{ SQLITE_READONLY_CANTLOCK, -EAGAIN },
	{ SQLITE_READONLY_RECOVERY, -EAGAIN },
	{ SQLITE_READONLY_CANTINIT, -EAGAIN },
	{ SQLITE_IOERR_NOMEM, -ENOMEM },
	{ SQLITE_BUSY, -EAGAIN },
	{ SQLITE_LOCKED, -EAGAIN },
	{ SQLITE_PROTOCOL, -EAGAIN },
	{ SQLITE_SCHEMA, -EAGAIN },
	{ SQLITE_IOERR, -EAGAIN },
	{ SQLITE_CANTOPEN, -ENOENT },
	{ SQLITE_CORRUPT, -EBADMSG },
	{ SQLITE_NOTADB, -EBADMSG },
	{ SQLITE_INTERRUPT, -EBADMSG }, /* by db_count_steps() */
	{ SQLITE_FULL, -ENOSPC },
	{ SQLITE_READONLY, -EROFS },
	{ SQLITE_PERM, -EACCES },
	{ SQLITE_AUTH, -EACCES },
	{ SQLITE_CONSTRAINT_UNIQUE, -EEXIST },
	{ SQLITE_CONSTRAINT_PRIMARYKEY, -EEXIST },
	{ SQLITE_NOMEM, -ENOMEM },
};

static int db_map(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(db_results); i++)
		if (db_results[i].code == code || db_results[i].code == (code & 0xff))
			return db_results[i].result;
	return -EIO;
}

/*
 * Where a journal cannot be made, SQLite tries to open it for reading, and knows the errno of that:
 * "no such file", of a file that nobody misses.
 */
static const char *db_reason(struct db *db, int reason)
{
	const char *path = sqlite3_db_filename(db->handle, "main");

	if (reason == ENOENT && path && access(path, F_OK) == 0)
		return "its journal cannot be made, the disk may be full or read-only";
	return strerror(reason);
}

static int db_fail(struct db *db, struct err *err)
{
	int code = sqlite3_extended_errcode(db->handle), reason = 0;

	/* Of other failures SQLite may know the errno of something else. */
	if ((code & 0xff) == SQLITE_CANTOPEN)
		reason = sqlite3_system_errno(db->handle);
	if (code == SQLITE_INTERRUPT)
		return err_set(err, db_map(code), "reading it does not end: it is damaged");
	return err_set(err, db_map(code), "%s%s%s (SQLite %d)", sqlite3_errmsg(db->handle),
		       reason ? ": " : "", reason ? db_reason(db, reason) : "", code);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, err);
}

/* Not 0: the statement that runs is given up. */
static int db_count_steps(void *userdata)
{
	struct db *db = userdata;

	db->steps -= DB_STEPS_COUNTED;
	return db->steps < 0;
}

static void db_limit_steps(struct db *db, const char *path)
{
	struct stat st = { .st_size = 0 };

	(void)stat(path, &st);
	db->steps = DB_STEPS + (int64_t)st.st_size * DB_STEPS_PER_BYTE;
}

/*
 * SQLite's own wait (sqlite3_busy_timeout) looks again after up to 100 ms, and a lock is free for
 * moments only where a host writes one row after the other: it may never meet one.
 */
static int db_wait(void *userdata, int tries)
{
	struct db *db = userdata;
	int left_us, us;

	if (tries == 0) {
		db->waited_us = 0;
		db->try_us = DB_TRY_FIRST_US;
	}
	left_us = db->busy_ms * 1000 - db->waited_us;
	us = db->try_us < left_us ? db->try_us : left_us;
	if (us <= 0)
		return 0;
	/* The kernel may wake up to 50 us late else, who sleeps so short. 0: as before. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	(void)db->vfs.xSleep(&db->vfs, us);
	(void)prctl(PR_SET_TIMERSLACK, 0);
	db->waited_us += us;
	if (db->waited_us >= DB_TRY_OFTEN_US)
		db->try_us = 2 * us < DB_TRY_MAX_US ? 2 * us : DB_TRY_MAX_US;
	return 1;
}

void db_wait_for(struct db *db, int ms)
{
	db->busy_ms = ms;
	(void)sqlite3_busy_handler(db->handle, ms > 0 ? db_wait : NULL, db);
}

static int db_set_up(struct db *db, const struct db_options *options, struct err *err)
{
	sqlite3_int64 mapped = 0;
	int r;

	db_wait_for(db, options->busy_timeout_ms);
	/* A page mapped from a network or VirtioFS mount can be stale. (Of DB_READ none is mapped.) */
	if (options->mode == DB_WRITE)
		(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_MMAP_SIZE, &mapped);
	/* What SQLite orders may need more memory than DB_HEAP_BYTES, and there may be no other room. */
	r = db_exec(db, "PRAGMA temp_store=MEMORY", err);
	if (r < 0 || options->mode == DB_READ)
		return r;
	/* What may not be written is opened for reading, without a word. */
	if (sqlite3_db_readonly(db->handle, "main"))
		return err_set(err, -EROFS, "it may only be read");
	return db_exec(db, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL", err);
}

/* SQLite's word, which also counts a file as moved that cannot be looked at. */
static bool db_seems_moved(struct db *db)
{
	int moved = 0;

	return sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		       SQLITE_OK &&
	       moved;
}

/*
 * Which file it is cannot be asked: it is the one under this name while SQLite finds its own there.
 * Who cannot look then, since somebody closes a folder above it or puts another file there, has to
 * open it again: it could not be told later on whether the file has moved.
 */
static int db_learn_file(struct db *db, struct err *err)
{
	const char *path = sqlite3_db_filename(db->handle, "main");
	struct stat before, after;

	if (!path || !path[0])
		return 0;
	if (stat(path, &before) < 0 || db_seems_moved(db) || stat(path, &after) < 0 ||
	    before.st_ino != after.st_ino)
		return err_set(err, -EAGAIN, "it was closed or replaced while it was opened");
	db->file = after.st_ino;
	return 0;
}

/*
 * Is the journal there? Where it may not be looked at (EACCES) SQLite would take it for missing, and
 * what a failed commit left in the database for committed: it would be written again.
 */
static int db_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_result)
{
	struct stat st;

	(void)vfs;
	if (flags != SQLITE_ACCESS_EXISTS) {
		*ret_result = access(path, R_OK | W_OK) == 0;
		return SQLITE_OK;
	}
	*ret_result = stat(path, &st) == 0;
	if (!*ret_result && errno != ENOENT && errno != ENOTDIR)
		return SQLITE_IOERR_ACCESS;
	/* An empty one is none. */
	if (*ret_result && S_ISREG(st.st_mode) && st.st_size == 0)
		*ret_result = 0;
	return SQLITE_OK;
}

/*
 * Of a database without write-ahead log a log beside it is left over: where the header tells of one,
 * the file is refused. SQLite would go by the log.
 */
static int db_access_reading(sqlite3_vfs *vfs, const char *path, int flags, int *ret_result)
{
	static const char log[] = "-wal";
	size_t len = strlen(path);

	if (len >= strlen(log) && strcmp(path + len - strlen(log), log) == 0) {
		*ret_result = 0;
		return SQLITE_OK;
	}
	return db_access(vfs, path, flags, ret_result);
}

/* SQLite's own way to files but for that and db-file.h, under a name of this connection's. */
static const char *db_set_up_vfs(struct db *db, enum db_mode mode)
{
	const sqlite3_vfs *ordinary = sqlite3_vfs_find(NULL);

	if (!ordinary)
		return NULL;
	db->vfs = *ordinary;
	db->vfs.pNext = NULL;
	db->vfs.xAccess = mode == DB_READ ? db_access_reading : db_access;
	if (mode == DB_READ)
		db_file_use(&db->vfs);
	(void)snprintf(db->vfs_name, sizeof(db->vfs_name), "agent-runner-%p", (void *)db);
	db->vfs.zName = db->vfs_name;
	return sqlite3_vfs_register(&db->vfs, 0) == SQLITE_OK ? db->vfs_name : NULL;
}

int db_open(const char *path, const struct db_options *options, struct db **ret_db, struct err *err)
{
	/* PRIVATECACHE, NOMUTEX: one thread, one connection, nothing shared. */
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
	struct db *db = calloc(1, sizeof(*db));
	int r;

	if (!db)
		return err_sys(err, -ENOMEM, "%s", path);
	/* One thread: no lock around each allocation. Not heard, and no harm, once SQLite is in use. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	/* A look is over before what SQLite would lay in for a longer one has paid. */
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, DB_LOOKASIDE_BYTES, DB_LOOKASIDE_SLOTS);
	(void)sqlite3_soft_heap_limit64(DB_HEAP_BYTES);
	flags |= options->mode == DB_READ ? SQLITE_OPEN_READONLY
					  : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	db->sql = options->sql;
	db->sql_count = options->sql_count;
	db->statements = calloc(options->sql_count, sizeof(sqlite3_stmt *));
	r = db->statements
		    ? sqlite3_open_v2(path, &db->handle, flags, db_set_up_vfs(db, options->mode))
		    : SQLITE_NOMEM;
	if (db->handle && options->mode == DB_READ) {
		db_limit_steps(db, path);
		sqlite3_progress_handler(db->handle, DB_STEPS_COUNTED, db_count_steps, db);
	}
	if (!db->handle)
		r = err_sys(err, -ENOMEM, "cannot open");
	else
		r = r == SQLITE_OK ? db_set_up(db, options, err) : db_fail(db, err);
	if (r == 0 && options->mode == DB_WRITE)
		r = db_learn_file(db, err);
	if (r < 0) {
		db_close(db);
		return err_prefix(err, r, "%s", path);
	}
	*ret_db = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; db->statements && i < db->sql_count; i++)
		sqlite3_finalize(db->statements[i]);
	free(db->statements);
	sqlite3_close(db->handle);
	(void)sqlite3_vfs_unregister(&db->vfs);
	free(db);
}

/* NULL: there is none. */
static sqlite3_file *db_main_file(struct db *db)
{
	sqlite3_file *file = NULL;

	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file;
}

int db_rest(struct db *db, struct err *err)
{
	for (size_t i = 0; i < db->sql_count; i++)
		if (db->statements[i]) {
			(void)sqlite3_reset(db->statements[i]);
			(void)sqlite3_clear_bindings(db->statements[i]);
		}
	if (!sqlite3_get_autocommit(db->handle) && db_exec(db, "COMMIT", NULL) < 0)
		return db_fail(db, err);
	/* Not one page of it is taken for what is there next time. */
	(void)sqlite3_db_release_memory(db->handle);
	db_file_rest(db_main_file(db));
	return 0;
}

int db_wake(struct db *db, const char *path, struct err *err)
{
	/* SQLite has followed the links of path when it opened the file. */
	const char *target = sqlite3_db_filename(db->handle, "main");
	int code = db_file_reopen(db_main_file(db));
	struct stat there, ours;

	if (code != SQLITE_OK)
		return err_set(err, db_map(code), "%s (SQLite %d)", sqlite3_errstr(code), code);
	db_limit_steps(db, target);
	return stat(path, &there) == 0 && stat(target, &ours) == 0 && there.st_dev == ours.st_dev &&
	       there.st_ino == ours.st_ino;
}

int db_has(struct db *db, const char *table, const char *column, struct err *err)
{
	int code = sqlite3_table_column_metadata(db->handle, NULL, table, column, NULL, NULL, NULL,
						 NULL, NULL);

	/* SQLITE_ERROR is its word for "no such thing"; the rest are failures to read the schema. */
	if (code == SQLITE_OK || code == SQLITE_ERROR)
		return code == SQLITE_OK;
	return db_fail(db, err);
}

int db_statement(struct db *db, size_t query, sqlite3_stmt **ret_statement, struct err *err)
{
	sqlite3_stmt **slot;

	assert(query < db->sql_count);
	slot = &db->statements[query];
	if (!*slot && sqlite3_prepare_v3(db->handle, db->sql[query], -1, SQLITE_PREPARE_PERSISTENT,
					 slot, NULL) != SQLITE_OK)
		return db_fail(db, err);
	sqlite3_reset(*slot);
	sqlite3_clear_bindings(*slot);
	*ret_statement = *slot;
	return 0;
}

static int db_parameter(sqlite3_stmt *statement, const char *name)
{
	int index = sqlite3_bind_parameter_index(statement, name);

	assert(index > 0);
	return index;
}

void db_bind_text(sqlite3_stmt *statement, const char *name, const char *text)
{
	/* The caller's text outlives the step: SQLITE_STATIC saves the copy. */
	sqlite3_bind_text(statement, db_parameter(statement, name), text, -1, SQLITE_STATIC);
}

void db_bind_int(sqlite3_stmt *statement, const char *name, int64_t value)
{
	sqlite3_bind_int64(statement, db_parameter(statement, name), value);
}

int db_step(struct db *db, sqlite3_stmt *statement, struct err *err)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE) {
		sqlite3_reset(statement);
		return 0;
	}
	code = db_fail(db, err);
	sqlite3_reset(statement);
	return code;
}

int db_run(struct db *db, sqlite3_stmt *statement, struct err *err)
{
	int r;

	do
		r = db_step(db, statement, err);
	while (r > 0);
	return r;
}

int db_commit(struct db *db, sqlite3_stmt *statement, struct err *err)
{
	int r = db_run(db, statement, err), code;

	if (r == 0)
		return 0;
	code = sqlite3_extended_errcode(db->handle);
	/* The journal is gone by the time that locks are given up: it is written. */
	return code == SQLITE_IOERR_UNLOCK || code == SQLITE_IOERR_RDLOCK ? 0 : r;
}

static bool db_holds_lock(struct db *db)
{
	int level = SQLITE_LOCK_NONE;

	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_LOCKSTATE, &level);
	return level > SQLITE_LOCK_NONE;
}

bool db_let_go(struct db *db)
{
	if (!sqlite3_get_autocommit(db->handle) || !db_holds_lock(db))
		return true;
	/* SQLite believes that it is gone: only at the end of another transaction it tries again. */
	(void)db_exec(db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL);
	return !db_holds_lock(db);
}

int db_column_dup(sqlite3_stmt *statement, int column, char **ret_text, size_t *ret_len)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	bool is_null = sqlite3_column_type(statement, column) == SQLITE_NULL;
	const char *bytes = (const char *)sqlite3_column_text(statement, column);
	size_t len = (size_t)sqlite3_column_bytes(statement, column), total;
	char *copy = NULL;

	while (bytes && len > 0) {
		const char *nul = memchr(bytes, '\0', len);
		size_t part = nul ? (size_t)(nul - bytes) : len;

		strbuf_append(&text, bytes, part);
		if (nul) {
			strbuf_puts(&text, "\xef\xbf\xbd");
			part++;
		}
		bytes += part;
		len -= part;
	}
	total = text.len;
	if (bytes)
		copy = strbuf_steal(&text);
	if (!copy && !is_null)
		return -ENOMEM;
	*ret_text = copy;
	if (ret_len)
		*ret_len = total;
	return 0;
}

bool db_has_moved(struct db *db)
{
	const char *path = sqlite3_db_filename(db->handle, "main");
	struct stat st;

	if (!db_seems_moved(db))
		return false;
	/* Who may not look knows nothing: whoever owns a folder above it can close that at any time. */
	if (!path || stat(path, &st) < 0)
		return path && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
	return st.st_ino != db->file;
}

static bool db_is_wal(struct db *db)
{
	sqlite3_stmt *s = NULL;
	const unsigned char *mode;
	bool is_wal = false;

	if (sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		mode = sqlite3_column_text(s, 0);
		is_wal = mode && strcmp((const char *)mode, "wal") == 0;
	}
	sqlite3_finalize(s);
	return is_wal;
}

int db_leave_wal(struct db *db, struct err *err)
{
	int r;

	if (!db_is_wal(db))
		return 0;
	r = db_exec(db, "ROLLBACK; PRAGMA journal_mode=DELETE", err);
	return r < 0 ? r : 1;
}

sqlite3 *db_handle(struct db *db)
{
	return db->handle;
}
