/* SPDX-License-Identifier: MIT */
/* A real socket, and clients in this process; what the tools do is this test's own. */
#include "runner/mcp/server.h"

#include <errno.h>
#include <stdlib.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "runner/mcp/exchange.h"
#include "runner/mcp/methods.h"
#include "runner/message/compaction.h"
#include "tests/folder.h"
#include "tests/json.h"
#include "tests/runner/mcp/rpc-client.h"

#define VERSION	  "'_meta':{'io.modelcontextprotocol/protocolVersion':'2026-07-28',"
#define META	  VERSION "'io.modelcontextprotocol/clientCapabilities':{}}"
#define SERVER	  "'name':'nanoclaw','version':'" AGENT_RUNNER_VERSION "'"
#define END	  "'resultType':'complete','_meta':{'io.modelcontextprotocol/serverInfo':{" SERVER "}}"
#define CALLS_MAX (EXCHANGES_MAX + 1)

static struct {
	struct folder folder;
	char path[96];
	struct loop *loop;
	struct server *server;
	struct server_options options;
	struct inbound_destinations destinations;
	struct rpc_client ann, bob;
	struct call *calls[CALLS_MAX]; /* that wait, NULL once they are over */
	size_t count;
	struct call *writing; /* waits for the disk */
	char row[512];
	int forgotten, released;
} w;

/* Tools */

static void run_echo(struct call *call, const json_t *arguments)
{
	const char *text = json_member_string(arguments, "text");

	if (strcmp(text, "no") == 0)
		call_fail(call, "I do not say %s.", text);
	else
		call_answer(call, "%s", text);
}

static void on_release(void *state)
{
	struct call **place = state;

	*place = NULL;
	w.released++;
}

static void run_wait(struct call *call, const json_t *arguments)
{
	(void)arguments;
	assert_true(w.count < CALLS_MAX);
	w.calls[w.count] = call;
	call_hold(call, &w.calls[w.count++], on_release);
}

static void on_written(struct call *call, int64_t seq)
{
	call_answer(call, "It has the number %d.", (int)seq);
}

static void run_write(struct call *call, const json_t *arguments)
{
	const struct outbound_message message = { .kind = "chat", .content = "{}" };

	(void)arguments;
	call_write(call, &message, on_written);
}

static const struct schema_field fields[] = {
	{ "text", SCHEMA_STRING, true, "what to say" },
};

static const struct tools_row rows[] = {
	{ "echo", "Echo", "Says it again.", fields, 1, .run = run_echo },
	{ "wait", "Wait", "Waits.", NULL, 0, .run = run_wait },
	{ "write", "Write", "Writes a row.", NULL, 0, .run = run_write },
};

const struct tools_row *tools_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(rows);
	return rows;
}

/* Services */

static int on_write(void *userdata, const struct outbound_message *message, struct call *call)
{
	assert_ptr_equal(userdata, &w);
	(void)snprintf(w.row, sizeof(w.row), "%s %s %s", message->kind,
		       message->id ? message->id : "-", message->content);
	w.writing = call;
	return 0;
}

static void on_forget(void *userdata, struct call *call)
{
	assert_ptr_equal(userdata, &w);
	assert_ptr_equal(call, w.writing);
	w.writing = NULL;
	w.forgotten++;
}

static void on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	(void)thread;
	(void)userdata;
	(void)to;
	(void)text;
}

static const struct inbound_destinations *on_destinations(void *userdata)
{
	assert_ptr_equal(userdata, &w);
	return &w.destinations;
}

static const struct call_services services = {
	.write = on_write,
	.forget = on_forget,
	.sent = on_sent,
	.destinations = on_destinations,
};

static void open_server(void)
{
	struct err err;

	if (server_new(&w.options, &w.server, &err) < 0)
		fail_msg("%s", err.text);
	rpc_open(&w.ann, w.loop, w.path);
	rpc_open(&w.bob, w.loop, w.path);
}

static void close_server(void)
{
	rpc_close(&w.ann);
	rpc_close(&w.bob);
	server_free(steal_ptr(w.server));
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.ann.fd = w.bob.fd = -1;
	folder_make(&w.folder);
	strcpy(w.path, folder_file(&w.folder, "socket"));
	assert_int_equal(loop_new(&w.loop, NULL), 0);
	w.options = (struct server_options){
		.socket_path = w.path,
		.name = "nanoclaw",
		.offer = { .prefix = "" },
		.context = { .loop = w.loop, .services = &services, .userdata = &w },
	};
	open_server();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_server();
	loop_free(w.loop);
	folder_remove(&w.folder);
	return 0;
}

