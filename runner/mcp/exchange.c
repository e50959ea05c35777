/* SPDX-License-Identifier: MIT */
#include "runner/mcp/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/io/json.h"

struct exchanges {
	const struct protocol_identity *identity;
	struct exchange *first; /* of all clients */
	size_t count;
};

struct exchange_batch {
	struct strbuf answers;
	size_t pending; /* requests without an answer, and 1 while the batch is being read */
};

struct exchange {
	struct exchanges *exchanges;
	struct exchange *next;
	struct socket_peer *peer;
	struct exchange_batch *batch; /* NULL: it stands alone */
	json_t *id;
	json_t *progress_token; /* NULL: nobody wants to know */
	enum protocol_era era;
	struct call *call; /* NULL: it is answered at once */
	bool is_raw;	   /* the call's text is the result itself */
	int failure;	   /* the code if a raw call fails */
};

/* Sending */

void exchange_give_up(struct socket_peer *peer)
{
	log_error("out of memory: the connection of an MCP client is closed");
	socket_peer_finish(peer);
}

static void exchange_write(struct socket_peer *peer, const struct strbuf *text)
{
	if (text->error || socket_peer_write(peer, text->data, text->len) < 0)
		exchange_give_up(peer);
}

/* Sends a line, or puts it with the rest of its batch. */
static void exchange_send(struct socket_peer *peer, struct exchange_batch *batch,
			  const struct strbuf *line)
{
	if (!batch) {
		exchange_write(peer, line);
		return;
	}
	strbuf_putc(&batch->answers, batch->answers.len == 0 ? '[' : ',');
	/* Without its newline. */
	strbuf_append(&batch->answers, line->data, line->len ? line->len - 1 : 0);
	batch->answers.error |= line->error;
}

static void exchange_send_error(struct socket_peer *peer, struct exchange_batch *batch,
				const json_t *id, int code, const char *message, const char *data)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	rpc_append_error(&line, id, code, message, data);
	exchange_send(peer, batch, &line);
}

void exchange_refuse(struct socket_peer *peer, struct exchange_batch *batch, const json_t *id,
		     int code, const char *message)
{
	exchange_send_error(peer, batch, id, code, message, NULL);
}

struct exchange_batch *exchange_batch_new(void)
{
	struct exchange_batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		batch->pending = 1;
	return batch;
}

/* One answer less is missing. The last one sends them all, if there is any. */
void exchange_batch_close(struct exchange_batch *batch, struct socket_peer *peer)
{
	if (--batch->pending > 0)
		return;
	if (batch->answers.len > 0 || batch->answers.error) {
		strbuf_puts(&batch->answers, "]\n");
		exchange_write(peer, &batch->answers);
	}
	strbuf_deinit(&batch->answers);
	free(batch);
}

/* The list */

struct exchanges *exchanges_new(const struct protocol_identity *identity)
{
	struct exchanges *exchanges = calloc(1, sizeof(*exchanges));

	if (exchanges)
		exchanges->identity = identity;
	return exchanges;
}

static bool exchanges_has(const struct exchanges *exchanges, const struct socket_peer *peer)
{
	for (const struct exchange *e = exchanges->first; e; e = e->next)
		if (e->peer == peer)
			return true;
	return false;
}

/* Takes it off the list; its call is over, or is cancelled. */
static void exchange_free(struct exchange *exchange)
{
	struct exchange **link = &exchange->exchanges->first;

	while (*link != exchange)
		link = &(*link)->next;
	*link = exchange->next;
	exchange->exchanges->count--;
	call_cancel(exchange->call);
	json_decref(exchange->id);
	json_decref(exchange->progress_token);
	if (exchange->batch)
		exchange_batch_close(exchange->batch, exchange->peer);
	free(exchange);
}

void exchanges_free(struct exchanges *exchanges)
{
	if (!exchanges)
		return;
	while (exchanges->first)
		exchange_free(exchanges->first);
	free(exchanges);
}

/* It is answered, or will never be. */
static void exchange_end(struct exchange *exchange)
{
	const struct exchanges *exchanges = exchange->exchanges;
	struct socket_peer *peer = exchange->peer;

	exchange_free(exchange);
	if (socket_peer_data(peer) && !exchanges_has(exchanges, peer))
		socket_peer_finish(peer);
}

void exchanges_finish(struct exchanges *exchanges, struct socket_peer *peer)
{
	/* The data is no more than a mark: it asks nothing more. */
	socket_peer_set_data(peer, peer);
	if (!exchanges_has(exchanges, peer))
		socket_peer_finish(peer);
}

void exchanges_drop(struct exchanges *exchanges, const struct socket_peer *peer)
{
	struct exchange *next;

	for (struct exchange *e = exchanges->first; e; e = next) {
		next = e->next;
		if (e->peer == peer)
			exchange_free(e);
	}
}

