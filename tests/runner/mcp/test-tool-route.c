/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-route.h"

#include "tests/runner/mcp/tool.h"

/* What was found, as "name|in_reply_to|channel_type|platform_id|thread_id". */
static const char *describe(const struct tool_route *route)
{
	static char text[256];
	struct outbound_message message = { .id = "kept" };

	tool_route_apply(route, &message);
	assert_string_equal(message.id, "kept");
	(void)snprintf(text, sizeof(text), "%s|%s|%s|%s|%s", route->name ? route->name : "null",
		       message.in_reply_to ? message.in_reply_to : "null",
		       message.channel_type ? message.channel_type : "null",
		       message.platform_id ? message.platform_id : "null",
		       message.thread_id ? message.thread_id : "null");
	return text;
}

/* The route to this name, or the error that the call ended with. */
static void assert_find(const char *to, const char *expected)
{
	struct tool_route route = { .name = NULL };

	if (tool_route_find(tool_call(), to, &route)) {
		assert_string_equal(describe(&route), expected);
		call_cancel(steal_ptr(tool.call));
	} else {
		assert_answer(expected);
	}
	tool_route_deinit(&route);
}

static void assert_own(const char *expected)
{
	struct tool_route route = { .name = NULL };

	if (tool_route_own(tool_call(), &route)) {
		assert_string_equal(describe(&route), expected);
		call_cancel(steal_ptr(tool.call));
	} else {
		assert_answer(expected);
	}
	tool_route_deinit(&route);
}

static void assert_session(const char *expected)
{
	struct tool_route route;

	assert_true(tool_route_session(tool_call(), &route));
	assert_string_equal(describe(&route), expected);
	call_cancel(steal_ptr(tool.call));
	tool_route_deinit(&route);
}

static void test_by_name(void **state)
{
	(void)state;
	/* The session's own place: into its thread. */
	assert_find("casa", "casa|m-1|slack|C1|T1");
	assert_find("Work", "Work|m-1|telegram|42|null");
	assert_find("work", "Work|m-1|telegram|42|null");
	assert_find("helper", "helper|m-1|agent|ag-2|null");
	assert_find(" casa\n", "casa|m-1|slack|C1|T1");
	assert_find("\xc2\xa0work", "Work|m-1|telegram|42|null");
}

/* The same id on another platform is another place. */
static void test_only_the_own_place_has_the_thread(void **state)
{
	(void)state;
	tool_host("UPDATE session_routing SET channel_type = 'telegram'");
	assert_find("casa", "casa|m-1|slack|C1|null");
	tool_host("UPDATE session_routing SET platform_id = '42'");
	assert_find("work", "Work|m-1|telegram|42|T1");
	tool_host("UPDATE session_routing SET channel_type = 'agent', platform_id = 'ag-2'");
	assert_find("helper", "helper|m-1|agent|ag-2|T1");
}

static void test_without_a_name(void **state)
{
	(void)state;
	assert_find(NULL, "casa|m-1|slack|C1|T1");
	assert_find("", "casa|m-1|slack|C1|T1");
	assert_find(" \t", "casa|m-1|slack|C1|T1");
	assert_own("casa|m-1|slack|C1|T1");
	assert_session("casa|m-1|slack|C1|T1");
	/* The session's place need not be a destination. */
	tool_host("UPDATE session_routing SET platform_id = 'D7', thread_id = NULL");
	assert_find(NULL, "null|m-1|slack|D7|null");
	assert_own("null|m-1|slack|D7|null");
	assert_session("null|m-1|slack|D7|null");
}

static void test_no_place_of_its_own(void **state)
{
	(void)state;
	tool_host("UPDATE session_routing SET platform_id = ''");
	assert_find(NULL, "error: This session has no chat of its own: say in \"to\" where this "
			  "goes. The names are \"Work\", \"casa\", \"helper\".");
	assert_own("error: This session has no chat of its own, where this could be shown: use "
		   "send_message and its \"to\" instead. The names are \"Work\", \"casa\", "
		   "\"helper\".");
	assert_session("null|m-1|null|null|null");
	tool_host("DROP TABLE session_routing; DELETE FROM destinations WHERE name != 'casa'");
	assert_find(NULL, "casa|m-1|slack|C1|null");
	assert_own("casa|m-1|slack|C1|null");
	assert_session("null|m-1|null|null|null");
	tool_host("DELETE FROM destinations");
	assert_find(NULL, "error: This session has no chat of its own. No destination is set up at "
			  "present.");
	assert_own("error: This session has no chat of its own. No destination is set up at "
		   "present.");
}

static void test_unknown_name(void **state)
{
	(void)state;
	assert_find("ca\nsa", "error: There is no destination named \"ca\\nsa\". The names are "
			      "\"Work\", \"casa\", \"helper\".");
	/* The host added it after the session's last look. */
	tool_host("INSERT INTO destinations VALUES ('new', '', 'channel', 'slack', 'C2', NULL)");
	assert_find("new", "new|m-1|slack|C2|null");
	/* Two names that differ in case only. */
	tool_host("INSERT INTO destinations VALUES ('CASA', '', 'channel', 'slack', 'C3', NULL)");
	tool_learn();
	assert_find("casa", "casa|m-1|slack|C1|T1");
	assert_find("Casa", "error: There is no destination named \"Casa\". The names are "
			    "\"CASA\", \"Work\", \"casa\", \"helper\", \"new\".");
	tool_host("DELETE FROM destinations WHERE name != 'casa'");
	tool_learn();
	assert_find("x", "error: There is no destination named \"x\". The only name is \"casa\".");
	tool_host("DELETE FROM destinations");
	tool_learn();
	assert_find("x", "error: There is no destination named \"x\". No destination is set up at "
			 "present.");
}