#define ANSWER(id, result) "{'jsonrpc':'2.0','id':" id ",'result':" result "}"
#define ERROR(id, code, message) \
	"{'jsonrpc':'2.0','id':" id ",'error':{'code':" #code ",'message':'" message "'}}"
#define REQUEST(id, method, params) \
	"{'jsonrpc':'2.0','id':" id ",'method':'" method "','params':{" params "}}"
#define CALL(id, name, arguments) \
	REQUEST(id, "tools/call", "'name':'" name "','arguments':" arguments)
#define TEXT(text) "'content':[{'type':'text','text':'" text "'}]"
#define PING(id)   "{'jsonrpc':'2.0','id':" id ",'method':'ping'}"
#define CANCEL(id) \
	"{'jsonrpc':'2.0','method':'notifications/cancelled','params':{'requestId':" id "}}"

/* What is said, and what is heard; NULL: nothing is. */
static void assert_exchange(const char *say, const char *hear)
{
	rpc_say(&w.ann, say);
	assert_string_equal(rpc_hear(&w.ann), hear ? hear : "");
}

/* The life of a connection */

static void test_initialize(void **state)
{
	static const char *const versions[][2] = {
		{ "'2024-11-05'", "2024-11-05" }, { "'2025-03-26'", "2025-03-26" },
		{ "'2025-06-18'", "2025-06-18" }, { "'2025-11-25'", "2025-11-25" },
		{ "'2026-07-28'", "2025-11-25" }, { "'1999-01-01'", "2025-11-25" },
	};

	(void)state;
	/* Before it anything is answered, and it may come again. */
	assert_exchange(PING("'p'"), ANSWER("'p'", "{}"));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		char say[256], hear[256];

		(void)snprintf(say, sizeof(say),
			       REQUEST("%zu", "initialize",
				       "'protocolVersion':%s,'capabilities':{'roots':{}},"
				       "'clientInfo':{'name':'c','version':'1'}"),
			       i, versions[i][0]);
		(void)snprintf(hear, sizeof(hear),
			       ANSWER("%zu", "{'protocolVersion':'%s','capabilities':{'tools':{}},"
					     "'serverInfo':{" SERVER "}}"),
			       i, versions[i][1]);
		assert_exchange(say, hear);
	}
	assert_exchange("{'jsonrpc':'2.0','method':'notifications/initialized'}", NULL);
	assert_exchange(PING("1"), ANSWER("1", "{}"));
}

static void test_initialize_without_a_version(void **state)
{
	(void)state;
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'initialize'}",
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32602,'message':"
			"'\\'protocolVersion\\' must be a string'}}");
	assert_exchange(REQUEST("2", "initialize", "'protocolVersion':1"),
			"{'jsonrpc':'2.0','id':2,'error':{'code':-32602,'message':"
			"'\\'protocolVersion\\' must be a string'}}");
}

static void test_stateless(void **state)
{
	(void)state;
	assert_exchange(REQUEST("'probe-1'", "server/discover", META),
			ANSWER("'probe-1'",
			       "{'supportedVersions':['2026-07-28'],'capabilities':{'tools':{}},"
			       "'resultType':'complete','ttlMs':60000,'cacheScope':'private',"
			       "'_meta':{'io.modelcontextprotocol/serverInfo':{" SERVER "}}}"));
	assert_exchange(REQUEST("1", "tools/call", "'name':'echo','arguments':{'text':'hi'}," META),
			ANSWER("1", "{" TEXT("hi") "," END "}"));
	assert_exchange(REQUEST("2", "tools/call", "'name':'echo','arguments':{'text':'no'}," META),
			ANSWER("2", "{" TEXT("I do not say no.") ",'isError':true," END "}"));
	/* Nothing is remembered of it: on the same connection others speak as they like. */
	assert_exchange(CALL("3", "echo", "{'text':'hi'}"), ANSWER("3", "{" TEXT("hi") "}"));
}

