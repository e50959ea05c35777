#pragma once
/* SPDX-License-Identifier: MIT */
/* A session's two databases in a private folder, on a disk that fails on order. */
#include <string.h>

#include "common/cleanup.h"
#include "runner/store/outbound.h"
#include "schema/inbound.h"
#include "tests/folder.h"
#include "tests/runner/store/fault.h"
#include "tests/sqlite.h"
#include "tests/test.h"

struct world {
	struct folder folder;
	char inbound[128], path[128];
	struct outbound *outbound;
};

static struct world world;
static struct sqlite_result result;

static inline int setup_folder(void **state)
{
	(void)state;
	world = (struct world){ .outbound = NULL };
	fault_order(FAULT_NONE, 0);
	fault.waited_us = 0;
	folder_make(&world.folder);
	strcpy(world.inbound, folder_file(&world.folder, "inbound.db"));
	strcpy(world.path, folder_file(&world.folder, "outbound.db"));
	sqlite_run(world.inbound, schema_inbound);
	return 0;
}

static inline void reopen(void)
{
	struct err err = { "" };

	outbound_close(steal_ptr(world.outbound));
	if (outbound_open(world.path, world.inbound, &world.outbound, &err) < 0)
		fail_msg("%s", err.text);
}

static inline int setup(void **state)
{
	setup_folder(state);
	reopen();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	fault_order(FAULT_NONE, 0);
	outbound_close(world.outbound);
	folder_remove(&world.folder);
	return 0;
}

static inline void assert_rows(const char *sql, const char *rows)
{
	assert_string_equal(sqlite_query(world.path, sql, &result), rows);
}

static const char *const ids_ab[] = { "a", "b" };
static const char *const ids_c[] = { "c" };

static inline void claim(const char *in_reply_to)
{
	assert_int_equal(outbound_claim(world.outbound, &(struct outbound_ids){ ids_ab, 2 },
					in_reply_to, NULL),
			 0);
}

static const struct outbound_message messages[] = {
	{ NULL, "chat", "a", "slack", "C1", "t1", "{\"text\":\"one\"}" },
	{ NULL, "chat", NULL, NULL, NULL, NULL, "{\"text\":\"two\"}" },
};

static const struct outbound_commit whole = {
	.messages = messages,
	.message_count = 2,
	.completed = { ids_ab, 2 },
	.failed = { ids_c, 1 },
	.states = &(const struct outbound_state){ "continuation:mock", "next" },
	.state_count = 1,
};
