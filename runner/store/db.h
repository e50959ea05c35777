#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The SQLite C interface with our rules: a fixed, enum-indexed set of statements for each
 * connection, values bound by name, one mapper from SQLite's result codes to errno.
 *
 * Result codes (https://www.sqlite.org/rescode.html) become
 *   -EAGAIN   locked, replaced, hot journal, cannot be read yet: try again later
 *   -ENOENT   cannot be opened: missing, or no permission
 *   -EBADMSG  not a database, or damaged, or reading it does not end
 *   -ENOSPC   disk or quota full		-EROFS  not writable
 *   -EACCES   no permission		-EEXIST a UNIQUE constraint
 *   -ENOMEM				-EIO    anything that is not listed
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct db;

enum db_mode {
	DB_READ,  /* never creates, never writes, never recovers, never reads without an end */
	DB_WRITE, /* created if missing, journal_mode DELETE, synchronous FULL */
};

struct db_options {
	enum db_mode mode;
	int busy_timeout_ms;
	const char *const *sql; /* the statements, static, indexed by the caller's enum */
	size_t sql_count;
};

/*
 * Opens the file. It waits for locks from the first statement on. A file that DB_WRITE finds
 * read-only is refused at once, with -EROFS.
 */
int db_open(const char *path, const struct db_options *options, struct db **ret_db,
	    struct err *err);
void db_close(struct db *db);

/*
 * Of a connection that reads: ends what runs, and closes the file; the statements and what is known of
 * the schema stay. db_wake() opens it again: 1, and the caller sees to it that the schema is the same;
 * 0: path, which it was opened by, leads to another file by now. After 0 or <0 it can only be closed.
 */
int db_rest(struct db *db, struct err *err);
int db_wake(struct db *db, const char *path, struct err *err);

/* From now on a statement waits so long for a lock of somebody else's, and fails with -EAGAIN then. */
void db_wait_for(struct db *db, int ms);

/* Runs SQL text without values: schema and pragmas. */
int db_exec(struct db *db, const char *sql, struct err *err);

/* Is there such a table, or, if column is not NULL, such a column in it? 1, 0, or <0. */
int db_has(struct db *db, const char *table, const char *column, struct err *err);

/* Statement query of the table, reset, all values null. Prepared at first use, owned by db. */
int db_statement(struct db *db, size_t query, sqlite3_stmt **ret_statement, struct err *err);

/* Binds by name (":id"). A name that the statement lacks is our own bug. NULL binds null. */
void db_bind_text(sqlite3_stmt *statement, const char *name, const char *text);
void db_bind_int(sqlite3_stmt *statement, const char *name, int64_t value);

/* 1: a row is there; 0: done; or <0. */
int db_step(struct db *db, sqlite3_stmt *statement, struct err *err);

/* Runs a statement that returns no row of interest, to its end. */
int db_run(struct db *db, sqlite3_stmt *statement, struct err *err);

/*
 * As db_run(), for COMMIT. 0 as well if all was written and only the lock could not be given up,
 * which SQLite calls an error: who believed it would write it all again. db_let_go() follows then.
 */
int db_commit(struct db *db, sqlite3_stmt *statement, struct err *err);

/*
 * A lock that could not be given up at the end of a transaction keeps everybody else out: tries
 * again. True: none is held; false: to be called again later. Costs no system call if all is well.
 */
bool db_let_go(struct db *db);

/*
 * A heap copy of a column's text, NULL if it is null; NUL bytes become U+FFFD. ret_len may be NULL.
 * 0 or -ENOMEM.
 */
int db_column_dup(sqlite3_stmt *statement, int column, char **ret_text, size_t *ret_len);

/*
 * Was the file that is open here deleted, or another put in its place? False as well while it may not
 * be looked at (EACCES): the mode of a folder can change at any time.
 */
bool db_has_moved(struct db *db);

/*
 * Somebody set the open database to WAL: sets it back. 1: done; 0: it is not in WAL mode; <0.
 * Within a transaction, which it ends in any case but 0.
 */
int db_leave_wal(struct db *db, struct err *err);

/* The SQLite handle, for what has no wrapper here. */
sqlite3 *db_handle(struct db *db);
