/* SPDX-License-Identifier: MIT */
#include "runner/mcp/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/io/socket.h"
#include "runner/mcp/exchange.h"
#include "runner/mcp/methods.h"
#include "runner/mcp/protocol.h"
#include "runner/mcp/rpc.h"
#include "runner/message/compaction.h"

struct server {
	struct server_options options;
	struct protocol_identity identity;
	struct call_context context;
	struct socket *socket;
	struct awaited *awaited;
	struct exchanges *exchanges;
	json_t *status;
};

/* The methods */

static void server_initialize(struct server *server, struct exchange *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	if (!json_member_string(params, "protocolVersion")) {
		exchange_fail(request, RPC_INVALID_PARAMS, "\"protocolVersion\" must be a string",
			      NULL);
		return;
	}
	protocol_append_initialize(&server->identity, params, &result);
	exchange_answer(request, &result);
}

static void server_discover(struct server *server, struct exchange *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	(void)params;
	protocol_append_discover(&server->identity, &result);
	exchange_answer(request, &result);
}

static void server_ping(struct server *server, struct exchange *request, const json_t *params)
{
	(void)server;
	(void)params;
	exchange_answer_members(request, false, &STRBUF_EMPTY);
}

static void server_list_tools(struct server *server, struct exchange *request, const json_t *params)
{
	cleanup_strbuf struct strbuf members = STRBUF_EMPTY;

	/* All of them are on the first page: no cursor is ours. */
	if (json_member(params, "cursor")) {
		exchange_fail(request, RPC_INVALID_PARAMS, "invalid cursor", NULL);
		return;
	}
	strbuf_puts(&members, "\"tools\":");
	tools_append_list(&server->options.offer, &members);
	exchange_answer_members(request, true, &members);
}

static void server_call_tool(struct server *server, struct exchange *request, const json_t *params)
{
	const char *name = json_member_name(params, "name");
	const json_t *arguments = json_member(params, "arguments");
	const struct tools_row *row;
	struct call *call;

	if (!name) {
		exchange_fail(request, RPC_INVALID_PARAMS, "\"name\" must name a tool", NULL);
		return;
	}
	if (arguments && !json_is_object(arguments)) {
		exchange_fail(request, RPC_INVALID_PARAMS, "\"arguments\" must be an object", NULL);
		return;
	}
	call = exchange_call_tool(request, &server->context);
	if (!call)
		return;
	row = tools_offered(&server->options.offer, name);
	if (row)
		tools_run(row, call, arguments);
	else
		call_fail(call, "there is no tool \"%.80s\"", name);
}

static void server_run_ncl(struct server *server, struct exchange *request, const json_t *params)
{
	struct call *call;

	if (!json_member_name(params, "command")) {
		exchange_fail(request, RPC_INVALID_PARAMS, "\"command\" must name a command", NULL);
		return;
	}
	call = exchange_call_raw(request, &server->context, METHODS_TIMED_OUT);
	if (!call)
		return;
	call_ref(call);
	methods_ncl(call, params);
	call_unref(call);
}

static void server_compact_instructions(struct server *server, struct exchange *request,
					const json_t *params)
{
	const struct call_context *context = &server->context;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, result = STRBUF_EMPTY;

	(void)params;
	compaction_compose(context->services->destinations(context->userdata), &text);
	strbuf_puts(&result, "{\"text\":");
	json_append_string(&result, text.data ? text.data : "", text.len);
	strbuf_putc(&result, '}');
	result.error |= text.error;
	exchange_answer(request, &result);
}

static void server_status(struct server *server, struct exchange *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	(void)params;
	strbuf_puts(&result, "{\"servers\":");
	json_append_compact(&result, server->status);
	strbuf_putc(&result, '}');
	exchange_answer(request, &result);
}