static void test_what_is_not_stateless(void **state)
{
	static const char *const methods[] = {
		"ping",	     "initialize",   "subscriptions/listen",	   "logging/setLevel",
		METHODS_NCL, METHODS_STATUS, METHODS_COMPACT_INSTRUCTIONS,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		char say[256], hear[256];

		(void)snprintf(say, sizeof(say), REQUEST("1", "%s", META), methods[i]);
		(void)snprintf(hear, sizeof(hear),
			       "{'jsonrpc':'2.0','id':1,'error':{'code':-32601,'message':"
			       "'there is no method \\'%s\\''}}",
			       methods[i]);
		assert_exchange(say, hear);
	}
	/* Nor is this anything to somebody who names no version. */
	assert_exchange(REQUEST("1", "server/discover", ""),
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32601,'message':"
			"'there is no method \\'server/discover\\''}}");
}

static void test_odd_stateless_requests(void **state)
{
	(void)state;
	assert_exchange(REQUEST("1", "server/discover",
				"'_meta':{'io.modelcontextprotocol/protocolVersion':'2025-11-25'}"),
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32022,'message':"
			"'unsupported protocol version','data':{'supported':['2026-07-28'],"
			"'requested':'2025-11-25'}}}");
	assert_exchange(
		REQUEST("2", "tools/list", VERSION "'x':1}"),
		"{'jsonrpc':'2.0','id':2,'error':{'code':-32602,'message':'\\'_meta\\' must "
		"have an object \\'io.modelcontextprotocol/clientCapabilities\\''}}");
}

static void test_unknown_methods(void **state)
{
	(void)state;
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'prompts/list'}",
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32601,'message':"
			"'there is no method \\'prompts/list\\''}}");
	assert_exchange("{'jsonrpc':'2.0','method':'notifications/roots/list_changed'}", NULL);
	assert_exchange("{'jsonrpc':'2.0','method':'tools/call','params':[]}", NULL);
	/* An answer to something that was never asked. */
	assert_exchange("{'jsonrpc':'2.0','id':1,'result':{}}", NULL);
}

/* Tools */

#define SCHEMA(properties) "'inputSchema':{'type':'object','properties':{" properties "}"
#define HINTS                                                          \
	"'annotations':{'readOnlyHint':false,'destructiveHint':false," \
	"'idempotentHint':false,'openWorldHint':false}"
#define LIST(prefix)                                                                               \
	"'tools':[{'name':'" prefix "echo','title':'Echo','description':'Says it again.'," SCHEMA( \
		"'text':{'type':'string','description':'what to say'}") ",'required':['text']}"    \
									"," HINTS "}"

static void test_the_list(void **state)
{
	static const char all[] =
		LIST("") ",{'name':'wait','title':'Wait','description':'Waits.'," SCHEMA(
			"") "}," HINTS "},{'name':'write','title':'Write','description':'Writes a "
			    "row.'," SCHEMA("") "}," HINTS "}]";
	char expected[2048];

	(void)state;
	(void)snprintf(expected, sizeof(expected), ANSWER("1", "{%s}"), all);
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'tools/list'}", expected);
	assert_exchange(REQUEST("1", "tools/list", "'cursor':null"), expected);
	(void)snprintf(expected, sizeof(expected),
		       ANSWER("1", "{%s,'resultType':'complete','ttlMs':60000,"
				   "'cacheScope':'private','_meta':{"
				   "'io.modelcontextprotocol/serverInfo':{" SERVER "}}}"),
		       all);
	assert_exchange(REQUEST("1", "tools/list", META), expected);
	assert_exchange(REQUEST("1", "tools/list", "'cursor':'2'"),
			ERROR("1", -32602, "invalid cursor"));
}

static void test_what_is_offered(void **state)
{
	static const char *const enabled[] = { "echo", NULL };

	(void)state;
	close_server();
	w.options.offer.prefix = "my_";
	w.options.offer.enabled = enabled;
	open_server();
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'tools/list'}",
			ANSWER("1", "{" LIST("my_") "]}"));
	assert_exchange(CALL("2", "my_echo", "{'text':'hi'}"), ANSWER("2", "{" TEXT("hi") "}"));
	assert_exchange(CALL("3", "echo", "{'text':'hi'}"),
			ANSWER("3", "{'content':[{'type':'text','text':'there is no tool "
				    "\\'echo\\''}],'isError':true}"));
	assert_exchange(CALL("4", "my_wait", "{}"),
			ANSWER("4", "{'content':[{'type':'text','text':'there is no tool "
				    "\\'my_wait\\''}],'isError':true}"));
}

