/* SPDX-License-Identifier: MIT */
#include "runner/mcp/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "runner/io/json.h"
#include "runner/io/ndjson.h"
#include "runner/io/rundir.h"

/* Each connection has one request: its number tells nothing apart but notices. */
#define CLIENT_ID 1

int client_connect(const char *workspace, int64_t timeout_ms, int *ret_fd, struct err *err)
{
	/* A blocking connect(2) waits for room in the queue of who listens: not for ever. */
	const struct timeval patience = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	int r = rundir_find_socket(workspace, &path, err);

	if (r < 0)
		return r;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, -errno, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		if (r == -ECONNREFUSED)
			return err_set(err, -ENOENT,
				       "nobody listens at %s: the session loop is not running",
				       path);
		if (r == -EAGAIN)
			return err_set(err, -ETIMEDOUT,
				       "%s: the session loop accepts no connection", path);
		return err_sys(err, r, "%s", path);
	}
	r = fd_set_nonblock(fd, true);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* One exchange over a connection. */
struct client {
	int fd;
	int64_t deadline_ms;
};

/* 0 as soon as one of the events is there, or -ETIMEDOUT. */
static int client_wait(const struct client *client, short events)
{
	struct pollfd pollfd = { .fd = client->fd, .events = events };

	for (;;) {
		int64_t left = client->deadline_ms - clock_monotonic_ms();
		int r = left > 0 ? poll(&pollfd, 1, (int)(left < INT32_MAX ? left : INT32_MAX)) : 0;

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int client_compose(const struct client_request *request, struct strbuf *out)
{
	strbuf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":", CLIENT_ID);
	json_append_string(out, request->method, strlen(request->method));
	if (request->params) {
		strbuf_puts(out, ",\"params\":");
		json_append_compact(out, request->params);
	}
	return strbuf_puts(out, "}\n");
}

static int client_send(const struct client *client, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = send(client->fd, bytes, n, MSG_NOSIGNAL);
		int r = done < 0 ? -errno : 0;

		if (r == -EAGAIN)
			r = client_wait(client, POLLOUT);
		/* Who hangs up on a request may have said why: that is read next. */
		if (r == -EPIPE || r == -ECONNRESET)
			return 0;
		if (r < 0 && r != -EINTR)
			return r;
		if (done > 0) {
			bytes += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* The next line, valid until the next call. */
static int client_receive(const struct client *client, struct ndjson *lines, char **ret_line,
			  size_t *ret_len)
{
	for (;;) {
		size_t size;
		char *room;
		ssize_t n;
		int r = ndjson_next(lines, ret_line, ret_len);

		if (r != 0)
			return r > 0 ? 0 : r;
		if (ndjson_room(lines, &room, &size) < 0)
			return -ENOMEM;
		r = client_wait(client, POLLIN);
		if (r < 0)
			return r;
		n = recv(client->fd, room, size, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			ndjson_filled(lines, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

/* Is this the answer? A request that was not understood is answered without a number. */
static bool client_is_answer(const json_t *message)
{
	const json_t *id = json_member(message, "id");

	if (id)
		return json_is_integer(id) && json_integer_value(id) == CLIENT_ID &&
		       !json_member(message, "method");
	return json_member(message, "error") != NULL;
}

static int client_take_answer(const json_t *message, json_t **ret_result, int64_t *ret_code,
			      struct err *err)
{
	const json_t *error = json_member(message, "error");
	json_t *result = json_object_get(message, "result");

	if (error) {
		const char *text = json_member_string(error, "message");

		*ret_code = json_member_int(error, "code", 0);
		return err_set(err, CLIENT_REFUSED, "%s", text ? text : "no reason was given");
	}
	if (!result)
		return err_set(err, -EPROTO, "the session loop's answer has no result");
	*ret_result = json_incref(result);
	return 0;
}

static int client_exchange(const struct client *client, const struct client_request *request,
			   struct ndjson *lines, json_t **ret_result, int64_t *ret_code,
			   struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	char *line;
	size_t len;
	int r = client_compose(request, &text);

	if (r == 0)
		r = client_send(client, text.data, text.len);
	while (r == 0) {
		cleanup_json json_t *message = NULL;

		r = client_receive(client, lines, &line, &len);
		/* Whoever answers may be an agent that has put a socket of its own there. */
		if (r == 0 && json_parse(line, len, &message, err) < 0)
			return err_prefix(err, -EPROTO, "the session loop's answer is no JSON");
		if (r == 0 && client_is_answer(message))
			return client_take_answer(message, ret_result, ret_code, err);
	}
	if (r == -ETIMEDOUT)
		return err_set(err, r, "no answer within %g s", (double)request->timeout_ms / 1000);
	if (r == -ECONNRESET)
		return err_set(err, r, "the session loop has hung up");
	if (r == -EFBIG)
		return err_set(err, r, "the session loop's answer is longer than %d bytes",
			       CLIENT_LINE_MAX);
	return err_sys(err, r, "cannot talk to the session loop");
}

int client_ask(const char *workspace, const struct client_request *request, json_t **ret_result,
	       int64_t *ret_code, struct err *err)
{
	struct client client = { .deadline_ms = clock_monotonic_ms() + request->timeout_ms };
	struct ndjson lines;
	int r = client_connect(workspace, request->timeout_ms, &client.fd, err);

	if (r < 0)
		return r;
	ndjson_init(&lines, CLIENT_LINE_MAX);
	r = client_exchange(&client, request, &lines, ret_result, ret_code, err);
	ndjson_deinit(&lines);
	close(client.fd);
	return r;
}
