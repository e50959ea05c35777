#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Every statement that is run on inbound.db, fitted to the tables and columns that the host gave
 * it: what an older host lacks is read as if it were there, with the value that it stands for.
 */
#include "common/err.h"
#include "runner/store/db.h"

enum inbound_sql {
	INBOUND_SQL_BEGIN,
	INBOUND_SQL_SCHEMA,
	INBOUND_SQL_DUE,
	INBOUND_SQL_DUE_OR_OPEN,
	INBOUND_SQL_FROM_ROW,
	INBOUND_SQL_LAST_ROW,
	INBOUND_SQL_ROW,
	INBOUND_SQL_FROM,
	INBOUND_SQL_MAX_SEQ,
	INBOUND_SQL_DESTINATIONS,
	INBOUND_SQL_SESSION,
	INBOUND_SQL_BY_SEQ,
	INBOUND_SQL_DELIVERED_ID,
	INBOUND_SQL_FAILURES,
	INBOUND_SQL_TASKS,
	INBOUND_SQL_QUERIES,
};

/* The statement's text for this database, on the heap; the caller's. 0, -ENOMEM, or of db_has(). */
int inbound_sql_compose(struct db *db, enum inbound_sql query, char **ret_text, struct err *err);
