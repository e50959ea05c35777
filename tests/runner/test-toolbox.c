/* SPDX-License-Identifier: MIT */
#include "runner/toolbox.h"

#include <sys/resource.h>

#include "runner/io/json.h"
#include "runner/io/rundir.h"
#include "tests/capture.h"
#include "tests/runner/exchange.h"
#include "tests/runner/mcp/rpc-client.h"

static struct capture capture;

struct world {
	struct exchange x;
	struct folder runtime; /* where the loop's socket goes */
	struct config *config;
	struct inbound_destinations destinations;
	struct toolbox *toolbox;
	struct rpc_client client;
	struct strbuf log; /* what the session was told, each followed by | */
	char *question;	   /* that was answered last */
	bool starves;	   /* the toolbox finds no descriptor free */
};

static void on_writing(void *userdata)
{
	struct world *w = userdata;

	strbuf_puts(&w->log, "writing|");
}

static void on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	struct world *w = userdata;

	(void)thread;
	strbuf_printf(&w->log, "sent %s %s|", to ? to : "-", text ? text : "-");
}

static const struct inbound_destinations *on_destinations(void *userdata)
{
	const struct world *w = userdata;

	return &w->destinations;
}

static void on_note(void *userdata, const char *text)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "note %s|", text);
}

/* With this container.json. */
static void open_toolbox(struct world *w, const char *json)
{
	static const struct toolbox_events events = {
		.writing = on_writing,
		.sent = on_sent,
		.destinations = on_destinations,
		.note = on_note,
	};
	struct toolbox_options options = {
		.loop = w->x.loop,
		.workspace = w->x.folder.path,
		.self = "/x/agent-runner",
		.inbound_path = w->x.inbound,
		.outbound = w->x.outbound,
		.outbox = w->x.outbox,
	};
	struct rlimit before, none = { .rlim_cur = 0 };
	int r;

	toolbox_free(steal_ptr(w->toolbox));
	config_free(steal_ptr(w->config));
	folder_write(&w->x.folder, "container.json", json);
	assert_int_equal(config_load(folder_file(&w->x.folder, "container.json"), &w->config, NULL),
			 0);
	options.config = w->config;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, w->starves ? &none : &before), 0);
	r = toolbox_new(&options, &events, w, &w->toolbox);
	if (r == 0)
		toolbox_prepare(w->toolbox);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, 0);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .client = { .fd = -1 } };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	folder_make(&w->runtime);
	assert_int_equal(setenv("TMPDIR", w->runtime.path, 1), 0);
	assert_int_equal(unsetenv("AGENT_PROVIDER"), 0);
	open_toolbox(w, "{}");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	rpc_close(&w->client);
	toolbox_free(w->toolbox);
	config_free(w->config);
	strbuf_deinit(&w->log);
	free(w->question);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	folder_remove(&w->runtime);
	return 0;
}

static void assert_log(struct world *w, const char *expected)
{
	assert_string_equal(w->log.len ? w->log.data : "", expected);
	strbuf_reset(&w->log);
}

/* What the client says, and hears. */
static const char *ask(struct world *w, const char *line)
{
	if (w->client.fd < 0) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/socket", toolbox_folder(w->toolbox));
		rpc_open(&w->client, w->x.loop, path);
	}
	rpc_say(&w->client, line);
	return rpc_hear(&w->client);
}

#define CALL(name, arguments)                                                        \
	"{'jsonrpc':'2.0','id':1,'method':'tools/call','params':{'name':'" name "'," \
	"'arguments':" arguments "}}"
#define ANSWER(text, rest)                                                                         \
	"{'jsonrpc':'2.0','id':1,'result':{'content':[{'type':'text','text':'" text "'}]" rest "}" \
	"}"

/* What the agent is given */

