/* SPDX-License-Identifier: MIT */
#include "runner/mcp/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "runner/io/socket.h"
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
	struct server_request *requests; /* in progress, of all clients */
	size_t request_count;
	json_t *status;
};

/* What a batch asked for, answered together (JSON-RPC 2.0, section 6; MCP 2025-03-26). */
struct server_batch {
	struct strbuf answers;
	size_t pending; /* requests without an answer, and 1 while the batch is being read */
};

/* A request from its arrival to its answer. */
struct server_request {
	struct server *server;
	struct server_request *next;
	struct socket_peer *peer;
	struct server_batch *batch; /* NULL: it stands alone */
	json_t *id;
	json_t *progress_token; /* NULL: nobody wants to know */
	enum protocol_era era;
	struct call *call; /* NULL: it is answered at once */
	bool is_raw;	   /* the call's text is the result itself */
};

/* Answering */

/* A client that does not get its answer must not wait for it. */
static void server_lose(struct socket_peer *peer)
{
	log_error("out of memory: the connection of an MCP client is closed");
	socket_peer_finish(peer);
}

static void server_write(struct socket_peer *peer, const struct strbuf *text)
{
	if (text->error || socket_peer_write(peer, text->data, text->len) < 0)
		server_lose(peer);
}

/* One answer less is missing. The last one sends them all, if there is any. */
static void server_batch_done(struct server_batch *batch, struct socket_peer *peer)
{
	if (--batch->pending > 0)
		return;
	if (batch->answers.len > 0 || batch->answers.error) {
		strbuf_puts(&batch->answers, "]\n");
		server_write(peer, &batch->answers);
	}
	strbuf_deinit(&batch->answers);
	free(batch);
}

/* Sends a line, or puts it with the rest of its batch. */
static void server_send(struct socket_peer *peer, struct server_batch *batch,
			const struct strbuf *line)
{
	if (!batch) {
		server_write(peer, line);
		return;
	}
	strbuf_putc(&batch->answers, batch->answers.len == 0 ? '[' : ',');
	/* Without its newline. */
	strbuf_append(&batch->answers, line->data, line->len ? line->len - 1 : 0);
	batch->answers.error |= line->error;
}

static void server_send_error(struct socket_peer *peer, struct server_batch *batch,
			      const json_t *id, int code, const char *message, const char *data)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	rpc_append_error(&line, id, code, message, data);
	server_send(peer, batch, &line);
}

static bool server_peer_is_busy(const struct server *server, const struct socket_peer *peer)
{
	for (const struct server_request *r = server->requests; r; r = r->next)
		if (r->peer == peer)
			return true;
	return false;
}

/* Takes it off the list and frees it; its call is over, or is cancelled. */
static void server_request_free(struct server_request *request)
{
	struct server *server = request->server;
	struct server_request **link = &server->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	server->request_count--;
	call_cancel(request->call);
	json_decref(request->id);
	json_decref(request->progress_token);
	if (request->batch)
		server_batch_done(request->batch, request->peer);
	free(request);
}

/* The request is answered, or will never be. A client that asks nothing more is let go. */
static void server_request_end(struct server_request *request)
{
	const struct server *server = request->server;
	struct socket_peer *peer = request->peer;

	server_request_free(request);
	if (socket_peer_data(peer) && !server_peer_is_busy(server, peer))
		socket_peer_finish(peer);
}

static void server_answer(struct server_request *request, const char *result)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	rpc_append_result(&line, request->id, result);
	server_send(request->peer, request->batch, &line);
	server_request_end(request);
}

static void server_answer_error(struct server_request *request, int code, const char *message,
				const char *data)
{
	server_send_error(request->peer, request->batch, request->id, code, message, data);
	server_request_end(request);
}

/* Answers with what was composed. */
static void server_answer_text(struct server_request *request, const struct strbuf *result)
{
	if (result->error)
		server_answer_error(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	else
		server_answer(request, result->data);
}

static void server_answer_members(struct server_request *request, bool may_be_kept,
				  const char *members)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	protocol_append_result(&request->server->identity, request->era, may_be_kept, members,
			       &result);
	server_answer_text(request, &result);
}

/* Calls */

static void server_on_call_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	struct server_request *request = userdata;
	cleanup_strbuf struct strbuf members = STRBUF_EMPTY;

	(void)call;
	request->call = NULL;
	if (request->is_raw && is_error) {
		server_answer_error(request, METHODS_TIMED_OUT, text, NULL);
		return;
	}
	if (request->is_raw) {
		server_answer(request, text);
		return;
	}
	strbuf_puts(&members, "\"content\":[{\"type\":\"text\",\"text\":");
	json_append_string(&members, text, strlen(text));
	strbuf_puts(&members, "}]");
	if (is_error)
		strbuf_puts(&members, ",\"isError\":true");
	if (members.error)
		server_answer_error(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	else
		server_answer_members(request, false, members.data);
}

