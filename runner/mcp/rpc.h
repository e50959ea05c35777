#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0 (https://www.jsonrpc.org/specification) with MCP's two restrictions: an id is a
 * string or an integer, never null, and params are an object. Reads a message's frame and composes
 * answers, each one line with its newline; knows no method.
 */
#include <jansson.h>

#include "common/strbuf.h"

/* The codes of the specification, section 5.1. */
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
};

enum rpc_kind {
	RPC_REQUEST,
	RPC_NOTIFICATION,
	RPC_RESPONSE, /* to something that we never asked */
};

/* Borrowed from the value that it was read from. */
struct rpc_message {
	enum rpc_kind kind;
	json_t *id;	      /* of a request */
	const char *method;   /* "" in a response */
	const json_t *params; /* an object, or NULL */
};

/*
 * 0; RPC_INVALID_REQUEST: it is no message, and *ret_problem says why. ret_message->id is then what
 * can be used of its id, or NULL.
 */
int rpc_read(json_t *value, struct rpc_message *ret_message, const char **ret_problem);

/* All three return 0 or -ENOMEM. result and params are JSON text; id may be NULL: null. */
int rpc_append_result(struct strbuf *out, const json_t *id, const char *result);
/* data is JSON text, or NULL for none. */
int rpc_append_error(struct strbuf *out, const json_t *id, int code, const char *message,
		     const char *data);
int rpc_append_notification(struct strbuf *out, const char *method, const char *params);
