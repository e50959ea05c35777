#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the tests of reply, turn and conversation share: a session folder with both databases, a
 * loop that ends after ten seconds, an outbox; and what was written, as a host reads it.
 */
#include <errno.h>

#include "runner/outbox.h"
#include "runner/store/inbound.h"
#include "schema/inbound.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

struct exchange {
	struct folder folder;
	char inbound[96], outbound_path[96];
	struct loop *loop;
	struct loop_timer *timeout;
	struct outbound *outbound;
	struct outbox *outbox;
	int broken;
};

static inline void exchange_on_nothing(void *userdata)
{
	(void)userdata;
}

static inline void exchange_on_broken(void *userdata)
{
	struct exchange *x = userdata;

	x->broken++;
}

static inline void exchange_on_timeout(void *userdata)
{
	struct exchange *x = userdata;

	loop_stop(x->loop, -ETIMEDOUT);
}

/* Ann and Bob on one channel, in threads of their own, and an agent. */
#define EXCHANGE_DESTINATIONS                                                               \
	"INSERT INTO destinations VALUES ('ann', 'Ann', 'channel', 'chat', 'a', NULL),"     \
	"('bob', 'Bob', 'channel', 'chat', 'b', NULL), ('helper', 'Helper', 'agent', NULL," \
	" NULL, 'g1');"

static inline void exchange_setup(struct exchange *x)
{
	static const struct outbox_events events = {
		.drained = exchange_on_nothing,
		.broken = exchange_on_broken,
	};

	*x = (struct exchange){ .broken = 0 };
	folder_make(&x->folder);
	strcpy(x->inbound, folder_file(&x->folder, "inbound.db"));
	strcpy(x->outbound_path, folder_file(&x->folder, "outbound.db"));
	database_exec(x->inbound, schema_inbound);
	database_exec(x->inbound, EXCHANGE_DESTINATIONS);
	assert_int_equal(outbound_open(x->outbound_path, x->inbound, &x->outbound, NULL), 0);
	assert_int_equal(loop_new(&x->loop, NULL), 0);
	assert_int_equal(loop_timer_new(x->loop, exchange_on_timeout, x, &x->timeout), 0);
	loop_timer_arm(x->timeout, 10000);
	assert_int_equal(outbox_new(x->loop, x->outbound, &events, x, &x->outbox), 0);
}

static inline void exchange_teardown(struct exchange *x)
{
	assert_int_equal(x->broken, 0);
	outbox_free(x->outbox);
	outbound_close(x->outbound);
	loop_timer_free(x->timeout);
	loop_free(x->loop);
	folder_remove(&x->folder);
}

/* The destinations as the inbox has them now; the caller deinits them. */
static inline struct inbound_destinations exchange_destinations(const struct exchange *x)
{
	struct inbound_destinations destinations = { .rows = NULL };
	struct inbound *inbound = NULL;

	assert_int_equal(inbound_open(x->inbound, &inbound, NULL), 0);
	assert_int_equal(inbound_destinations(inbound, &destinations, NULL), 0);
	inbound_close(inbound);
	return destinations;
}

/* A chat row of its own memory, from a place of the channel "chat"; place NULL: from nowhere. */
static inline struct inbound_row exchange_row(const char *id, const char *place, const char *text)
{
	struct inbound_row row = { .seq = -1, .wakes = true };
	char *content = NULL;

	assert_true(asprintf(&content, "{\"text\":\"%s\",\"sender\":\"Ann\"}", text) > 0);
	row.id = strdup(id);
	row.kind = strdup("chat");
	row.timestamp = strdup("2026-01-02 03:04:05");
	row.channel_type = place ? strdup("chat") : NULL;
	row.platform_id = place ? strdup(place) : NULL;
	if (place)
		assert_true(asprintf(&row.thread_id, "thread-%s", place) > 0);
	row.content = content;
	row.content_len = strlen(content);
	return row;
}

/* in_reply_to|platform_id|thread_id|content, a line each. */
static inline const char *exchange_sent(const struct exchange *x)
{
	return database_query(x->outbound_path,
			      "SELECT in_reply_to, platform_id, thread_id,"
			      " json_extract(content, '$.text') FROM messages_out ORDER BY seq");
}

static inline const char *exchange_acks(const struct exchange *x)
{
	return database_query(x->outbound_path, "SELECT message_id, status FROM processing_ack"
						" ORDER BY message_id");
}