static void test_our_server(void **state)
{
	cleanup_strbuf struct strbuf servers = STRBUF_EMPTY;
	struct world *w = *state;
	char expected[512];

	assert_memory_equal(toolbox_folder(w->toolbox), w->runtime.path, strlen(w->runtime.path));
	(void)snprintf(expected, sizeof(expected), "AGENT_SOCKET=%s/socket",
		       toolbox_folder(w->toolbox));
	assert_string_equal(toolbox_env(w->toolbox)[0], expected);
	assert_null(toolbox_env(w->toolbox)[1]);
	json_append_compact(&servers, toolbox_servers(w->toolbox));
	(void)snprintf(expected, sizeof(expected),
		       "{\"nanoclaw\":{\"command\":\"/x/agent-runner\",\"args\":[\"mcp\"],"
		       "\"env\":{\"AGENT_SOCKET\":\"%s/socket\"}}}",
		       toolbox_folder(w->toolbox));
	assert_string_equal(servers.data, expected);
	assert_string_equal(ask(w, "{'jsonrpc':'2.0','id':1,'method':'ping'}"),
			    "{'jsonrpc':'2.0','id':1,'result':{}}");
}

static void test_other_servers(void **state)
{
	struct world *w = *state;
	const json_t *servers;

	open_toolbox(w, "{\"mcpServerName\": \"mine\", \"mcpServers\": {\"files\": {\"command\":"
			" \"f\"}}}");
	servers = toolbox_servers(w->toolbox);
	assert_int_equal(json_object_size(servers), 2);
	assert_string_equal(json_member_string(json_member(servers, "files"), "command"), "f");
	assert_string_equal(json_member_string(json_member(servers, "mine"), "command"),
			    "/x/agent-runner");
	/* The configuration is as it was. */
	assert_int_equal(json_object_size(w->config->mcp_servers), 1);
}

static void test_a_server_of_our_name(void **state)
{
	struct world *w = *state;

	capture_start(&capture, STDERR_FILENO);
	open_toolbox(w, "{\"mcpServers\": {\"nanoclaw\": {\"command\": \"f\"}}}");
	assert_string_equal(
		capture_stop(&capture),
		"agent-runner: warning: container.json: the MCP server \"nanoclaw\" has "
		"the name of ours: left out\n");
	assert_string_equal(
		json_member_string(json_member(toolbox_servers(w->toolbox), "nanoclaw"), "command"),
		"/x/agent-runner");
}

static void test_names_of_tools(void **state)
{
	struct world *w = *state;

	assert_string_equal(toolbox_tool_name(w->toolbox, "send_message"), "send_message");
	assert_string_equal(toolbox_tool_name(w->toolbox, "send_file"), "send_file");
	assert_null(toolbox_tool_name(w->toolbox, "dance"));
	open_toolbox(w, "{\"mcpToolPrefix\": \"x_\", \"mcpTools\": [\"send_file\"]}");
	assert_null(toolbox_tool_name(w->toolbox, "send_message"));
	assert_string_equal(toolbox_tool_name(w->toolbox, "send_file"), "x_send_file");
}

/* The agent works without our tools; what it is given besides is still for it. */
static void test_no_place_for_the_socket(void **state)
{
	struct world *w = *state;

	w->starves = true;
	capture_start(&capture, STDERR_FILENO);
	open_toolbox(w, "{\"mcpServers\": {\"files\": {\"command\": \"f\"}}}");
	(void)capture_stop(&capture);
	assert_non_null(strstr(capture.text, "agent-runner: error: no folder can be made for the "
					     "socket: "));
	assert_non_null(strstr(capture.text,
			       ": Too many open files: the agent has no tools of ours "
			       "(send_message, …)\n"));
	assert_int_equal(json_object_size(toolbox_servers(w->toolbox)), 1);
	assert_null(toolbox_env(w->toolbox)[0]);
	assert_null(toolbox_tool_name(w->toolbox, "send_message"));
	assert_false(toolbox_awaits_person(w->toolbox));
	/* The next agent may have them. */
	toolbox_prepare(w->toolbox);
	assert_int_equal(json_object_size(toolbox_servers(w->toolbox)), 2);
	assert_non_null(toolbox_tool_name(w->toolbox, "send_message"));
	assert_string_equal(ask(w, "{'jsonrpc':'2.0','id':1,'method':'ping'}"),
			    "{'jsonrpc':'2.0','id':1,'result':{}}");
}

