#pragma once
/* SPDX-License-Identifier: MIT */
/* An inbound.db in a private folder: the host's side of it, and a look at it. */
#include "runner/store/inbound.h"
#include "schema/inbound.h"
#include "tests/folder.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct folder folder;

static inline const char *path(void)
{
	return folder_file(&folder, "inbound.db");
}

static inline int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	return 0;
}

static inline int setup_schema(void **state)
{
	setup(state);
	sqlite_run(path(), schema_inbound);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

/* What the host writes. */
static inline void run(const char *sql)
{
	sqlite_run(path(), sql);
}

static inline struct inbound *look(void)
{
	struct inbound *inbound = NULL;
	struct err err = { "" };

	if (inbound_open(path(), &inbound, &err) < 0)
		fail_msg("%s", err.text);
	return inbound;
}