static void test_calls(void **state)
{
	(void)state;
	assert_exchange(CALL("0", "echo", "{'text':'a \\\\ b\\u0007\\n\xc3\xbc','more':1}"),
			ANSWER("0", "{" TEXT("a \\\\ b\\u0007\\n\xc3\xbc") "}"));
	assert_exchange(CALL("'x'", "echo", "{'text':'no'}"),
			ANSWER("'x'", "{" TEXT("I do not say no.") ",'isError':true}"));
	/* What is wrong with arguments is told to the model. */
	assert_exchange(
		CALL("1", "echo", "{'text':5}"),
		ANSWER("1",
		       "{" TEXT("The argument `text` must be a string, not a number.") ",'isError':"
										       "true}"));
	assert_exchange(REQUEST("2", "tools/call", "'name':'echo','arguments':null"),
			ANSWER("2", "{" TEXT("The argument `text` is missing: it must be a "
					     "string.") ",'isError':true}"));
	/* What is wrong with the call is the client's affair. */
	assert_exchange(CALL("3", "echo", "['hi']"),
			"{'jsonrpc':'2.0','id':3,'error':{'code':-32602,'message':"
			"'\\'arguments\\' must be an object'}}");
	assert_exchange(REQUEST("4", "tools/call", "'name':7"),
			"{'jsonrpc':'2.0','id':4,'error':{'code':-32602,'message':"
			"'\\'name\\' must name a tool'}}");
	/* Not the name that stands before the NUL. */
	assert_exchange(CALL("4", "echo\\u0000x", "{'text':'hi'}"),
			"{'jsonrpc':'2.0','id':4,'error':{'code':-32602,'message':"
			"'\\'name\\' must name a tool'}}");
	assert_exchange("{'jsonrpc':'2.0','id':5,'method':'tools/call'}",
			"{'jsonrpc':'2.0','id':5,'error':{'code':-32602,'message':"
			"'\\'name\\' must name a tool'}}");
}

/* Calls that wait */

static void test_a_call_that_waits_holds_nothing_up(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "wait", "{}"), NULL);
	assert_exchange(CALL("2", "wait", "{}"), NULL);
	assert_string_equal(call_context(w.calls[0])->server_name, "nanoclaw");
	assert_exchange(PING("3"), ANSWER("3", "{}"));
	assert_exchange(CALL("4", "echo", "{'text':'hi'}"), ANSWER("4", "{" TEXT("hi") "}"));
	call_answer(w.calls[1], "second");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("2", "{" TEXT("second") "}"));
	call_fail(w.calls[0], "first");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{" TEXT("first") ",'isError':true}"));
	assert_int_equal(w.released, 2);
}

static void test_a_row_that_waits_for_the_disk(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "write", "{}"), NULL);
	assert_string_equal(w.row, "chat - {}");
	assert_exchange(PING("2"), ANSWER("2", "{}"));
	call_written(steal_ptr(w.writing), 17);
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{" TEXT("It has the number 17.") "}"));
	assert_int_equal(w.forgotten, 0);
}

static void test_two_clients_with_the_same_numbers(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "wait", "{}"), NULL);
	rpc_say(&w.bob, CALL("1", "wait", "{}"));
	rpc_settle(w.loop);
	assert_int_equal(w.count, 2);
	rpc_say(&w.bob, CANCEL("1"));
	rpc_settle(w.loop);
	assert_non_null(w.calls[0]);
	assert_null(w.calls[1]);
	call_answer(w.calls[0], "for Ann");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{" TEXT("for Ann") "}"));
	assert_string_equal(rpc_hear(&w.bob), "");
}