/* What an agent took away is there again when the next one starts. */
static void test_renewed(void **state)
{
	struct world *w = *state;
	char moved[128], socket[128];
	cleanup_free char *found = NULL;
	struct err err;
	struct stat st;

	(void)snprintf(socket, sizeof(socket), "%s/socket", toolbox_folder(w->toolbox));
	toolbox_prepare(w->toolbox);
	assert_int_equal(unlink(socket), 0);
	capture_start(&capture, STDERR_FILENO);
	toolbox_prepare(w->toolbox);
	(void)capture_stop(&capture);
	assert_non_null(strstr(capture.text, "/socket was taken away: made anew\n"));
	assert_int_equal(lstat(socket, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	/* The whole folder, and another one in its place. */
	strcpy(moved, folder_file(&w->runtime, "moved"));
	assert_int_equal(rename(toolbox_folder(w->toolbox), moved), 0);
	assert_int_equal(symlink("moved", toolbox_folder(w->toolbox)), 0);
	toolbox_prepare(w->toolbox);
	assert_int_equal(lstat(toolbox_folder(w->toolbox), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	/* Nobody may connect. */
	assert_int_equal(chmod(socket, 0), 0);
	assert_int_equal(chmod(toolbox_folder(w->toolbox), 0), 0);
	toolbox_prepare(w->toolbox);
	assert_int_equal(lstat(socket, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(rundir_find_socket(w->x.folder.path, &found, &err), 0);
	assert_string_equal(found, socket);
	rpc_open(&w->client, w->x.loop, socket);
}

/* The second goes without; the first has its tools, and its folder, also when the second is gone. */
static void test_two_of_one_workspace(void **state)
{
	struct world *w = *state;
	struct toolbox *first = steal_ptr(w->toolbox);
	struct config *config = steal_ptr(w->config);
	char expected[256];

	(void)snprintf(expected, sizeof(expected),
		       "agent-runner: error: %s/socket: another agent-runner serves this "
		       "workspace: the agent has no tools of ours (send_message, …)\n",
		       toolbox_folder(first));
	capture_start(&capture, STDERR_FILENO);
	open_toolbox(w, "{\"mcpServers\": {\"files\": {\"command\": \"f\"}}}");
	assert_string_equal(capture_stop(&capture), expected);
	assert_int_equal(json_object_size(toolbox_servers(w->toolbox)), 1);
	assert_null(toolbox_folder(w->toolbox));
	assert_null(toolbox_env(w->toolbox)[0]);
	assert_null(toolbox_tool_name(w->toolbox, "send_message"));
	toolbox_free(w->toolbox);
	config_free(w->config);
	w->toolbox = first;
	w->config = config;
	assert_string_equal(ask(w, "{'jsonrpc':'2.0','id':1,'method':'ping'}"),
			    "{'jsonrpc':'2.0','id':1,'result':{}}");
}

/* Tools at work */

static void test_a_message(void **state)
{
	struct world *w = *state;

	assert_string_equal(ask(w, CALL("send_message", "{'to':'ANN','text':'hello'}")),
			    ANSWER("Sent to \\'ann\\'. Its message id is 1.", ""));
	/* What the agent said before goes first, and the row is on disk when it is told. */
	assert_log(w, "sent ann hello|writing|");
	assert_string_equal(exchange_sent(&w->x), "NULL|a|NULL|hello\n");
	assert_string_equal(
		ask(w, CALL("send_message", "{'to':'carl','text':'hello'}")),
		ANSWER("There is no destination named \\'carl\\'. The names are \\'ann\\', "
		       "\\'bob\\', \\'helper\\'.",
		       ",'isError':true"));
	assert_log(w, "");
}

/* By this name the host would take ours for the one that is asked for. */
static void test_our_name_is_taken(void **state)
{
	struct world *w = *state;

	open_toolbox(w, "{\"mcpServerName\": \"ours\"}");
	assert_string_equal(ask(w, CALL("add_mcp_server", "{'name':'ours','command':'x'}")),
			    ANSWER("\\'ours\\' is the name of the server that this tool is from. "
				   "Choose another one.",
				   ",'isError':true"));
}

/* The host reads all of one moment at once. */
static void test_the_client_goes_before_the_row_is_on_disk(void **state)
{
	struct world *w = *state;

	assert_string_equal(ask(w, "{'jsonrpc':'2.0','id':1,'method':'ping'}"),
			    "{'jsonrpc':'2.0','id':1,'result':{}}");
	database_exec(w->x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	capture_start(&capture, STDERR_FILENO);
	assert_string_equal(ask(w, CALL("send_message", "{'to':'ann','text':'hello'}")), "");
	(void)capture_stop(&capture);
	rpc_close(&w->client);
	rpc_settle(w->x.loop);
	database_exec(w->x.outbound_path, "ALTER TABLE hidden RENAME TO messages_out");
	assert_true(outbox_flush(w->x.outbox));
	rpc_settle(w->x.loop);
	/* It was promised by nobody, but it was asked for. */
	assert_string_equal(exchange_sent(&w->x), "NULL|a|NULL|hello\n");
}

static void test_the_end_with_a_row_under_way(void **state)
{
	struct world *w = *state;

	database_exec(w->x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	capture_start(&capture, STDERR_FILENO);
	assert_string_equal(ask(w, CALL("send_message", "{'to':'ann','text':'hello'}")), "");
	(void)capture_stop(&capture);
	toolbox_free(steal_ptr(w->toolbox));
	database_exec(w->x.outbound_path, "ALTER TABLE hidden RENAME TO messages_out");
	assert_true(outbox_flush(w->x.outbox));
	rpc_settle(w->x.loop);
	assert_string_equal(rpc_hear(&w->client), "EOF");
}

static void test_what_a_killed_one_left(void **state)
{
	struct world *w = *state;

	folder_mkdir(&w->x.folder, "outbox");
	folder_mkdir(&w->x.folder, "outbox/msg-1");
	folder_write(&w->x.folder, "outbox/msg-1/.copy-0123456789abcdef", "x");
	folder_mkdir(&w->x.folder, "outbox/msg-1700000000000-sent00");
	folder_write(&w->x.folder, "outbox/msg-1700000000000-sent00/report.pdf", "x");
	folder_mkdir(&w->x.folder, "outbox/msg-1700000000000-lost00");
	folder_write(&w->x.folder, "outbox/msg-1700000000000-lost00/report.pdf", "x");
	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out(id, seq, timestamp, kind, content) VALUES "
		      "('msg-1700000000000-sent00', 1, '', 'chat', '{}')");
	capture_start(&capture, STDERR_FILENO);
	toolbox_sweep(w->toolbox);
	toolbox_sweep(w->toolbox);
	assert_string_equal(capture_stop(&capture), "agent-runner: removed from the outbox: 2 "
						    "unfinished copies of an earlier run\n");
	assert_int_equal(access(folder_file(&w->x.folder, "outbox/msg-1"), F_OK), -1);
	assert_int_equal(access(folder_file(&w->x.folder, "outbox/msg-1700000000000-lost00"), F_OK),
			 -1);
	assert_int_equal(
		access(folder_file(&w->x.folder, "outbox/msg-1700000000000-sent00/report.pdf"),
		       F_OK),
		0);
}

/* Answers of the host */

static struct inbound_row row_of(const char *content)
{
	return (struct inbound_row){
		.id = (char *)(uintptr_t) "s1",
		.kind = (char *)(uintptr_t) "system",
		.content = (char *)(uintptr_t)content,
		.content_len = strlen(content),
	};
}

static int take(struct world *w, const char *content, struct strbuf *text)
{
	const struct inbound_row row = row_of(content);
	struct err err = { "" };
	int r;

	free(steal_ptr(w->question));
	r = toolbox_take(w->toolbox, &row, &w->question, text, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(w->question != NULL, r != TOOLBOX_STRAY);
	return r;
}

static bool is_awaited(struct world *w, const char *content)
{
	const struct inbound_row row = row_of(content);

	return toolbox_is_awaited(w->toolbox, &row);
}

/* Asks, and says which number the question has. */
static const char *ask_question(struct world *w)
{
	static char id[64];

	database_exec(w->x.inbound, "INSERT INTO session_routing VALUES (1, 'chat', 'a', NULL)");
	assert_string_equal(ask(w, CALL("ask_user_question", "{'title':'Cake','question':'Which?',"
							     "'options':['Plum','None']}")),
			    "");
	(void)snprintf(id, sizeof(id), "%s",
		       database_query(w->x.outbound_path,
				      "SELECT id FROM messages_out ORDER BY seq DESC LIMIT 1"));
	id[strcspn(id, "\n")] = '\0';
	return id;
}

static void test_an_answer_in_time(void **state)
{
	struct strbuf text = STRBUF_EMPTY;
	struct world *w = *state;
	const char *id = ask_question(w);
	char content[256];

	(void)snprintf(content, sizeof(content),
		       "{\"questionId\":\"%s\",\"selectedOption\":\"Plum\"}", id);
	assert_true(toolbox_awaits_person(w->toolbox));
	assert_true(toolbox_awaits_answer(w->toolbox));
	assert_false(is_awaited(w, "{\"questionId\":\"q\"}"));
	assert_false(is_awaited(w, "not JSON"));
	assert_true(is_awaited(w, content));
	assert_int_equal(take(w, content, &text), TOOLBOX_ANSWERED);
	assert_string_equal(w->question, id);
	assert_int_equal(text.len, 0);
	assert_string_equal(rpc_hear(&w->client), ANSWER("Plum", ""));
	assert_false(toolbox_awaits_person(w->toolbox));
	assert_false(toolbox_awaits_answer(w->toolbox));
	assert_false(is_awaited(w, content));
	/* Once it is acknowledged, and before that is written, it has had its answer. */
	outbox_add_completed(w->x.outbox, id);
	assert_int_equal(take(w, content, &text), TOOLBOX_STRAY);
	assert_true(outbox_commit(w->x.outbox));
	assert_int_equal(take(w, content, &text), TOOLBOX_STRAY);
	assert_int_equal(text.len, 0);
}

static void test_an_answer_that_comes_late(void **state)
{
	struct strbuf text = STRBUF_EMPTY;
	struct world *w = *state;
	const char *id = ask_question(w);
	char content[256];

	(void)snprintf(content, sizeof(content),
		       "{\"questionId\":\"%s\",\"selectedOption\":\"Plum\"}", id);
	/* Whoever asked is gone. */
	rpc_close(&w->client);
	rpc_settle(w->x.loop);
	assert_false(toolbox_awaits_person(w->toolbox));
	assert_int_equal(take(w, content, &text), TOOLBOX_LATE);
	assert_string_equal(w->question, id);
	assert_string_equal(
		text.data, "<system>Your question \"Which?\" (\"Cake\") was answered when nobody "
			   "waited for the answer any more: \"Plum\". Go on from there if it still "
			   "matters; say so to the person who answered.</system>");
	strbuf_reset(&text);
	/* The turn that tells of it has claimed the question. */
	assert_int_equal(outbound_claim(w->x.outbound,
					&(const struct outbound_ids){ (const char *[]){ id }, 1 },
					NULL, NULL),
			 0);
	assert_int_equal(take(w, content, &text), TOOLBOX_STRAY);
	assert_int_equal(text.len, 0);
	strbuf_deinit(&text);
}

static void test_what_answers_nothing(void **state)
{
	static const char *const contents[] = {
		"",
		"not JSON",
		"null",
		"[]",
		"{}",
		"{\"questionId\":7}",
		"{\"questionId\":\"\"}",
		"{\"questionId\":\"unknown\",\"selectedOption\":\"x\"}",
		"{\"requestId\":\"cli-1\",\"frame\":{}}",
		/* Rows of ours that are no questions. */
		"{\"questionId\":\"chat\",\"selectedOption\":\"x\"}",
		"{\"questionId\":\"card\",\"selectedOption\":\"x\"}",
		"{\"questionId\":\"odd\",\"selectedOption\":\"x\"}",
	};
	struct strbuf text = STRBUF_EMPTY;
	struct world *w = *state;

	database_exec(w->x.outbound_path,
		      "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES"
		      " ('chat', 1, '', 'chat', '{\"text\":\"x\"}'),"
		      " ('card', 3, '', 'chat-sdk', '{\"type\":\"card\"}'),"
		      " ('odd', 5, '', 'chat-sdk', 'ask_question')");
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		assert_int_equal(take(w, contents[i], &text), TOOLBOX_STRAY);
	assert_int_equal(text.len, 0);
}

/* It is not lost: it is taken up when the question can be read. */
static void test_a_question_that_cannot_be_read(void **state)
{
	const struct inbound_row row = row_of("{\"questionId\":\"q\",\"selectedOption\":\"x\"}");
	struct strbuf text = STRBUF_EMPTY;
	struct world *w = *state;
	struct err err;

	database_exec(w->x.outbound_path, "ALTER TABLE messages_out RENAME TO hidden");
	assert_int_equal(toolbox_take(w->toolbox, &row, &w->question, &text, &err), -EIO);
	assert_string_equal(err.text, "no such table: messages_out (SQLite 1)");
	assert_null(w->question);
	database_exec(w->x.outbound_path, "ALTER TABLE processing_ack RENAME TO hidden_too");
	assert_int_equal(toolbox_take(w->toolbox, &row, &w->question, &text, &err), -EIO);
	assert_string_equal(err.text, "no such table: processing_ack (SQLite 1)");
	assert_null(w->question);
	assert_int_equal(text.len, 0);
}

/* What became of MCP servers */

#define STATUS "{'jsonrpc':'2.0','id':1,'method':'agent-runner/status'}"

static void told(struct world *w, const char *name, const char *status, const char *logged)
{
	capture_start(&capture, STDERR_FILENO);
	toolbox_on_server(w->toolbox, name, status);
	assert_string_equal(capture_stop(&capture), logged);
}

static void test_servers_that_fail_are_noted_once(void **state)
{
	struct world *w = *state;

	told(w, "files", "pending", "agent-runner: MCP server files: pending\n");
	told(w, "nanoclaw", "connected", "agent-runner: MCP server nanoclaw: connected\n");
	told(w, "off", "disabled", "agent-runner: MCP server off: disabled\n");
	assert_log(w, "");
	told(w, "files", "failed", "agent-runner: warning: MCP server files: failed\n");
	assert_log(w,
		   "note <system>The MCP server \"files\" is not available (\"failed\"): you have "
		   "none of its tools. Say so if they are needed.</system>|");
	/* It is told again with each turn. */
	told(w, "files", "failed", "");
	told(w, "nanoclaw", "connected", "");
	assert_log(w, "");
	told(w, "mail", "needs-auth", "agent-runner: warning: MCP server mail: needs-auth\n");
	assert_log(w, "note <system>The MCP server \"mail\" is not available (\"needs-auth\"): you "
		      "have none of its tools. Say so if they are needed.</system>|");
	/* It came back, and failed once more. */
	told(w, "files", "connected", "agent-runner: MCP server files: connected\n");
	assert_log(w, "");
	told(w, "files", "failed", "agent-runner: warning: MCP server files: failed\n");
	assert_int_equal(strncmp(w->log.data, "note ", 5), 0);
}

static void test_the_status_is_published(void **state)
{
	struct world *w = *state;

	assert_string_equal(ask(w, STATUS), "{'jsonrpc':'2.0','id':1,'result':{'servers':[]}}");
	told(w, "nanoclaw", "connected", "agent-runner: MCP server nanoclaw: connected\n");
	told(w, "files", "pending", "agent-runner: MCP server files: pending\n");
	told(w, "files", "failed", "agent-runner: warning: MCP server files: failed\n");
	assert_string_equal(ask(w, STATUS), "{'jsonrpc':'2.0','id':1,'result':{'servers':["
					    "{'name':'nanoclaw','status':'connected'},"
					    "{'name':'files','status':'failed'}]}}");
}

static void test_nothing_to_free(void **state)
{
	(void)state;
	toolbox_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_our_server),
		CASE(test_other_servers),
		CASE(test_a_server_of_our_name),
		CASE(test_names_of_tools),
		CASE(test_no_place_for_the_socket),
		CASE(test_renewed),
		CASE(test_two_of_one_workspace),
		CASE(test_a_message),
		CASE(test_our_name_is_taken),
		CASE(test_the_client_goes_before_the_row_is_on_disk),
		CASE(test_the_end_with_a_row_under_way),
		CASE(test_what_a_killed_one_left),
		CASE(test_an_answer_in_time),
		CASE(test_an_answer_that_comes_late),
		CASE(test_what_answers_nothing),
		CASE(test_a_question_that_cannot_be_read),
		CASE(test_servers_that_fail_are_noted_once),
		CASE(test_the_status_is_published),
		CASE(test_nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