#define SERVER_STATEFUL	 (1U << PROTOCOL_STATEFUL)
#define SERVER_STATELESS (1U << PROTOCOL_STATELESS)
#define SERVER_BOTH	 (SERVER_STATEFUL | SERVER_STATELESS)

static const struct server_method {
	const char *name;
	unsigned int eras; /* that have it */
	/* Ends the request, or goes on with its call. */
	void (*run)(struct server *server, struct exchange *request, const json_t *params);
} server_methods[] = {
	{ "initialize", SERVER_STATEFUL, server_initialize },
	{ "ping", SERVER_STATEFUL, server_ping },
	{ "server/discover", SERVER_STATELESS, server_discover },
	{ "tools/list", SERVER_BOTH, server_list_tools },
	{ "tools/call", SERVER_BOTH, server_call_tool },
	{ METHODS_NCL, SERVER_STATEFUL, server_run_ncl },
	{ METHODS_COMPACT_INSTRUCTIONS, SERVER_STATEFUL, server_compact_instructions },
	{ METHODS_STATUS, SERVER_STATEFUL, server_status },
};

/* Messages */

static void server_refuse_version(struct exchange *request, const json_t *params)
{
	cleanup_strbuf struct strbuf data = STRBUF_EMPTY;

	if (protocol_append_unsupported(params, &data) < 0)
		exchange_fail(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	else
		exchange_fail(request, PROTOCOL_UNSUPPORTED_VERSION, "unsupported protocol version",
			      data.data);
}

static void server_run(struct server *server, struct exchange *request,
		       const struct rpc_message *message)
{
	const char *fault = NULL;
	struct err text;

	if (exchange_era(request) == PROTOCOL_UNKNOWN) {
		server_refuse_version(request, message->params);
		return;
	}
	if (exchange_era(request) == PROTOCOL_STATELESS)
		fault = protocol_fault(message->params);
	if (fault) {
		exchange_fail(request, RPC_INVALID_PARAMS, fault, NULL);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(server_methods); i++)
		if (server_methods[i].eras & 1U << exchange_era(request) &&
		    strcmp(server_methods[i].name, message->method) == 0) {
			server_methods[i].run(server, request, message->params);
			return;
		}
	err_set(&text, 0, "there is no method \"%.80s\"", message->method);
	exchange_fail(request, RPC_METHOD_NOT_FOUND, text.text, NULL);
}

static void server_handle(struct server *server, struct socket_peer *peer,
			  struct exchange_batch *batch, json_t *value)
{
	struct exchange *request = NULL;
	struct rpc_message message;
	const char *problem;
	int code = rpc_read(value, &message, &problem);

	if (code < 0)
		exchange_refuse(peer, batch, message.id, code, problem);
	else if (message.kind == RPC_REQUEST)
		request = exchange_begin(server->exchanges, peer, batch, &message);
	else if (strcmp(message.method, "notifications/cancelled") == 0)
		exchange_cancel(server->exchanges, peer, json_member(message.params, "requestId"));
	if (request)
		server_run(server, request, &message);
}

static void server_handle_batch(struct server *server, struct socket_peer *peer, json_t *values)
{
	struct exchange_batch *batch;
	struct err text;
	json_t *value;
	size_t i;

	if (json_array_size(values) == 0) {
		exchange_refuse(peer, NULL, NULL, RPC_INVALID_REQUEST, "an empty batch");
		return;
	}
	if (json_array_size(values) > SERVER_BATCH_MAX) {
		err_set(&text, 0, "a batch of %zu messages is too long: %d is the limit",
			json_array_size(values), SERVER_BATCH_MAX);
		exchange_refuse(peer, NULL, NULL, RPC_INVALID_REQUEST, text.text);
		return;
	}
	batch = exchange_batch_new();
	if (!batch) {
		exchange_give_up(peer);
		return;
	}
	json_array_foreach(values, i, value) server_handle(server, peer, batch, value);
	exchange_batch_close(batch, peer);
}

/* The socket's events */

static void server_on_opened(void *userdata, struct socket_peer *peer)
{
	(void)userdata;
	(void)peer;
}

static void server_on_line(void *userdata, struct socket_peer *peer, const char *line, size_t len)
{
	struct server *server = userdata;
	cleanup_json json_t *value = NULL;
	struct err err;
	int r;

	/* A blank line is no message, and not wrong either. */
	if (strspn(line, " \t\r") == len)
		return;
	r = json_parse(line, len, &value, &err);
	if (r == -ENOMEM)
		exchange_give_up(peer);
	else if (r < 0)
		exchange_refuse(peer, NULL, NULL, RPC_PARSE_ERROR, err.text);
	else if (json_is_array(value))
		server_handle_batch(server, peer, value);
	else
		server_handle(server, peer, NULL, value);
}

static void server_on_overlong(void *userdata, struct socket_peer *peer, size_t len)
{
	struct err text;

	(void)userdata;
	err_set(&text, 0, "a request of %zu bytes is too long: %d is the limit", len,
		SERVER_LINE_MAX);
	exchange_refuse(peer, NULL, NULL, RPC_INVALID_REQUEST, text.text);
}

/* It asks nothing more, but what it asked is answered. */
static void server_on_ended(void *userdata, struct socket_peer *peer)
{
	const struct server *server = userdata;

	exchanges_finish(server->exchanges, peer);
}

static void server_on_closed(void *userdata, struct socket_peer *peer)
{
	const struct server *server = userdata;

	exchanges_drop(server->exchanges, peer);
}

/* Its life */

/* What the calls of its clients need. 0 or -ENOMEM. */
static int server_make_parts(struct server *server, const struct server_options *options)
{
	server->options = *options;
	server->identity.name = options->name;
	server->awaited = awaited_new();
	server->exchanges = exchanges_new(&server->identity);
	server->status = json_array();
	server->context = options->context;
	server->context.awaited = server->awaited;
	server->context.server_name = options->name;
	server->context.line = NULL;
	if (!server->awaited || !server->exchanges || !server->status)
		return -ENOMEM;
	return call_line_new(options->context.loop, &server->context.line);
}

int server_new(const struct server_options *options, struct server **ret_server, struct err *err)
{
	static const struct socket_events events = {
		.opened = server_on_opened,
		.line = server_on_line,
		.overlong = server_on_overlong,
		.ended = server_on_ended,
		.closed = server_on_closed,
	};
	struct server *server = calloc(1, sizeof(*server));
	int r = server ? server_make_parts(server, options) : -ENOMEM;

	if (r < 0)
		err_sys(err, r, "cannot start the MCP server");
	else
		r = socket_listen(options->context.loop, options->socket_path, SERVER_LINE_MAX,
				  &events, server, &server->socket, err);
	if (r < 0) {
		server_free(server);
		return r;
	}
	*ret_server = server;
	return 0;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	exchanges_free(server->exchanges);
	socket_free(server->socket);
	awaited_free(server->awaited);
	call_line_free(server->context.line);
	json_decref(server->status);
	free(server);
}

int server_renew(struct server *server, struct err *err)
{
	return socket_renew(server->socket, err);
}

void server_stop_listening(struct server *server)
{
	socket_stop_listening(server->socket);
}

bool server_offer(struct server *server, const json_t *content)
{
	return awaited_offer(server->awaited, content);
}

bool server_awaits(const struct server *server, const json_t *content)
{
	return awaited_has(server->awaited, content);
}

bool server_awaits_person(const struct server *server)
{
	return awaited_count(server->awaited, AWAITED_QUESTION) > 0;
}

bool server_awaits_answer(const struct server *server)
{
	return server_awaits_person(server) || awaited_count(server->awaited, AWAITED_REQUEST) > 0;
}

void server_set_status(struct server *server, json_t *servers)
{
	json_decref(server->status);
	server->status = servers;
}