static void test_cancelled(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "wait", "{}"), NULL);
	assert_exchange(CALL("'1'", "wait", "{}"), NULL);
	assert_exchange(CALL("2", "write", "{}"), NULL);
	/* Nothing that is in progress. */
	assert_exchange(CANCEL("7"), NULL);
	assert_exchange(CANCEL("null"), NULL);
	assert_exchange(CANCEL("{}"), NULL);
	assert_exchange("{'jsonrpc':'2.0','method':'notifications/cancelled'}", NULL);
	assert_int_equal(w.released, 0);
	/* By type and value, in whatever version; and once is enough. */
	assert_exchange(CANCEL("'1'"), NULL);
	assert_null(w.calls[1]);
	assert_non_null(w.calls[0]);
	assert_exchange("{'jsonrpc':'2.0','method':'notifications/cancelled','params':{"
			"'requestId':1,'reason':'AbortError'," META "}}",
			NULL);
	assert_int_equal(w.released, 2);
	assert_exchange(CANCEL("1"), NULL);
	assert_exchange(CANCEL("2"), NULL);
	assert_int_equal(w.forgotten, 1);
	/* Its number is free again. */
	assert_exchange(CALL("1", "echo", "{'text':'hi'}"), ANSWER("1", "{" TEXT("hi") "}"));
}

static void test_progress(void **state)
{
	(void)state;
	assert_exchange(REQUEST("1", "tools/call", "'name':'wait','_meta':{'progressToken':'t'}"),
			NULL);
	assert_exchange(REQUEST("2", "tools/call", "'name':'wait','_meta':{'progressToken':7}"),
			NULL);
	assert_exchange(REQUEST("3", "tools/call", "'name':'wait','_meta':{'progressToken':[1]}"),
			NULL);
	assert_exchange(CALL("4", "wait", "{}"), NULL);
	call_progress(w.calls[0], 10, 300.5, "still 'there'");
	assert_string_equal(rpc_hear(&w.ann),
			    "{'jsonrpc':'2.0','method':'notifications/progress','params':{"
			    "'progressToken':'t','progress':10,'total':300.5,"
			    "'message':'still 'there''}}");
	call_progress(w.calls[1], 12345678, 12345679, "");
	assert_string_equal(
		rpc_hear(&w.ann),
		"{'jsonrpc':'2.0','method':'notifications/progress','params':{"
		"'progressToken':7,'progress':12345678,'total':12345679,'message':''}}");
	/* Who did not ask is not told. */
	call_progress(w.calls[2], 1, 2, "x");
	call_progress(w.calls[3], 1, 2, "x");
	assert_string_equal(rpc_hear(&w.ann), "");
	call_answer(w.calls[0], "done");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{" TEXT("done") "}"));
}

/* Clients that go */

static void test_a_client_vanishes(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "wait", "{}"), NULL);
	assert_exchange(CALL("2", "write", "{}"), NULL);
	rpc_say(&w.bob, CALL("1", "wait", "{}"));
	rpc_settle(w.loop);
	rpc_close(&w.ann);
	rpc_settle(w.loop);
	assert_null(w.calls[0]);
	assert_non_null(w.calls[1]);
	assert_int_equal(w.forgotten, 1);
	call_answer(w.calls[1], "for Bob");
	assert_string_equal(rpc_hear(&w.bob), ANSWER("1", "{" TEXT("for Bob") "}"));
}

static void test_a_client_that_asks_nothing_more_is_answered(void **state)
{
	(void)state;
	rpc_say(&w.ann, CALL("1", "wait", "{}"));
	rpc_say(&w.ann, CALL("2", "wait", "{}"));
	rpc_say(&w.ann, CALL("3", "echo", "{'text':'hi'}"));
	assert_int_equal(shutdown(w.ann.fd, SHUT_WR), 0);
	assert_string_equal(rpc_hear(&w.ann), ANSWER("3", "{" TEXT("hi") "}"));
	assert_string_equal(rpc_hear(&w.ann), "");
	call_answer(w.calls[1], "second");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("2", "{" TEXT("second") "}"));
	assert_string_equal(rpc_hear(&w.ann), "");
	call_answer(w.calls[0], "first");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{" TEXT("first") "}"));
	assert_string_equal(rpc_hear(&w.ann), "EOF");
	/* One that has nothing in progress is let go at once. */
	assert_int_equal(shutdown(w.bob.fd, SHUT_WR), 0);
	assert_string_equal(rpc_hear(&w.bob), "EOF");
}

