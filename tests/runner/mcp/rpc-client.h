#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A client of the loop's socket within the loop's own process: what it says is taken up, and what
 * it hears is written, in rounds of the loop that the test asks for. Quotes are ' both ways.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "runner/io/loop.h"
#include "tests/test.h"

/* As many rounds as anything takes that waits for nobody: accept, read, write, close. */
#define RPC_ROUNDS 6

struct rpc_client {
	struct loop *loop;
	int fd;
	struct strbuf heard; /* what was not looked at yet */
	struct strbuf line;
	bool ended; /* the other end hung up */
};

static inline void rpc_on_timer(void *userdata)
{
	loop_stop(userdata, 0);
}

/* A round or more: everything that is ready now gets its turn, and timers that are due before us. */
static inline void rpc_turn(struct loop *loop)
{
	struct loop_timer *timer;

	assert_int_equal(loop_timer_new(loop, rpc_on_timer, loop, &timer), 0);
	loop_timer_arm(timer, 1);
	assert_int_equal(loop_run(loop, NULL), 0);
	loop_timer_free(timer);
}

static inline void rpc_settle(struct loop *loop)
{
	for (int i = 0; i < RPC_ROUNDS; i++)
		rpc_turn(loop);
}

static inline void rpc_open(struct rpc_client *client, struct loop *loop, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*client = (struct rpc_client){ .loop = loop };
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(client->fd >= 0);
	strcpy(address.sun_path, path);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* It is gone, whatever it still had to hear. */
static inline void rpc_close(struct rpc_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	strbuf_deinit(&client->heard);
	strbuf_deinit(&client->line);
}

/* Bytes as they are. */
static inline void rpc_send(const struct rpc_client *client, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = send(client->fd, bytes, n, MSG_NOSIGNAL);

		if (done < 0) {
			assert_int_equal(errno, EAGAIN);
			rpc_turn(client->loop);
			continue;
		}
		bytes += done;
		n -= (size_t)done;
	}
}

/* One line. */
static inline void rpc_say(const struct rpc_client *client, const char *text)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_puts(&line, text);
	strbuf_putc(&line, '\n');
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] == '\'')
			line.data[i] = '"';
	rpc_send(client, line.data, line.len);
}

static inline void rpc_receive(struct rpc_client *client)
{
	static char bytes[65536];
	ssize_t n;

	while (!client->ended && (n = recv(client->fd, bytes, sizeof(bytes), 0)) >= 0) {
		client->ended = n == 0;
		strbuf_append(&client->heard, bytes, (size_t)n);
	}
}

/* The next line; "" if none comes, "EOF" at the end. Valid until the next call. */
static inline const char *rpc_hear(struct rpc_client *client)
{
	size_t len;

	for (int i = 0; i < RPC_ROUNDS; i++) {
		rpc_receive(client);
		if (client->heard.len > 0 && strchr(client->heard.data, '\n'))
			break;
		rpc_turn(client->loop);
	}
	if (client->heard.len == 0)
		return client->ended ? "EOF" : "";
	len = strcspn(client->heard.data, "\n");
	strbuf_reset(&client->line);
	strbuf_append(&client->line, client->heard.data, len);
	strbuf_consume(&client->heard, len + 1);
	for (char *c = client->line.data; *c; c++)
		if (*c == '"')
			*c = '\'';
	return client->line.data;
}
