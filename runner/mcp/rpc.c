/* SPDX-License-Identifier: MIT */
#include "runner/mcp/rpc.h"

#include <string.h>

#include "runner/io/json.h"

int rpc_read(json_t *value, struct rpc_message *ret_message, const char **ret_problem)
{
	struct rpc_message message = { .method = "" };
	const char *version = json_member_name(value, "jsonrpc");
	json_t *id = json_object_get(value, "id"), *params = json_member(value, "params");
	const char *problem = NULL;

	message.method = json_member_name(value, "method");
	if (json_is_string(id) || json_is_integer(id))
		message.id = id;
	if (!json_is_object(value))
		problem = "a message is a JSON object";
	else if (!version || strcmp(version, "2.0") != 0)
		problem = "\"jsonrpc\" must be \"2.0\"";
	else if (id && !message.id)
		problem = "\"id\" must be a string or an integer";
	else if (!message.method && !json_object_get(value, "result") &&
		 !json_member(value, "error"))
		problem = "\"method\" must name a method";
	/* Without an id it is a notification, which is never answered, whatever it holds. */
	else if (message.method && message.id && params && !json_is_object(params))
		problem = "\"params\" must be an object";
	message.kind = !message.method ? RPC_RESPONSE : message.id ? RPC_REQUEST : RPC_NOTIFICATION;
	if (!message.method)
		message.method = "";
	message.params = json_is_object(params) ? params : NULL;
	*ret_message = message;
	if (!problem)
		return 0;
	*ret_problem = problem;
	return RPC_INVALID_REQUEST;
}

static void rpc_append_head(struct strbuf *out, const json_t *id)
{
	strbuf_puts(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	if (id)
		json_append_compact(out, id);
	else
		strbuf_puts(out, "null");
}

int rpc_append_result(struct strbuf *out, const json_t *id, const char *result)
{
	rpc_append_head(out, id);
	strbuf_puts(out, ",\"result\":");
	strbuf_puts(out, result);
	return strbuf_puts(out, "}\n");
}

int rpc_append_error(struct strbuf *out, const json_t *id, int code, const char *message,
		     const char *data)
{
	rpc_append_head(out, id);
	strbuf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
	json_append_string(out, message, strlen(message));
	if (data) {
		strbuf_puts(out, ",\"data\":");
		strbuf_puts(out, data);
	}
	return strbuf_puts(out, "}}\n");
}

int rpc_append_notification(struct strbuf *out, const char *method, const char *params)
{
	strbuf_puts(out, "{\"jsonrpc\":\"2.0\",\"method\":");
	json_append_string(out, method, strlen(method));
	strbuf_puts(out, ",\"params\":");
	strbuf_puts(out, params);
	return strbuf_puts(out, "}\n");
}