static void test_many_names(void **state)
{
	(void)state;
	tool_host("WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
		  " INSERT INTO destinations SELECT 'd' || i, '', 'channel', 'slack', 'X', NULL"
		  " FROM n");
	assert_false(tool_route_find(tool_call(), "x", &(struct tool_route){ .name = NULL }));
	assert_ptr_equal(strstr(tool.answer, "named \"x\". The names are \"Work\", \"casa\", "
					     "\"d10\", "),
			 tool.answer + strlen("error: There is no destination "));
	assert_string_equal(strstr(tool.answer, "\"d57\""), "\"d57\" and 4 more.");
}

static void test_no_address(void **state)
{
	(void)state;
	tool_host("INSERT INTO destinations VALUES ('lost', '', 'channel', 'slack', NULL, NULL)");
	assert_find("lost", "error: The destination \"lost\" has no address at present.");
}

static void test_no_turn(void **state)
{
	(void)state;
	outbound_close(tool.context.outbound);
	sqlite_run(tool.outbound_path, "DELETE FROM session_state");
	assert_int_equal(
		outbound_open(tool.outbound_path, tool.inbound, &tool.context.outbound, NULL), 0);
	assert_find("work", "Work|null|telegram|42|null");
}

static void test_unreadable(void **state)
{
	char expected[256];

	(void)state;
	assert_int_equal(truncate(tool.inbound, 0), 0);
	(void)snprintf(expected, sizeof(expected),
		       "error: Nothing was done, since the session's files cannot be read at the "
		       "moment: %s is empty: the host has to create its tables. Try again.",
		       tool.inbound);
	assert_find("work", expected);
	assert_own(expected);
}

static void assert_target(int64_t seq, const char *expected)
{
	struct tool_route route = { .name = NULL };
	cleanup_free char *id = NULL;
	char text[512];

	if (tool_route_target(tool_call(), seq, &id, &route)) {
		(void)snprintf(text, sizeof(text), "%s: %s", id, describe(&route));
		assert_string_equal(text, expected);
		call_cancel(steal_ptr(tool.call));
	} else {
		assert_null(id);
		assert_answer(expected);
	}
	tool_route_deinit(&route);
}

static void test_target_inbound(void **state)
{
	(void)state;
	tool_host("INSERT INTO messages_in (id, seq, kind, timestamp, content, channel_type,"
		  " platform_id, thread_id) VALUES"
		  " ('170.1', 2, 'chat', '', '', 'slack', 'C1', 'T9'),"
		  " ('170.2:ag-1', 4, 'chat', '', '', 'slack', 'D7', NULL),"
		  " ('170.3:ag-11', 6, 'chat', '', '', 'slack', 'D7', NULL),"
		  " (':ag-1', 8, 'chat', '', '', 'slack', 'D7', NULL),"
		  " ('task', 10, 'task', '', '', NULL, NULL, NULL)");
	assert_target(2, "170.1: casa|m-1|slack|C1|T9");
	assert_target(4, "170.2: null|m-1|slack|D7|null");
	assert_target(6, "170.3:ag-11: null|m-1|slack|D7|null");
	assert_target(8, ":ag-1: null|m-1|slack|D7|null");
	assert_target(10, "error: Message 10 stands in no chat.");
	assert_target(12, "error: There is no message with the id 12.");
	tool.context.agent_group_id = "";
	assert_target(4, "170.2:ag-1: null|m-1|slack|D7|null");
}

static void test_target_outbound(void **state)
{
	(void)state;
	sqlite_run(tool.outbound_path,
		   "INSERT INTO messages_out (id, seq, timestamp, kind, channel_type, platform_id,"
		   " thread_id, content) VALUES"
		   " ('msg-1:ag-1', 3, '', 'chat', 'telegram', '42', NULL, ''),"
		   " ('msg-2', 5, '', 'system', NULL, NULL, NULL, '')");
	assert_target(3, "msg-1:ag-1: Work|m-1|telegram|42|null");
	tool_host("INSERT INTO delivered VALUES ('msg-1:ag-1', '77:ag-1', 'delivered', '')");
	/* The suffix is cut off inbound ids only: there the host put it. */
	assert_target(3, "77:ag-1: Work|m-1|telegram|42|null");
	assert_target(5, "error: Message 5 stands in no chat.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOOL_CASE(test_by_name),	 TOOL_CASE(test_only_the_own_place_has_the_thread),
		TOOL_CASE(test_without_a_name),	 TOOL_CASE(test_no_place_of_its_own),
		TOOL_CASE(test_unknown_name),	 TOOL_CASE(test_many_names),
		TOOL_CASE(test_no_address),	 TOOL_CASE(test_no_turn),
		TOOL_CASE(test_unreadable),	 TOOL_CASE(test_target_inbound),
		TOOL_CASE(test_target_outbound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