void exchange_cancel(struct exchanges *exchanges, const struct socket_peer *peer, const json_t *id)
{
	for (struct exchange *e = exchanges->first; e; e = e->next)
		if (e->peer == peer && json_equal(e->id, id)) {
			/* No answer: whoever cancelled it does not wait for one. */
			exchange_end(e);
			return;
		}
}

struct exchange *exchange_begin(struct exchanges *exchanges, struct socket_peer *peer,
				struct exchange_batch *batch, const struct rpc_message *message)
{
	json_t *token = json_member(json_member(message->params, "_meta"), "progressToken");
	struct exchange *exchange = NULL;

	if (exchanges->count < EXCHANGES_MAX)
		exchange = calloc(1, sizeof(*exchange));
	if (!exchange) {
		exchange_refuse(peer, batch, message->id, RPC_INTERNAL_ERROR,
				"too many requests at once");
		return NULL;
	}
	*exchange = (struct exchange){
		.exchanges = exchanges,
		.next = exchanges->first,
		.peer = peer,
		.batch = batch,
		.id = json_incref(message->id),
		.progress_token =
			json_is_string(token) || json_is_integer(token) ? json_incref(token) : NULL,
		.era = protocol_era_of(message->params),
	};
	exchanges->first = exchange;
	exchanges->count++;
	if (batch)
		batch->pending++;
	return exchange;
}

enum protocol_era exchange_era(const struct exchange *exchange)
{
	return exchange->era;
}

/* Answering */

void exchange_fail(struct exchange *exchange, int code, const char *message, const char *data)
{
	exchange_send_error(exchange->peer, exchange->batch, exchange->id, code, message, data);
	exchange_end(exchange);
}

void exchange_answer(struct exchange *exchange, const struct strbuf *result)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	if (result->error) {
		exchange_fail(exchange, RPC_INTERNAL_ERROR, "out of memory", NULL);
		return;
	}
	rpc_append_result(&line, exchange->id, result->data);
	exchange_send(exchange->peer, exchange->batch, &line);
	exchange_end(exchange);
}

void exchange_answer_members(struct exchange *exchange, bool may_be_kept,
			     const struct strbuf *members)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	protocol_append_result(exchange->exchanges->identity, exchange->era, may_be_kept,
			       members->data ? members->data : "", &result);
	result.error |= members->error;
	exchange_answer(exchange, &result);
}

/* Calls */

static void exchange_on_raw_ended(struct exchange *exchange, const char *text, bool is_error)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	if (is_error) {
		exchange_fail(exchange, exchange->failure, text, NULL);
		return;
	}
	strbuf_puts(&result, text);
	exchange_answer(exchange, &result);
}

static void exchange_on_call_ended(void *userdata, struct call *call, const char *text,
				   bool is_error)
{
	struct exchange *exchange = userdata;
	cleanup_strbuf struct strbuf members = STRBUF_EMPTY;

	(void)call;
	exchange->call = NULL;
	if (exchange->is_raw) {
		exchange_on_raw_ended(exchange, text, is_error);
		return;
	}
	strbuf_puts(&members, "\"content\":[{\"type\":\"text\",\"text\":");
	json_append_string(&members, text, strlen(text));
	strbuf_puts(&members, "}]");
	if (is_error)
		strbuf_puts(&members, ",\"isError\":true");
	exchange_answer_members(exchange, false, &members);
}

static void exchange_on_call_progress(void *userdata, struct call *call, double progress,
				      double total, const char *message)
{
	const struct exchange *exchange = userdata;
	cleanup_strbuf struct strbuf params = STRBUF_EMPTY, line = STRBUF_EMPTY;

	(void)call;
	if (!exchange->progress_token)
		return;
	strbuf_puts(&params, "{\"progressToken\":");
	json_append_compact(&params, exchange->progress_token);
	strbuf_printf(&params, ",\"progress\":%.15g,\"total\":%.15g,\"message\":", progress, total);
	json_append_string(&params, message, strlen(message));
	strbuf_putc(&params, '}');
	if (params.error)
		return;
	rpc_append_notification(&line, "notifications/progress", params.data);
	exchange_write(exchange->peer, &line);
}

struct call *exchange_call_tool(struct exchange *exchange, const struct call_context *context)
{
	const struct call_owner owner = {
		.ended = exchange_on_call_ended,
		.progress = exchange_on_call_progress,
		.userdata = exchange,
	};
	struct call *call = call_new(context, &owner);

	exchange->call = call;
	if (!call)
		exchange_fail(exchange, RPC_INTERNAL_ERROR, "out of memory", NULL);
	return call;
}

struct call *exchange_call_raw(struct exchange *exchange, const struct call_context *context,
			       int failure)
{
	exchange->is_raw = true;
	exchange->failure = failure;
	return exchange_call_tool(exchange, context);
}
