#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Requests from their arrival to their one answer, alone or in a batch, and the calls of tools that
 * some of them wait for. Knows how an answer travels to a client, not what was asked.
 *
 * A client that asks nothing more is let go with its last answer. One that vanishes takes its
 * requests with it.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/strbuf.h"
#include "runner/io/socket.h"
#include "runner/mcp/call.h"
#include "runner/mcp/protocol.h"
#include "runner/mcp/rpc.h"

/* More requests in progress than this are refused, whoever makes them. */
#define EXCHANGES_MAX 4096

struct exchanges; /* all that are in progress */
struct exchange;  /* a request; gone once it is answered */
/* Requests that came together, and are answered together (JSON-RPC 2.0, section 6). */
struct exchange_batch;

/* identity is borrowed. NULL: out of memory. */
struct exchanges *exchanges_new(const struct protocol_identity *identity);
/* Ends all calls; nothing is answered. Accepts NULL. */
void exchanges_free(struct exchanges *exchanges);

/* Takes a request up. NULL: there are too many, or there is no memory, and it was answered so. */
struct exchange *exchange_begin(struct exchanges *exchanges, struct socket_peer *peer,
				struct exchange_batch *batch, const struct rpc_message *message);
enum protocol_era exchange_era(const struct exchange *exchange);

/* Each of these three answers, and with it the exchange is gone. */

/* result: JSON text; where memory ran out on it, the answer is an error. */
void exchange_answer(struct exchange *exchange, const struct strbuf *result);
/* The same from what protocol_append_result() wants. */
void exchange_answer_members(struct exchange *exchange, bool may_be_kept,
			     const struct strbuf *members);
/* data: JSON text, or NULL. */
void exchange_fail(struct exchange *exchange, int code, const char *message, const char *data);

/*
 * The call whose end answers it: as the result of a tool, or, where it is raw, by a text that is the
 * result itself and an error of code failure. NULL: out of memory, and it is answered.
 */
struct call *exchange_call_tool(struct exchange *exchange, const struct call_context *context);
struct call *exchange_call_raw(struct exchange *exchange, const struct call_context *context,
			       int failure);

/* The client does not want this answer any more. An unknown id is nothing to be done about. */
void exchange_cancel(struct exchanges *exchanges, const struct socket_peer *peer, const json_t *id);

/* The client asks nothing more. Uses the peer's data (socket_peer_set_data()). */
void exchanges_finish(struct exchanges *exchanges, struct socket_peer *peer);
/* The client is gone. */
void exchanges_drop(struct exchanges *exchanges, const struct socket_peer *peer);

/* Answers what is no request that could be taken up. id may be NULL. */
void exchange_refuse(struct socket_peer *peer, struct exchange_batch *batch, const json_t *id,
		     int code, const char *message);
/* A client whose answer is lost must not wait for it: its connection ends. */
void exchange_give_up(struct socket_peer *peer);

/* NULL: out of memory. */
struct exchange_batch *exchange_batch_new(void);
/* All of the batch was read: it is answered once nothing of it is in progress. */
void exchange_batch_close(struct exchange_batch *batch, struct socket_peer *peer);
