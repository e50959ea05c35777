/* SPDX-License-Identifier: MIT */
/*
 * What clients send to the MCP server: mcp/rpc, protocol, schema, exchange, server and the handlers
 * of the tools. socket.c's place is taken here, so that nothing waits for the kernel: a line of the
 * input is a line of a client's, of the second one's if it begins with "~". Besides "=" and JSON is
 * a system row of the host's, "^" and "^^" let the first and the second client ask nothing more,
 * "-" and "--" vanish, "w" keeps rows waiting for the disk from there on.
 */
#include "runner/mcp/server.h"

#include <errno.h>
#include <sqlite3.h>

#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/io/socket.h"
#include "schema/inbound.h"
#include "tests/fuzz/fuzz.h"

#define PEERS 2
#define SENTS 64

struct socket_peer {
	struct strbuf written;
	void *data;
	size_t lines; /* that it sent */
	bool is_finishing, is_gone;
};

static struct {
	struct socket_events events;
	void *userdata;
	struct socket_peer peers[PEERS];
	struct call *waiting[SENTS]; /* for the disk */
	size_t waiting_count;
	int64_t seq;
	bool writes_later;
} world;

/* In place of socket.c */

int socket_listen(struct loop *loop, const char *path, size_t line_max,
		  const struct socket_events *events, void *userdata, struct socket **ret_socket,
		  struct err *err)
{
	(void)loop;
	(void)path;
	(void)line_max;
	(void)err;
	world.events = *events;
	world.userdata = userdata;
	*ret_socket = NULL;
	return 0;
}

void socket_free(struct socket *socket)
{
	(void)socket;
}

int socket_renew(struct socket *socket, struct err *err)
{
	(void)socket;
	(void)err;
	return 0;
}

void socket_stop_listening(struct socket *socket)
{
	(void)socket;
}

void socket_peer_set_data(struct socket_peer *peer, void *data)
{
	fuzz_must(!peer->is_gone);
	peer->data = data;
}

void *socket_peer_data(const struct socket_peer *peer)
{
	fuzz_must(!peer->is_gone);
	return peer->data;
}

int socket_peer_write(struct socket_peer *peer, const void *bytes, size_t n)
{
	fuzz_must(!peer->is_gone);
	return strbuf_append(&peer->written, bytes, n);
}

void socket_peer_finish(struct socket_peer *peer)
{
	fuzz_must(!peer->is_gone);
	peer->is_finishing = true;
}

void socket_peer_close(struct socket_peer *peer)
{
	fuzz_must(!peer->is_gone);
	peer->is_gone = true;
}

static void lose(struct socket_peer *peer)
{
	if (peer->is_gone)
		return;
	world.events.closed(world.userdata, peer);
	peer->is_gone = true;
}

/* In place of the session */

static int on_write(void *userdata, const struct outbound_message *message, struct call *call)
{
	cleanup_json json_t *content = NULL;

	(void)userdata;
	fuzz_must(message->kind && message->content);
	fuzz_must(json_parse(message->content, strlen(message->content), &content, NULL) == 0);
	fuzz_must(json_is_object(content));
	if (!world.writes_later)
		call_written(call, world.seq += 2);
	else if (world.waiting_count < SENTS)
		world.waiting[world.waiting_count++] = call;
	else
		return -ENOMEM;
	return 0;
}

static void on_forget(void *userdata, struct call *call)
{
	(void)userdata;
	for (size_t i = 0; i < world.waiting_count; i++)
		if (world.waiting[i] == call)
			world.waiting[i] = NULL;
}

static void on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	(void)userdata;
	(void)to;
	(void)thread;
	fuzz_must(!text || utf8_is_valid(text, strlen(text)));
}

static char *constant(const char *text)
{
	return (char *)(uintptr_t)text;
}

static const struct inbound_destinations *on_destinations(void *userdata)
{
	static struct inbound_destination rows[2];
	static const struct inbound_destinations destinations = { rows, 2 };

	(void)userdata;
	rows[0] = (struct inbound_destination){ constant("casa"), constant("Casa"), false,
						constant("slack"), constant("C1") };
	rows[1] = (struct inbound_destination){ constant("helper"), constant("Helper"), true,
						constant("agent"), constant("ag-2") };
	return &destinations;
}

static const struct call_services services = {
	.write = on_write,
	.forget = on_forget,
	.sent = on_sent,
	.destinations = on_destinations,
};

/* Its life */

static char inbound_path[512];

static struct loop *make_files(struct outbound **ret_outbound)
{
	char outbound_path[512];
	struct loop *loop;
	sqlite3 *db;