static void test_the_end_of_the_server(void **state)
{
	(void)state;
	assert_exchange(CALL("1", "wait", "{}"), NULL);
	assert_exchange(CALL("2", "write", "{}"), NULL);
	assert_exchange("[" CALL("3", "wait", "{}") "]", NULL);
	server_free(steal_ptr(w.server));
	assert_int_equal(w.released, 2);
	assert_int_equal(w.forgotten, 1);
	assert_string_equal(rpc_hear(&w.ann), "EOF");
	server_free(NULL);
}

static void test_no_place_for_the_socket(void **state)
{
	struct server *server = NULL;
	struct err err;

	(void)state;
	w.options.socket_path = "/nonexistent/socket";
	assert_int_equal(server_new(&w.options, &server, &err), -ENOENT);
	assert_null(server);
	assert_string_equal(err.text, "/nonexistent/socket: No such file or directory");
}

/* What is no message */

static void test_garbage(void **state)
{
	(void)state;
	assert_exchange("{", "{'jsonrpc':'2.0','id':null,'error':{'code':-32700,'message':"
			     "'line 1, column 1: string or '}' expected near end of file'}}");
	assert_exchange("\xff\xfe", "{'jsonrpc':'2.0','id':null,'error':{'code':-32700,'message':"
				    "'line 1, column 0: unable to decode byte 0xff'}}");
	assert_exchange("7", ERROR("null", -32600, "a message is a JSON object"));
	assert_exchange("{'id':'x'}", "{'jsonrpc':'2.0','id':'x','error':{'code':-32600,'message':"
				      "'\\'jsonrpc\\' must be \\'2.0\\''}}");
	assert_exchange("{'jsonrpc':'2.0','id':null,'method':'ping'}",
			"{'jsonrpc':'2.0','id':null,'error':{'code':-32600,'message':"
			"'\\'id\\' must be a string or an integer'}}");
	assert_exchange("", NULL);
	assert_exchange(" \t\r", NULL);
	/* None of it ends the connection. */
	assert_exchange(PING("1") "\r", ANSWER("1", "{}"));
}

static void test_overlong(void **state)
{
	size_t len = SERVER_LINE_MAX + 1;
	cleanup_free char *line = malloc(len + 1);

	(void)state;
	memset(line, ' ', len);
	line[len] = '\n';
	rpc_send(&w.ann, line, len + 1);
	for (int i = 0; i < 64; i++)
		rpc_turn(w.loop);
	assert_string_equal(
		rpc_hear(&w.ann),
		ERROR("null", -32600,
		      "a request of 16777217 bytes is too long: 16777216 is the limit"));
	assert_exchange(PING("1"), ANSWER("1", "{}"));
}

/* Batches (2025-03-26) */

static void test_batches(void **state)
{
	(void)state;
	assert_exchange(
		"[" PING("1") ",{'jsonrpc':'2.0','method':'notifications/initialized'}," CALL(
			"'2'", "echo", "{'text':'hi'}") "]",
		"[" ANSWER("1", "{}") "," ANSWER("'2'", "{" TEXT("hi") "}") "]");
	assert_exchange("[{'jsonrpc':'2.0','method':'notifications/initialized'}]", NULL);
	assert_exchange("[]", ERROR("null", -32600, "an empty batch"));
	assert_exchange("[7,[],{'jsonrpc':'2.0','id':1,'method':'x'}]",
			"[" ERROR("null", -32600, "a message is a JSON object") "," ERROR(
				"null", -32600,
				"a message is a JSON object") ","
							      "{'jsonrpc':'2.0','id':1,'error':{'"
							      "code':-32601,'message':"
							      "'there is no method \\'x\\''}}]");
}

static void test_a_batch_is_answered_together(void **state)
{
	(void)state;
	assert_exchange("[" CALL("1", "wait", "{}") "," PING("2") "," CALL("3", "wait", "{}") "]",
			NULL);
	assert_exchange(PING("4"), ANSWER("4", "{}"));
	call_answer(w.calls[1], "b");
	assert_string_equal(rpc_hear(&w.ann), "");
	call_answer(w.calls[0], "a");
	assert_string_equal(rpc_hear(&w.ann),
			    "[" ANSWER("2", "{}") "," ANSWER("3", "{" TEXT("b") "}") "," ANSWER(
				    "1", "{" TEXT("a") "}") "]");
}

