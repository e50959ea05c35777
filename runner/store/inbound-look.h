#pragma once
/* SPDX-License-Identifier: MIT */
/* A look at inbound.db, for the files here that read from it: inbound-<what>.c. */
#include "common/err.h"
#include "runner/store/db.h"
#include "runner/store/inbound-sql.h"
#include "runner/store/inbound.h"

/* Owned by the look. */
struct db *inbound_db(const struct inbound *inbound);

/* As db_statement(); the text is composed at first use, so a look pays for what it asks only. */
int inbound_statement(struct inbound *inbound, enum inbound_sql query, sqlite3_stmt **ret_statement,
		      struct err *err);

/*
 * Rows from this number on, at most max of them, by number: their number and id, in a statement to be
 * stepped and reset by the caller. 0, or as db_statement().
 */
int inbound_rows_from(struct inbound *inbound, int64_t from, int64_t max,
		      sqlite3_stmt **ret_statement, struct err *err);

/* The id of the row of this number, a heap string of the caller: 1; 0: there is none; <0. */
int inbound_read_id(struct inbound *inbound, int64_t rowid, char **ret_id, struct err *err);

/* Copies the three columns of an address, from this one on. 0 or -ENOMEM. */
int inbound_address_copy(sqlite3_stmt *statement, int column, struct inbound_address *ret_address);
