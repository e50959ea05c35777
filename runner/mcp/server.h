#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The MCP server of a session: listens on the loop's socket, where the relays that agents start
 * (`agent-runner mcp`) connect, answers requests and carries out tool calls side by side. A call
 * that waits never holds up another. Also answers the methods of our own clients (methods.h).
 *
 * Whatever a client sends costs nobody else anything: garbage is answered with an error, one that
 * vanishes takes its calls with it.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "runner/mcp/call.h"
#include "runner/mcp/tools.h"

/* The longest request in bytes: the arguments of a tool are no longer either. */
#define SERVER_LINE_MAX (16 * 1024 * 1024)
/* A batch of more messages is refused: their answers are one line. */
#define SERVER_BATCH_MAX 16

struct server;

/* Everything is borrowed for the life of the server; context.awaited and .server_name are set by it. */
struct server_options {
	const char *socket_path;
	const char *name; /* of the server, as clients are told */
	struct tools_offer offer;
	struct call_context context;
};

/* 0; -EADDRINUSE: another server has this socket; or another -errno. */
int server_new(const struct server_options *options, struct server **ret_server, struct err *err);
/* Ends every connection and call. Accepts NULL. */
void server_free(struct server *server);

/* Listens anew if an agent has taken the socket away: socket_renew(). */
int server_renew(struct server *server, struct err *err);

/* The process ends: its place at the socket is left to whoever comes next. */
void server_stop_listening(struct server *server);

/* Hands the content of a system row to the call that waits for it. False: none does. */
bool server_offer(struct server *server, const json_t *content);

/* Would server_offer() be true? */
bool server_awaits(const struct server *server, const json_t *content);

/* A call waits for a person. */
bool server_awaits_person(const struct server *server);

/* A call waits for a person, or for the host. */
bool server_awaits_answer(const struct server *server);

/* What METHODS_STATUS answers: an array of {name, status}; taken over. */
void server_set_status(struct server *server, json_t *servers);
