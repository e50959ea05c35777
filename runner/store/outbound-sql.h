#pragma once
/* SPDX-License-Identifier: MIT */
/* Every statement that is run on outbound.db, and what a file needs so that they can be. */
#include "common/err.h"
#include "runner/store/db.h"

enum outbound_sql {
	OUTBOUND_SQL_BEGIN,
	OUTBOUND_SQL_BEGIN_READS,
	OUTBOUND_SQL_COMMIT,
	OUTBOUND_SQL_ROLLBACK,
	OUTBOUND_SQL_HAS_ACK,
	OUTBOUND_SQL_IS_FINAL,
	OUTBOUND_SQL_FOREIGN_VERSION,
	OUTBOUND_SQL_ACK,
	OUTBOUND_SQL_HAS_LEFTOVERS,
	OUTBOUND_SQL_RELEASE,
	OUTBOUND_SQL_GIVE_BACK,
	OUTBOUND_SQL_BEGIN_ATTEMPT,
	OUTBOUND_SQL_BREAK_OFF,
	OUTBOUND_SQL_BREAK_OFF_ALL,
	OUTBOUND_SQL_EXCUSE,
	OUTBOUND_SQL_EXCUSE_ALL,
	OUTBOUND_SQL_END_ATTEMPTS,
	OUTBOUND_SQL_FORGET_ATTEMPTS,
	OUTBOUND_SQL_GET_ATTEMPT,
	OUTBOUND_SQL_KEEP_OUTPUT,
	OUTBOUND_SQL_SENT_FOR,
	OUTBOUND_SQL_MAX_SEQ,
	OUTBOUND_SQL_INSERT,
	OUTBOUND_SQL_BY_SEQ,
	OUTBOUND_SQL_BY_ID,
	OUTBOUND_SQL_GET_STATE,
	OUTBOUND_SQL_SET_STATE,
	OUTBOUND_SQL_DELETE_STATE,
	OUTBOUND_SQL_SET_TOOL,
	OUTBOUND_SQL_CLEAR_TOOL,
	OUTBOUND_SQL_OLDEST_CLAIM,
	OUTBOUND_SQL_QUERIES,
};

/* The statements, indexed by the enum. */
const char *const *outbound_sql_texts(void);

/* Was a table dropped? */
bool outbound_sql_lacks_table(struct db *db);

/* Creates the tables and columns that are missing; what is there stays. 0 or of db_exec(). */
int outbound_sql_set_up(struct db *db, struct err *err);
