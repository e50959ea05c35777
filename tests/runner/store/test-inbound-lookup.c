/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-lookup.h"

#include <errno.h>

#include "tests/runner/store/inbound.h"

/* The message of this seq, as "id channel platform thread"; "" if there is none. */
static void assert_found(int64_t seq, const char *expected)
{
	struct inbound *inbound = look();
	struct inbound_address address = { .channel_type = NULL };
	cleanup_free char *id = NULL;
	char text[256] = "";
	int r = inbound_find(inbound, seq, &id, &address, NULL);

	assert_int_equal(r, expected[0] ? 1 : 0);
	if (r > 0)
		(void)snprintf(text, sizeof(text), "%s %s %s %s", id,
			       address.channel_type ? address.channel_type : "-",
			       address.platform_id ? address.platform_id : "-",
			       address.thread_id ? address.thread_id : "-");
	assert_string_equal(text, expected);
	inbound_address_deinit(&address);
	inbound_close(inbound);
}

static void test_find(void **state)
{
	(void)state;
	assert_found(2, "");
	run("INSERT INTO messages_in (id, seq, kind, timestamp, content, status, channel_type,"
	    " platform_id, thread_id) VALUES"
	    " ('a', 2, 'chat', '', '', 'completed', 'slack', 'C1', 'T1'),"
	    " ('b', 4, 'task', '', '', 'pending', NULL, NULL, NULL),"
	    " (NULL, 6, 'chat', '', '', 'pending', NULL, NULL, NULL)");
	assert_found(2, "a slack C1 T1");
	assert_found(4, "b - - -");
	assert_found(6, "");
	assert_found(8, "");
	assert_found(-1, "");
}

/* What the platform calls the message; "" if there is no such name. */
static void assert_delivered(const char *id, const char *expected)
{
	struct inbound *inbound = look();
	cleanup_free char *found = NULL;

	assert_int_equal(inbound_delivered_id(inbound, id, &found, NULL), expected[0] ? 1 : 0);
	assert_string_equal(found ? found : "", expected);
	inbound_close(inbound);
}

static void test_delivered_id(void **state)
{
	(void)state;
	assert_delivered("m-1", "");
	run("INSERT INTO delivered (message_out_id, platform_message_id, status, delivered_at)"
	    " VALUES ('m-1', '1700.5', 'delivered', ''), ('m-2', NULL, 'failed', ''),"
	    " ('m-3', '', 'delivered', '')");
	assert_delivered("m-1", "1700.5");
	assert_delivered("m-2", "");
	assert_delivered("m-3", "");
	assert_delivered("m-4", "");
}

static void test_older_host(void **state)
{
	(void)state;
	run("CREATE TABLE messages_in (id, content); INSERT INTO messages_in VALUES ('a', '')");
	assert_found(2, "");
	assert_delivered("m-1", "");
	run("CREATE TABLE delivered (message_out_id TEXT); INSERT INTO delivered VALUES ('m-1')");
	assert_delivered("m-1", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_delivered_id, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_older_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
