#pragma once
/* SPDX-License-Identifier: MIT */
/* SQL beside the code under test, as the host or a reader would run it. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/test.h"

static inline void database_exec(const char *path, const char *sql)
{
	sqlite3 *db;
	char *error = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

struct database_answer {
	char text[8192];
};

static inline int database_add_row(void *userdata, int count, char **values, char **names)
{
	struct database_answer *answer = userdata;
	size_t used = strlen(answer->text);

	(void)names;
	for (int i = 0; i < count && used < sizeof(answer->text); i++)
		used += (size_t)snprintf(answer->text + used, sizeof(answer->text) - used, "%s%s",
					 values[i] ? values[i] : "NULL",
					 i + 1 < count ? "|" : "\n");
	return 0;
}

/* The rows: columns joined by |, each row ended by a newline; valid until the next call. */
static inline const char *database_query(const char *path, const char *sql)
{
	static struct database_answer answer;
	sqlite3 *db;
	char *error = NULL;

	answer.text[0] = '\0';
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, database_add_row, &answer, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return answer.text;
}
