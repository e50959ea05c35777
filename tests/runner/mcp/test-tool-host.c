/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-host.h"

#include "common/table.h"
#include "tests/runner/mcp/tool.h"

static const char apt_rule[] =
	" is not the name of a package for apt: lower-case letters, digits and . _ + - are "
	"allowed, and no version, option or path.";
static const char npm_rule[] =
	" is not the name of a package for npm: it is name or @scope/name in lower-case letters, "
	"digits and . _ -, without a version or a path.";

static void test_install_packages(void **state)
{
	(void)state;
	tool_run(tool_host_install_packages,
		 "{'apt':['ffmpeg','g++','0ad'],'npm':['left-pad','@scope/name.js'],"
		 "'reason':'to cut \\'films\\''}");
	assert_answer("ok: An administrator is asked for 5 packages. You will be told what was "
		      "decided. If it is yes, your container is built anew and restarted.");
	assert_row(
		"system|null|null|null|null|{\"action\":\"install_packages\","
		"\"apt\":[\"ffmpeg\",\"g++\",\"0ad\"],"
		"\"npm\":[\"left-pad\",\"@scope/name.js\"],\"reason\":\"to cut \\\"films\\\"\"}");
	assert_string_equal(tool.sent, "");
	tool_run(tool_host_install_packages, "{'npm':['a']}");
	assert_answer("ok: An administrator is asked for 1 package. You will be told what was "
		      "decided. If it is yes, your container is built anew and restarted.");
	assert_row("system|null|null|null|null|{\"action\":\"install_packages\",\"apt\":[],"
		   "\"npm\":[\"a\"],\"reason\":\"\"}");
}

/* This one is refused, with the rule. */
static void assert_package(const char *manager, const char *name, const char *shown,
			   const char *rule)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "{'%s':['good','%s']}", manager, name);
	tool_run(tool_host_install_packages, text);
	(void)snprintf(text, sizeof(text), "error: \"%s\"%s", shown, rule);
	assert_answer(text);
}