static void test_cancelled_in_a_batch(void **state)
{
	(void)state;
	/* Within the batch, after it, and all of it. */
	assert_exchange("[" CALL("1", "wait", "{}") "," CANCEL("1") "]", NULL);
	assert_exchange("[" CALL("1", "wait", "{}") "," PING("2") "]", NULL);
	assert_exchange(CANCEL("1"), "[" ANSWER("2", "{}") "]");
	assert_exchange("[" CALL("1", "wait", "{}") "," CALL("2", "wait", "{}") "]", NULL);
	assert_exchange(CANCEL("2"), NULL);
	assert_exchange(CANCEL("1"), NULL);
	assert_int_equal(w.released, 4);
}

static void test_a_client_vanishes_with_a_batch(void **state)
{
	(void)state;
	assert_exchange("[" CALL("1", "wait", "{}") "," PING("2") "," CALL("3", "wait", "{}") "]",
			NULL);
	rpc_close(&w.ann);
	rpc_settle(w.loop);
	assert_int_equal(w.released, 2);
	/* And one that is only done with asking. */
	rpc_say(&w.bob, "[" CALL("1", "wait", "{}") "," PING("2") "]");
	assert_int_equal(shutdown(w.bob.fd, SHUT_WR), 0);
	assert_string_equal(rpc_hear(&w.bob), "");
	call_answer(w.calls[2], "a");
	assert_string_equal(rpc_hear(&w.bob),
			    "[" ANSWER("2", "{}") "," ANSWER("1", "{" TEXT("a") "}") "]");
	assert_string_equal(rpc_hear(&w.bob), "EOF");
}

/* Limits */

static void say_pings(size_t count)
{
	cleanup_strbuf struct strbuf batch = STRBUF_EMPTY;

	for (size_t i = 0; i < count; i++)
		strbuf_printf(&batch, "%c" PING("%zu"), i == 0 ? '[' : ',', i);
	strbuf_putc(&batch, ']');
	rpc_say(&w.ann, batch.data);
}

static void test_long_batches(void **state)
{
	const char *heard;

	(void)state;
	say_pings(SERVER_BATCH_MAX + 1);
	assert_string_equal(
		rpc_hear(&w.ann),
		ERROR("null", -32600, "a batch of 17 messages is too long: 16 is the limit"));
	say_pings(SERVER_BATCH_MAX);
	heard = rpc_hear(&w.ann);
	assert_memory_equal(heard, "[" ANSWER("0", "{}") "," ANSWER("1", "{}") ",", 74);
	assert_non_null(strstr(heard, "," ANSWER("15", "{}") "]"));
}

static void test_too_many_requests(void **state)
{
	char say[128];

	(void)state;
	for (int i = 0; i < EXCHANGES_MAX; i++) {
		(void)snprintf(say, sizeof(say), CALL("%d", "wait", "{}"), i);
		rpc_say(&w.ann, say);
		if (i % 64 == 0)
			rpc_settle(w.loop);
	}
	rpc_settle(w.loop);
	assert_int_equal(w.count, EXCHANGES_MAX);
	/* Whoever asks. */
	rpc_say(&w.bob, PING("'x'"));
	assert_string_equal(rpc_hear(&w.bob), ERROR("'x'", -32603, "too many requests at once"));
	rpc_say(&w.bob, "[" PING("1") "]");
	assert_string_equal(rpc_hear(&w.bob),
			    "[" ERROR("1", -32603, "too many requests at once") "]");
	call_answer(w.calls[5], "done");
	assert_string_equal(rpc_hear(&w.ann), ANSWER("5", "{" TEXT("done") "}"));
	rpc_say(&w.bob, PING("'x'"));
	assert_string_equal(rpc_hear(&w.bob), ANSWER("'x'", "{}"));
	rpc_close(&w.ann);
	rpc_settle(w.loop);
	assert_int_equal(w.released, EXCHANGES_MAX);
}

/* Rows of kind system, and methods of our own */

static bool offer(const char *text)
{
	cleanup_json json_t *content = test_json(text);

	if (!server_awaits(w.server, content)) {
		assert_false(server_offer(w.server, content));
		return false;
	}
	return server_offer(w.server, content);
}

