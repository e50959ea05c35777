/* SPDX-License-Identifier: MIT */
#include "runner/config-server.h"

#include <errno.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

static void assert_read(const char *text, const char *expected)
{
	cleanup_json json_t *server = test_json(text), *copy = NULL, *good = test_json(expected);
	const char *fault = "none";

	if (config_server_read(server, &copy, &fault) < 0)
		fail_msg("%s %s", text, fault);
	if (!json_equal(copy, good))
		fail_msg("%s", text);
}

static void test_servers_that_are_started(void **state)
{
	(void)state;
	assert_read("{'command':'npx'}", "{'command':'npx'}");
	assert_read("{'command':'npx','args':[],'env':{}}", "{'command':'npx','args':[],'env':{}}");
	assert_read("{'env':{'A':''},'args':['-y','x'],'command':'npx'}",
		    "{'command':'npx','args':['-y','x'],'env':{'A':''}}");
}

static void test_servers_that_are_reached(void **state)
{
	(void)state;
	assert_read("{'url':'https://x'}", "{'type':'http','url':'https://x'}");
	assert_read("{'url':'https://x','type':'sse','headers':{'A':'b'}}",
		    "{'type':'sse','url':'https://x','headers':{'A':'b'}}");
	assert_read("{'url':'https://x','type':'http'}", "{'type':'http','url':'https://x'}");
}

/* A null is refused by agent CLIs, and what we do not know might be, too. */
static void test_what_is_not_handed_on(void **state)
{
	(void)state;
	assert_read("{'command':'npx','args':null,'env':null,'type':'odd','timeout':'x',"
		    "'url':'https://x'}",
		    "{'command':'npx'}");
	assert_read("{'command':null,'url':'https://x','type':null,'args':7}",
		    "{'type':'http','url':'https://x'}");
}

static void test_faults(void **state)
{
	static const struct {
		const char *server, *fault;
	} rows[] = {
		{ "7", "must be an object" },
		{ "null", "must be an object" },
		{ "['npx']", "must be an object" },
		{ "{}", "needs a \"command\" or a \"url\"" },
		{ "{'command':''}", "needs a \"command\" that is a string" },
		{ "{'command':['npx']}", "needs a \"command\" that is a string" },
		{ "{'command':'npx','args':'-y'}", "needs \"args\" to be an array of strings" },
		{ "{'command':'npx','args':['-p',80]}",
		  "needs \"args\" to be an array of strings" },
		{ "{'command':'npx','args':{}}", "needs \"args\" to be an array of strings" },
		{ "{'command':'npx','env':[]}", "needs \"env\" to be an object of strings" },
		{ "{'command':'npx','env':{'A':1}}", "needs \"env\" to be an object of strings" },
		{ "{'command':'npx','env':{'A':null}}",
		  "needs \"env\" to be an object of strings" },
		{ "{'url':''}", "needs a \"url\" that is a string" },
		{ "{'url':7}", "needs a \"url\" that is a string" },
		{ "{'url':'x','type':'stdio'}", "needs \"type\" to be \"http\" or \"sse\"" },
		{ "{'url':'x','type':5}", "needs \"type\" to be \"http\" or \"sse\"" },
		{ "{'url':'x','headers':{'A':1}}", "needs \"headers\" to be an object of strings" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cleanup_json json_t *server = test_json(rows[i].server), *copy = NULL;
		const char *fault = "none";

		assert_int_equal(config_server_read(server, &copy, &fault), -EINVAL);
		assert_string_equal(fault, rows[i].fault);
		assert_null(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers_that_are_started),
		cmocka_unit_test(test_servers_that_are_reached),
		cmocka_unit_test(test_what_is_not_handed_on),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
