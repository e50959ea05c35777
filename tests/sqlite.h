#pragma once
/* SPDX-License-Identifier: MIT */
/* A database file as the other side sees it: what it writes, and what it reads there. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/test.h"

static inline sqlite3 *sqlite_open(const char *path)
{
	sqlite3 *handle;

	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	/* Nobody cuts the power of a test. */
	assert_int_equal(sqlite3_exec(handle, "PRAGMA synchronous=OFF", NULL, NULL, NULL),
			 SQLITE_OK);
	return handle;
}

/* Runs SQL on an open database, which must succeed. */
static inline void sqlite_exec(sqlite3 *handle, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(handle, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
}

/* Runs SQL on a file, which is created if it is missing. */
static inline void sqlite_run(const char *path, const char *sql)
{
	sqlite3 *handle = sqlite_open(path);

	sqlite_exec(handle, sql);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

struct sqlite_result {
	char text[16 * 1024];
};

static inline int sqlite_result_row(void *userdata, int count, char **values, char **names)
{
	struct sqlite_result *result = userdata;
	size_t used = strlen(result->text);

	(void)names;
	for (int i = 0; i < count; i++)
		used += (size_t)snprintf(result->text + used, sizeof(result->text) - used, "%s%s",
					 i ? "|" : "", values[i] ? values[i] : "null");
	(void)snprintf(result->text + used, sizeof(result->text) - used, "\n");
	return 0;
}

/* What a query answers, as "a|b\nc|d\n" with null for NULL. The text lives in result. */
static inline const char *sqlite_query(const char *path, const char *sql,
				       struct sqlite_result *result)
{
	sqlite3 *handle = sqlite_open(path);
	char *error = NULL;

	result->text[0] = '\0';
	if (sqlite3_exec(handle, sql, sqlite_result_row, result, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
	return result->text;
}