static void test_ncl(void **state)
{
	char frame[256], id[64];

	(void)state;
	assert_exchange(REQUEST("1", METHODS_NCL, "'command':'groups-list','args':{'limit':'2'}"),
			NULL);
	assert_int_equal(sscanf(w.row, "system %63s ", id), 1);
	assert_memory_equal(id, "cli-", 4);
	assert_false(server_awaits_person(w.server));
	assert_true(server_awaits_answer(w.server));
	(void)snprintf(frame, sizeof(frame),
		       "{'requestId':'%s','frame':{'id':'r','ok':true,'data':[{'a':1}]}}", id);
	call_written(steal_ptr(w.writing), 3);
	assert_false(offer("{'requestId':'cli-other','frame':{}}"));
	assert_false(offer("{'questionId':'cli-other'}"));
	assert_true(offer(frame));
	assert_string_equal(rpc_hear(&w.ann), ANSWER("1", "{'id':'r','ok':true,'data':[{'a':1}]}"));
	assert_false(server_awaits_answer(w.server));
	assert_false(offer(frame));
}

static void test_odd_ncl(void **state)
{
	(void)state;
	assert_exchange(REQUEST("1", METHODS_NCL, "'args':{}"),
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32602,'message':"
			"'\\'command\\' must name a command'}}");
	assert_exchange(REQUEST("1", METHODS_NCL, "'command':'help\\u0000x'"),
			"{'jsonrpc':'2.0','id':1,'error':{'code':-32602,'message':"
			"'\\'command\\' must name a command'}}");
	assert_exchange(REQUEST("2", METHODS_NCL, "'command':'help'"), NULL);
	/* Whoever asked is gone: what the host says to it is for nobody. */
	rpc_close(&w.ann);
	rpc_settle(w.loop);
	assert_int_equal(w.forgotten, 1);
}

static void test_status(void **state)
{
	(void)state;
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'" METHODS_STATUS "'}",
			ANSWER("1", "{'servers':[]}"));
	server_set_status(w.server, json_pack("[{s:s, s:s}]", "name", "a", "status", "failed"));
	assert_exchange("{'jsonrpc':'2.0','id':2,'method':'" METHODS_STATUS "'}",
			ANSWER("2", "{'servers':[{'name':'a','status':'failed'}]}"));
	server_set_status(w.server, json_array());
	assert_exchange("{'jsonrpc':'2.0','id':3,'method':'" METHODS_STATUS "'}",
			ANSWER("3", "{'servers':[]}"));
}

static void test_compact_instructions(void **state)
{
	struct inbound_destination casa = { .name = (char[]){ "casa" } };
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, hear = STRBUF_EMPTY;

	(void)state;
	w.destinations = (struct inbound_destinations){ &casa, 1 };
	assert_int_equal(compaction_compose(&w.destinations, &text), 0);
	strbuf_puts(&hear, "{'jsonrpc':'2.0','id':1,'result':{'text':");
	json_append_string(&hear, text.data, text.len);
	strbuf_puts(&hear, "}}");
	for (char *c = hear.data; *c; c++)
		if (*c == '"')
			*c = '\'';
	assert_non_null(strstr(hear.data, "casa"));
	assert_exchange("{'jsonrpc':'2.0','id':1,'method':'" METHODS_COMPACT_INSTRUCTIONS "'}",
			hear.data);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_initialize),
		CASE(test_initialize_without_a_version),
		CASE(test_stateless),
		CASE(test_what_is_not_stateless),
		CASE(test_odd_stateless_requests),
		CASE(test_unknown_methods),
		CASE(test_the_list),
		CASE(test_what_is_offered),
		CASE(test_calls),
		CASE(test_a_call_that_waits_holds_nothing_up),
		CASE(test_a_row_that_waits_for_the_disk),
		CASE(test_two_clients_with_the_same_numbers),
		CASE(test_cancelled),
		CASE(test_progress),
		CASE(test_a_client_vanishes),
		CASE(test_a_client_that_asks_nothing_more_is_answered),
		CASE(test_the_end_of_the_server),
		CASE(test_no_place_for_the_socket),
		CASE(test_garbage),
		CASE(test_overlong),
		CASE(test_batches),
		CASE(test_a_batch_is_answered_together),
		CASE(test_cancelled_in_a_batch),
		CASE(test_a_client_vanishes_with_a_batch),
		CASE(test_long_batches),
		CASE(test_too_many_requests),
		CASE(test_ncl),
		CASE(test_odd_ncl),
		CASE(test_status),
		CASE(test_compact_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
