#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A tool at work: a session's folder with its two databases, services that write at once (or when
 * told) and note what they were told, and the one answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/io/json.h"
#include "runner/mcp/tools.h"
#include "schema/inbound.h"
#include "tests/folder.h"
#include "tests/json.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct {
	struct folder folder;
	char inbound[128], outbound_path[128];
	struct call_context context;
	struct inbound_destinations destinations; /* as the session last saw them */
	struct call *call;			  /* the last one; NULL once it has ended */
	char answer[8192];			  /* "ok: …" or "error: …"; "": none yet */
	char sent[1024];			  /* "to|text\n" each */
	int write_result;     /* what services->write says; < 0: nothing is written */
	bool writes_later;    /* rows are written by tool_commit() */
	struct call *waiting; /* for that */
	int64_t seq;	      /* of the last row */
	int forgotten;
} tool;

static struct sqlite_result tool_result;

static inline int tool_write(void *userdata, const struct outbound_message *message,
			     struct call *call)
{
	const struct outbound_commit commit = {
		.messages = message,
		.message_count = 1,
		.ret_seqs = &tool.seq,
	};

	assert_ptr_equal(userdata, &tool);
	if (tool.write_result < 0)
		return tool.write_result;
	assert_int_equal(outbound_commit(tool.context.outbound, &commit, NULL), 0);
	if (tool.writes_later)
		tool.waiting = call;
	else
		call_written(call, tool.seq);
	return 0;
}

static inline void tool_commit(void)
{
	assert_non_null(tool.waiting);
	call_written(steal_ptr(tool.waiting), tool.seq);
}

static inline void tool_forget(void *userdata, struct call *call)
{
	assert_ptr_equal(userdata, &tool);
	assert_ptr_equal(call, tool.waiting);
	tool.waiting = NULL;
	tool.forgotten++;
}

/* "to|text", with a thread "to/thread|text". */
static inline void tool_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	size_t used = strlen(tool.sent);

	assert_ptr_equal(userdata, &tool);
	(void)snprintf(tool.sent + used, sizeof(tool.sent) - used, "%s%s%s|%s\n", to ? to : "null",
		       thread ? "/" : "", thread ? thread : "", text ? text : "null");
}

static inline const struct inbound_destinations *tool_destinations(void *userdata)
{
	assert_ptr_equal(userdata, &tool);
	return &tool.destinations;
}

static inline void tool_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	assert_ptr_equal(userdata, &tool);
	assert_ptr_equal(call, tool.call);
	assert_string_equal(tool.answer, "");
	(void)snprintf(tool.answer, sizeof(tool.answer), "%s: %s", is_error ? "error" : "ok", text);
	tool.call = NULL;
}

/* What the host writes. */
static inline void tool_host(const char *sql)
{
	sqlite_run(tool.inbound, sql);
}

/* The session sees the destinations as they are now. */
static inline void tool_learn(void)
{
	struct inbound *inbound;

	inbound_destinations_deinit(&tool.destinations);
	assert_int_equal(inbound_open(tool.inbound, &inbound, NULL), 0);
	assert_int_equal(inbound_destinations(inbound, &tool.destinations, NULL), 0);
	inbound_close(inbound);
}

/* A new call of this owner, without an answer yet. */
static inline struct call *tool_call_of(const struct call_owner *owner)
{
	assert_null(tool.call);
	tool.answer[0] = '\0';
	tool.sent[0] = '\0';
	tool.call = call_new(&tool.context, owner);
	assert_non_null(tool.call);
	return tool.call;
}

static inline struct call *tool_call(void)
{
	static const struct call_owner owner = { .ended = tool_ended, .userdata = &tool };

	return tool_call_of(&owner);
}

/* Has the call carried out; arguments are JSON with ' for ". */
static inline void tool_run(tools_fn *fn, const char *arguments)
{
	cleanup_json json_t *value = test_json(arguments);

	fn(tool_call(), value);
}

static inline void assert_answer(const char *expected)
{
	assert_string_equal(tool.answer, expected);
	assert_null(tool.call);
}

/* The newest row: kind|in_reply_to|channel_type|platform_id|thread_id|content. "": there is none. */
static inline void assert_row(const char *expected)
{
	char row[8192];

	(void)snprintf(row, sizeof(row), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT kind, in_reply_to, channel_type, platform_id,"
				    " thread_id, content FROM messages_out"
				    " ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	row[strcspn(row, "\n")] = '\0';
	assert_string_equal(row, expected);
}

static inline void assert_row_count(int count)
{
	char expected[16];

	(void)snprintf(expected, sizeof(expected), "%d\n", count);
	assert_string_equal(
		sqlite_query(tool.outbound_path, "SELECT count(*) FROM messages_out", &tool_result),
		expected);
}

/* Two destinations and an agent, a session in a thread of the first, and a turn that answers m-1. */
static inline int tool_setup(void **state)
{
	static const struct call_services services = {
		.write = tool_write,
		.forget = tool_forget,
		.sent = tool_sent,
		.destinations = tool_destinations,
	};

	(void)state;
	memset(&tool, 0, sizeof(tool));
	folder_make(&tool.folder);
	strcpy(tool.inbound, folder_file(&tool.folder, "inbound.db"));
	strcpy(tool.outbound_path, folder_file(&tool.folder, "outbound.db"));
	tool.context = (struct call_context){
		.server_name = "nanoclaw",
		.workspace = tool.folder.path,
		.agent_folder = tool.folder.path,
		.inbound_path = tool.inbound,
		.agent_group_id = "ag-1",
		.awaited = awaited_new(),
		.services = &services,
		.userdata = &tool,
	};
	tool_host(schema_inbound);
	tool_host("INSERT INTO destinations VALUES"
		  " ('casa', 'Casa', 'channel', 'slack', 'C1', NULL),"
		  " ('Work', 'Work', 'channel', 'telegram', '42', NULL),"
		  " ('helper', NULL, 'agent', NULL, NULL, 'ag-2');"
		  "INSERT INTO session_routing VALUES (1, 'slack', 'C1', 'T1')");
	assert_int_equal(
		outbound_open(tool.outbound_path, tool.inbound, &tool.context.outbound, NULL), 0);
	assert_int_equal(outbound_claim(tool.context.outbound, &(struct outbound_ids){ NULL, 0 },
					"m-1", NULL),
			 0);
	assert_int_equal(loop_new(&tool.context.loop, NULL), 0);
	assert_int_equal(call_line_new(tool.context.loop, &tool.context.line), 0);
	tool_learn();
	return 0;
}

static inline int tool_teardown(void **state)
{
	(void)state;
	call_cancel(tool.call);
	call_line_free(tool.context.line);
	loop_free(tool.context.loop);
	awaited_free(tool.context.awaited);
	inbound_destinations_deinit(&tool.destinations);
	outbound_close(tool.context.outbound);
	folder_remove(&tool.folder);
	return 0;
}

#define TOOL_CASE(name) cmocka_unit_test_setup_teardown(name, tool_setup, tool_teardown)