	(void)snprintf(inbound_path, sizeof(inbound_path), "%s/inbound.db", fuzz_folder());
	(void)snprintf(outbound_path, sizeof(outbound_path), "%s/outbound.db", fuzz_folder());
	fuzz_must(sqlite3_open(inbound_path, &db) == SQLITE_OK);
	fuzz_must(sqlite3_exec(db, schema_inbound, NULL, NULL, NULL) == SQLITE_OK);
	fuzz_must(sqlite3_exec(db,
			       "INSERT INTO session_routing VALUES (1, 'slack', 'C1', 'T1');"
			       "INSERT INTO messages_in (id, seq, kind, timestamp, content,"
			       " platform_id, channel_type, recurrence) VALUES"
			       " ('m-2:ag-1', 2, 'chat', '2026-02-04', '{}', 'C1', 'slack', NULL),"
			       " ('t-4', 4, 'task', '2026-02-04', '{\"prompt\":\"x\"}', NULL,"
			       " NULL, '0 9 * * *')",
			       NULL, NULL, NULL) == SQLITE_OK);
	fuzz_must(sqlite3_close(db) == SQLITE_OK);
	fuzz_must(outbound_open(outbound_path, inbound_path, ret_outbound, NULL) == 0);
	fuzz_must(loop_new(&loop, NULL) == 0);
	return loop;
}

static struct server *make_server(void)
{
	/* All but send_file: a fuzzer is not to read whatever file it comes upon. */
	static const char *const enabled[] = {
		"send_message",	     "edit_message",   "add_reaction",
		"ask_user_question", "send_card",      "schedule_task",
		"list_tasks",	     "cancel_task",    "pause_task",
		"resume_task",	     "update_task",    "create_agent",
		"install_packages",  "add_mcp_server", NULL
	};
	static struct outbound *outbound;
	static struct loop *loop;
	struct server_options options = {
		.socket_path = "unused",
		.name = "nanoclaw",
		.offer = { "", enabled },
	};
	struct server *server;

	if (!loop)
		loop = make_files(&outbound);
	options.context = (struct call_context){
		.loop = loop,
		.workspace = fuzz_folder(),
		.agent_folder = fuzz_folder(),
		.inbound_path = inbound_path,
		.agent_group_id = "ag-1",
		.outbound = outbound,
		.services = &services,
	};
	fuzz_must(server_new(&options, &server, NULL) == 0);
	return server;
}

/* Every line that is answered is JSON, and no line is answered twice. */
static void check_answers(struct socket_peer *peer)
{
	struct fuzz_text rest = { peer->written.data, peer->written.len };
	size_t answers = 0;

	while (rest.len > 0) {
		struct fuzz_text line = fuzz_cut(&rest, '\n');
		cleanup_json json_t *value = NULL;

		fuzz_must(utf8_is_valid(line.data, line.len));
		fuzz_must(json_parse_trusted(line.data, line.len, &value, NULL) == 0);
		fuzz_must(json_is_array(value) || json_member_name(value, "jsonrpc"));
		answers += !json_member_name(value, "method");
	}
	fuzz_must(answers <= peer->lines);
}

static void commit(void)
{
	for (size_t i = 0; i < world.waiting_count; i++) {
		struct call *call = world.waiting[i];

		world.waiting[i] = NULL;
		if (call)
			call_written(call, world.seq += 2);
	}
	world.waiting_count = 0;
}

static void take_line(struct server *server, const char *line, size_t len)
{
	struct socket_peer *peer = &world.peers[line[0] == '~'];
	cleanup_json json_t *content = NULL;

	if (line[0] == '=') {
		if (json_parse(line + 1, len - 1, &content, NULL) == 0)
			fuzz_must(server_awaits(server, content) == server_offer(server, content));
	} else if (line[0] == '^' && !world.peers[len > 1].is_gone) {
		world.events.ended(world.userdata, &world.peers[len > 1]);
	} else if (line[0] == '-') {
		lose(&world.peers[len > 1]);
	} else if (line[0] == 'w') {
		world.writes_later = true;
	} else if (!peer->is_gone && !peer->data) {
		/* One that asks nothing more sends no lines either. */
		peer->lines++;
		world.events.line(world.userdata, peer, line + (line[0] == '~'),
				  len - (line[0] == '~'));
	}
	for (size_t i = 0; i < PEERS; i++)
		if (world.peers[i].is_finishing)
			lose(&world.peers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = { (const char *)data, size };
	struct server *server = make_server();

	while (rest.len > 0) {
		struct fuzz_text part = fuzz_cut(&rest, '\n');
		cleanup_free char *line = fuzz_dup(part);

		take_line(server, line, part.len);
	}
	commit();
	if (!world.peers[0].is_gone) {
		world.events.overlong(world.userdata, &world.peers[0], SERVER_LINE_MAX + 1);
		world.peers[0].lines++;
	}
	(void)server_awaits_person(server);
	server_free(server);
	for (size_t i = 0; i < PEERS; i++) {
		check_answers(&world.peers[i]);
		strbuf_deinit(&world.peers[i].written);
	}
	memset(&world, 0, sizeof(world));
	return 0;
}
