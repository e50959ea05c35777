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

/* The failures after the one that was seen, newest first, and what is to be seen the next time. */
static void assert_some_failures(int64_t seen, const char *expected, int64_t newest, bool more)
{
	struct inbound *inbound = look();
	struct inbound_failures failures;
	char text[256] = "";
	size_t used = 0;

	assert_int_equal(inbound_failures(inbound, seen, &failures, NULL), 0);
	for (size_t i = 0; i < failures.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
					 failures.ids[i]);
	assert_string_equal(text, expected);
	assert_int_equal(failures.newest, newest);
	assert_int_equal(failures.more, more);
	inbound_failures_deinit(&failures);
	assert_int_equal(failures.count, 0);
	inbound_failures_deinit(&failures);
	inbound_close(inbound);
}

static void assert_failures(int64_t seen, const char *expected, int64_t newest)
{
	assert_some_failures(seen, expected, newest, false);
}

static void test_failures(void **state)
{
	(void)state;
	assert_failures(0, "", 0);
	assert_failures(7, "", 0);
	run("INSERT INTO delivered (rowid, message_out_id, status, delivered_at) VALUES"
	    " (1, 'a', 'delivered', ''), (3, 'c', 'failed', ''), (2, 'b', 'failed', ''),"
	    " (5, NULL, 'failed', ''), (6, 'f', 'delivered', ''), (7, 'g', 'failed', '')");
	assert_failures(0, "g c b", 7);
	assert_failures(2, "g c", 7);
	assert_failures(3, "g", 7);
	assert_failures(7, "", 7);
	/* The one that was seen is gone. */
	assert_failures(6, "g", 7);
	assert_failures(1, "g c b", 7);
}

/* The host began the file anew: its numbers begin anew, too. */
static void test_failures_of_a_new_file(void **state)
{
	(void)state;
	run("INSERT INTO delivered (rowid, message_out_id, status, delivered_at) VALUES"
	    " (3, 'c', 'failed', ''), (4, 'd', 'failed', '')");
	assert_failures(9, "d c", 4);
	assert_failures(4, "", 4);
}

/* However many were delivered, only the newest are read. */
static void test_failures_long_past(void **state)
{
	(void)state;
	run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
	    " INSERT INTO delivered (rowid, message_out_id, status, delivered_at)"
	    " SELECT i, 'm' || i, 'delivered', '' FROM n");
	run("UPDATE delivered SET status = 'failed' WHERE rowid IN (1, 2000, 2001)");
	assert_failures(0, "m2001", 2001);
	assert_failures(2001, "", 2001);
	run("INSERT INTO delivered (message_out_id, delivered_at) VALUES ('last', '')");
	assert_failures(0, "", 0);
	assert_failures(2001, "", 0);
}

static void test_many_failures(void **state)
{
	(void)state;
	run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)"
	    " INSERT INTO delivered (rowid, message_out_id, status, delivered_at)"
	    " SELECT i, 'm' || i, 'failed', '' FROM n");
	assert_some_failures(0, "m30 m29 m28 m27 m26 m25 m24 m23 m22 m21", 30, true);
	assert_some_failures(19, "m30 m29 m28 m27 m26 m25 m24 m23 m22 m21", 30, true);
	assert_failures(20, "m30 m29 m28 m27 m26 m25 m24 m23 m22 m21", 30);
	assert_failures(21, "m30 m29 m28 m27 m26 m25 m24 m23 m22", 30);
	assert_some_failures(99, "m30 m29 m28 m27 m26 m25 m24 m23 m22 m21", 30, true);
}

static void test_older_host(void **state)
{
	(void)state;
	run("CREATE TABLE messages_in (id, content); INSERT INTO messages_in VALUES ('a', '')");
	assert_found(2, "");
	assert_delivered("m-1", "");
	assert_failures(0, "", 0);
	run("CREATE TABLE delivered (message_out_id TEXT); INSERT INTO delivered VALUES ('m-1')");
	assert_delivered("m-1", "");
	/* It wrote down what was delivered only. */
	assert_failures(0, "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_delivered_id, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_failures_of_a_new_file, setup_schema,
						teardown),
		cmocka_unit_test_setup_teardown(test_failures_long_past, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_many_failures, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_older_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
