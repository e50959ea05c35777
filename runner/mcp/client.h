#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A client of the loop's socket, for processes that have one question and nothing else to do: it
 * connects, asks, waits for the one answer and hangs up. Blocks, but never for ever.
 */
#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

/* A longer line of the loop is not read, in bytes: twice the longest row, since it is wrapped. */
#define CLIENT_LINE_MAX (32 * 1024 * 1024)

/*
 * Connects to the loop of the workspace, within timeout_ms. 0 with a descriptor of the caller,
 * non-blocking and close-on-exec; -ENOENT: no loop is there; -ETIMEDOUT: it is, but does not
 * accept; -EACCES: it is another user's; or another -errno. err says where it was looked for.
 */
int client_connect(const char *workspace, int64_t timeout_ms, int *ret_fd, struct err *err);

struct client_request {
	const char *method;
	const json_t *params; /* borrowed; NULL: none */
	int64_t timeout_ms;   /* for request and answer together */
};

/* A result of client_ask(): the loop said no. */
#define CLIENT_REFUSED 1

/*
 * Sends one request to the loop of the workspace and waits for its answer. What else comes (notices,
 * answers to somebody else) is passed over.
 * 0 with the result, any JSON value, owned by the caller; CLIENT_REFUSED with the code of the error,
 * and err is its message; -ETIMEDOUT; -ECONNRESET: the loop hung up; -EPROTO: what came is not
 * understood; -EFBIG; or what client_connect() returns.
 */
int client_ask(const char *workspace, const struct client_request *request, json_t **ret_result,
	       int64_t *ret_code, struct err *err);