static void server_on_call_progress(void *userdata, struct call *call, double progress,
				    double total, const char *message)
{
	const struct server_request *request = userdata;
	cleanup_strbuf struct strbuf params = STRBUF_EMPTY, line = STRBUF_EMPTY;

	(void)call;
	if (!request->progress_token)
		return;
	strbuf_puts(&params, "{\"progressToken\":");
	json_append_compact(&params, request->progress_token);
	strbuf_printf(&params, ",\"progress\":%.15g,\"total\":%.15g,\"message\":", progress, total);
	json_append_string(&params, message, strlen(message));
	strbuf_putc(&params, '}');
	if (params.error)
		return;
	rpc_append_notification(&line, "notifications/progress", params.data);
	server_write(request->peer, &line);
}

/* The call of this request; NULL: out of memory, and it is answered. */
static struct call *server_make_call(struct server_request *request)
{
	const struct call_owner owner = {
		.ended = server_on_call_ended,
		.progress = server_on_call_progress,
		.userdata = request,
	};
	struct call *call = call_new(&request->server->context, &owner);

	request->call = call;
	if (!call)
		server_answer_error(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	return call;
}

/* The methods */

static void server_initialize(struct server_request *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	if (!json_member_string(params, "protocolVersion")) {
		server_answer_error(request, RPC_INVALID_PARAMS,
				    "\"protocolVersion\" must be a string", NULL);
		return;
	}
	protocol_append_initialize(&request->server->identity, params, &result);
	server_answer_text(request, &result);
}

static void server_discover(struct server_request *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	(void)params;
	protocol_append_discover(&request->server->identity, &result);
	server_answer_text(request, &result);
}

static void server_ping(struct server_request *request, const json_t *params)
{
	(void)params;
	server_answer_members(request, false, "");
}

static void server_list_tools(struct server_request *request, const json_t *params)
{
	cleanup_strbuf struct strbuf members = STRBUF_EMPTY;

	/* All of them are on the first page: no cursor is ours. */
	if (json_member(params, "cursor")) {
		server_answer_error(request, RPC_INVALID_PARAMS, "invalid cursor", NULL);
		return;
	}
	strbuf_puts(&members, "\"tools\":");
	tools_append_list(&request->server->options.offer, &members);
	if (members.error)
		server_answer_error(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	else
		server_answer_members(request, true, members.data);
}

static void server_call_tool(struct server_request *request, const json_t *params)
{
	const char *name = json_member_string(params, "name");
	const json_t *arguments = json_member(params, "arguments");
	const struct tools_row *row;
	struct call *call;

	if (!name) {
		server_answer_error(request, RPC_INVALID_PARAMS, "\"name\" must name a tool", NULL);
		return;
	}
	if (arguments && !json_is_object(arguments)) {
		server_answer_error(request, RPC_INVALID_PARAMS, "\"arguments\" must be an object",
				    NULL);
		return;
	}
	call = server_make_call(request);
	if (!call)
		return;
	row = tools_offered(&request->server->options.offer, name);
	if (row)
		tools_run(row, call, arguments);
	else
		call_fail(call, "there is no tool \"%.80s\"", name);
}

static void server_run_ncl(struct server_request *request, const json_t *params)
{
	struct call *call;

	if (!json_member_string(params, "command")) {
		server_answer_error(request, RPC_INVALID_PARAMS, "\"command\" must be a string",
				    NULL);
		return;
	}
	request->is_raw = true;
	call = server_make_call(request);
	if (!call)
		return;
	call_ref(call);
	methods_ncl(call, params);
	call_unref(call);
}

static void server_compact_instructions(struct server_request *request, const json_t *params)
{
	const struct call_context *context = &request->server->context;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, result = STRBUF_EMPTY;

	(void)params;
	compaction_compose(context->services->destinations(context->userdata), &text);
	strbuf_puts(&result, "{\"text\":");
	json_append_string(&result, text.data ? text.data : "", text.len);
	strbuf_putc(&result, '}');
	result.error |= text.error;
	server_answer_text(request, &result);
}

static void server_status(struct server_request *request, const json_t *params)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	(void)params;
	strbuf_puts(&result, "{\"servers\":");
	json_append_compact(&result, request->server->status);
	strbuf_putc(&result, '}');
	server_answer_text(request, &result);
}

#define SERVER_STATEFUL	 (1U << PROTOCOL_STATEFUL)
#define SERVER_STATELESS (1U << PROTOCOL_STATELESS)
#define SERVER_BOTH	 (SERVER_STATEFUL | SERVER_STATELESS)

static const struct server_method {
	const char *name;
	unsigned int eras; /* that have it */
	/* Ends the request, or goes on with its call. */
	void (*run)(struct server_request *request, const json_t *params);
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

static void server_cancel(struct server *server, const struct socket_peer *peer,
			  const json_t *params)
{
	const json_t *id = json_member(params, "requestId");

	for (struct server_request *r = server->requests; r; r = r->next)
		if (r->peer == peer && json_equal(r->id, id)) {
			/* It gets no answer: whoever cancelled it does not wait for one. */
			server_request_end(r);
			return;
		}
}

static void server_refuse_version(struct server_request *request, const json_t *params)
{
	cleanup_strbuf struct strbuf data = STRBUF_EMPTY;

	if (protocol_append_unsupported(params, &data) < 0)
		server_answer_error(request, RPC_INTERNAL_ERROR, "out of memory", NULL);
	else
		server_answer_error(request, PROTOCOL_UNSUPPORTED_VERSION,
				    "unsupported protocol version", data.data);
}

static void server_run(struct server_request *request, const struct rpc_message *message)
{
	const char *fault = NULL;
	struct err text;

	if (request->era == PROTOCOL_UNKNOWN) {
		server_refuse_version(request, message->params);
		return;
	}
	if (request->era == PROTOCOL_STATELESS)
		fault = protocol_fault(message->params);
	if (fault) {
		server_answer_error(request, RPC_INVALID_PARAMS, fault, NULL);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(server_methods); i++)
		if (server_methods[i].eras & 1U << request->era &&
		    strcmp(server_methods[i].name, message->method) == 0) {
			server_methods[i].run(request, message->params);
			return;
		}
	err_set(&text, 0, "there is no method \"%.80s\"", message->method);
	server_answer_error(request, RPC_METHOD_NOT_FOUND, text.text, NULL);
}

static void server_begin(struct server *server, struct socket_peer *peer,
			 struct server_batch *batch, const struct rpc_message *message)
{
	json_t *token = json_member(json_member(message->params, "_meta"), "progressToken");
	struct server_request *request = NULL;

	if (server->request_count < SERVER_REQUESTS_MAX)
		request = calloc(1, sizeof(*request));
	if (!request) {
		server_send_error(peer, batch, message->id, RPC_INTERNAL_ERROR,
				  "too many requests at once", NULL);
		return;
	}
	*request = (struct server_request){
		.server = server,
		.next = server->requests,
		.peer = peer,
		.batch = batch,
		.id = json_incref(message->id),
		.progress_token =
			json_is_string(token) || json_is_integer(token) ? json_incref(token) : NULL,
		.era = protocol_era_of(message->params),
	};
	server->requests = request;
	server->request_count++;
	if (batch)
		batch->pending++;
	server_run(request, message);
}

static void server_handle(struct server *server, struct socket_peer *peer,
			  struct server_batch *batch, json_t *value)
{
	struct rpc_message message;
	const char *problem;
	int code = rpc_read(value, &message, &problem);

	if (code < 0)
		server_send_error(peer, batch, message.id, code, problem, NULL);
	else if (message.kind == RPC_REQUEST)
		server_begin(server, peer, batch, &message);
	else if (strcmp(message.method, "notifications/cancelled") == 0)
		server_cancel(server, peer, message.params);
}

static void server_handle_batch(struct server *server, struct socket_peer *peer, json_t *values)
{
	struct server_batch *batch;
	struct err text;
	json_t *value;
	size_t i;

	if (json_array_size(values) == 0) {
		server_send_error(peer, NULL, NULL, RPC_INVALID_REQUEST, "an empty batch", NULL);
		return;
	}
	if (json_array_size(values) > SERVER_BATCH_MAX) {
		err_set(&text, 0, "a batch of %zu messages is too long: %d is the limit",
			json_array_size(values), SERVER_BATCH_MAX);
		server_send_error(peer, NULL, NULL, RPC_INVALID_REQUEST, text.text, NULL);
		return;
	}
	batch = calloc(1, sizeof(*batch));
	if (!batch) {
		server_lose(peer);
		return;
	}
	batch->pending = 1;
	json_array_foreach(values, i, value) server_handle(server, peer, batch, value);
	server_batch_done(batch, peer);
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
		server_lose(peer);
	else if (r < 0)
		server_send_error(peer, NULL, NULL, RPC_PARSE_ERROR, err.text, NULL);
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
	server_send_error(peer, NULL, NULL, RPC_INVALID_REQUEST, text.text, NULL);
}

/* It asks nothing more, but what it asked is answered. Kept as the peer's data. */
static void server_on_ended(void *userdata, struct socket_peer *peer)
{
	const struct server *server = userdata;

	socket_peer_set_data(peer, peer);
	if (!server_peer_is_busy(server, peer))
		socket_peer_finish(peer);
}

static void server_on_closed(void *userdata, struct socket_peer *peer)
{
	struct server *server = userdata;
	struct server_request *next;

	for (struct server_request *r = server->requests; r; r = next) {
		next = r->next;
		if (r->peer == peer)
			server_request_free(r);
	}
}

/* Its life */

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
	int r = -ENOMEM;

	if (server) {
		server->options = *options;
		server->identity.name = options->name;
		server->awaited = awaited_new();
		server->status = json_array();
		server->context = options->context;
		server->context.awaited = server->awaited;
	}
	if (!server || !server->awaited || !server->status)
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
	while (server->requests)
		server_request_free(server->requests);
	socket_free(server->socket);
	awaited_free(server->awaited);
	json_decref(server->status);
	free(server);
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

void server_set_status(struct server *server, json_t *servers)
{
	json_decref(server->status);
	server->status = servers;
}