static void test_names_of_packages(void **state)
{
	static const char *const bad[] = {
		"",	"-y",	 ".a",	"Ffmpeg", "a b",	"a;b",
		"$(a)", "a=1.0", "a@1", "../a",	  "/tmp/a.deb", "ä",
	};
	static const char *const bad_npm[] = {
		"",	 "-g",	"@",	  "@/",	 "@a",	  "@a/",  "@/a",	   "@a/b/c",
		"@a/@b", "a/b", "@a/b@1", "a+b", "@-a/b", "@A/b", "git+https://x", "@a b/c",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_package("apt", bad[i], bad[i], apt_rule);
	for (size_t i = 0; i < ARRAY_LEN(bad_npm); i++)
		assert_package("npm", bad_npm[i], bad_npm[i], npm_rule);
	assert_package("apt", "a\\n-y", "a\\n-y", apt_rule);
	assert_row_count(0);
}

static void test_how_many_packages(void **state)
{
	char text[1024];

	(void)state;
	tool_run(tool_host_install_packages, "{}");
	assert_answer("error: Name at least one package, in `apt` or in `npm`.");
	tool_run(tool_host_install_packages, "{'apt':[],'npm':[],'reason':'x'}");
	assert_answer("error: Name at least one package, in `apt` or in `npm`.");
	strcpy(text, "{'apt':['a'],'npm':['a'");
	for (int i = 0; i < 19; i++)
		strcat(text, ",'a'");
	strcat(text, "]}");
	tool_run(tool_host_install_packages, text);
	assert_answer("error: At most 20 packages can be asked for at once, not 21.");

	/* npm's own limit: 214 */
	(void)snprintf(text, sizeof(text), "{'npm':['%0214d']}", 0);
	tool_run(tool_host_install_packages, text);
	assert_memory_equal(tool.answer, "ok: ", 4);
	(void)snprintf(text, sizeof(text), "{'npm':['%0215d']}", 0);
	tool_run(tool_host_install_packages, text);
	assert_memory_equal(tool.answer, "error: \"000", 11);
	assert_row_count(1);
}

static void test_create_agent(void **state)
{
	char id[64], expected[256];

	(void)state;
	tool_run(tool_host_create_agent, "{'name':'Weather \\'W\\'','instructions':'Watch it.'}");
	assert_answer("ok: The host is asked to create the agent \"Weather \\\"W\\\"\". You will "
		      "be told when it is there; only then can it be written to.");
	(void)snprintf(
		id, sizeof(id), "%s",
		sqlite_query(tool.outbound_path, "SELECT id FROM messages_out", &tool_result));
	id[strcspn(id, "\n")] = '\0';
	assert_memory_equal(id, "msg-", 4);
	(void)snprintf(
		expected, sizeof(expected),
		"system|null|null|null|null|{\"action\":\"create_agent\",\"requestId\":\"%s\","
		"\"name\":\"Weather \\\"W\\\"\",\"instructions\":\"Watch it.\"}",
		id);
	assert_row(expected);
}

static void test_create_agent_without_instructions(void **state)
{
	(void)state;
	tool_run(tool_host_create_agent, "{'name':'helper'}");
	assert_string_equal(
		sqlite_query(tool.outbound_path,
			     "SELECT json_type(content, '$.instructions') FROM messages_out",
			     &tool_result),
		"null\n");
}

static void test_names_of_agents(void **state)
{
	char text[256];

	(void)state;
	tool_run(tool_host_create_agent, "{'name':'a\\nb'}");
	assert_answer("error: \"a\\nb\" cannot be an agent's name: it is one line of at most 64 "
		      "bytes.");
	(void)snprintf(text, sizeof(text), "{'name':'%065d'}", 0);
	tool_run(tool_host_create_agent, text);
	(void)snprintf(text, sizeof(text),
		       "error: \"%065d\" cannot be an agent's name: it is one line of at most 64 "
		       "bytes.",
		       0);
	assert_answer(text);
	assert_row_count(0);
}

static void test_add_mcp_server(void **state)
{
	(void)state;
	tool_run(tool_host_add_mcp_server,
		 "{'name':'my-Server_1','command':'npx','args':['-y','x'],'env':{'A':'\\'b\\''}}");
	assert_answer("ok: An administrator is asked for the MCP server \"my-Server_1\". You will "
		      "be told what was decided. If it is yes, your container is restarted and has "
		      "its tools.");
	assert_row("system|null|null|null|null|{\"action\":\"add_mcp_server\","
		   "\"name\":\"my-Server_1\",\"command\":\"npx\",\"args\":[\"-y\",\"x\"],"
		   "\"env\":{\"A\":\"\\\"b\\\"\"}}");
	tool_run(tool_host_add_mcp_server, "{'name':'a','command':'b'}");
	assert_row("system|null|null|null|null|{\"action\":\"add_mcp_server\",\"name\":\"a\","
		   "\"command\":\"b\",\"args\":[],\"env\":{}}");
}

static void test_names_of_servers(void **state)
{
	static const char *const bad[] = { "_a", "-a", "a b", "a.b", "a/b", "ä" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(text, sizeof(text), "{'name':'%s','command':'b'}", bad[i]);
		tool_run(tool_host_add_mcp_server, text);
		(void)snprintf(
			text, sizeof(text),
			"error: \"%s\" cannot be a server's name: it is letters, digits, _ "
			"and -, begins with a letter or a digit, and has at most 64 of them.",
			bad[i]);
		assert_answer(text);
	}
	tool_run(tool_host_add_mcp_server, "{'name':'nanoclaw','command':'b'}");
	assert_answer(
		"error: \"nanoclaw\" is the name of the server that this tool is from. Choose "
		"another one.");
	assert_row_count(0);
	/* It bears the name that container.json gives it. */
	tool.context.server_name = "ours";
	tool_run(tool_host_add_mcp_server, "{'name':'ours','command':'b'}");
	assert_answer("error: \"ours\" is the name of the server that this tool is from. Choose "
		      "another one.");
	tool_run(tool_host_add_mcp_server, "{'name':'nanoclaw','command':'b'}");
	assert_row_count(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOOL_CASE(test_install_packages),
		TOOL_CASE(test_names_of_packages),
		TOOL_CASE(test_how_many_packages),
		TOOL_CASE(test_create_agent),
		TOOL_CASE(test_create_agent_without_instructions),
		TOOL_CASE(test_names_of_agents),
		TOOL_CASE(test_add_mcp_server),
		TOOL_CASE(test_names_of_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
