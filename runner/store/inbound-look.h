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

/* Copies the three columns of an address, from this one on. 0 or -ENOMEM. */
int inbound_address_copy(sqlite3_stmt *statement, int column, struct inbound_address *ret_address);
