/* SPDX-License-Identifier: MIT */
#include "runner/mcp/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/pages.h"
#include "runner/mcp/client.h"

/* In bytes, for each direction: most messages fit in whole. */
#define RELAY_BUFFER 16384

/* The loop accepts at once, unless it writes to a slow disk. */
#define RELAY_CONNECT_MS 10000

/* When nothing was said for so long, the memory that it took is given back. */
#define RELAY_SETTLE_MS 1000

/* One direction. */
struct relay_pipe {
	size_t start, end; /* what was read and not yet written */
	bool ended;	   /* nothing more comes in */
	char bytes[RELAY_BUFFER];
};

struct relay {
	struct relay_pipe up;	/* from in to the loop */
	struct relay_pipe down; /* from the loop to out */
	int in, out, fd;
	bool is_shut; /* the end of in was passed on */
	bool is_deaf; /* the loop takes nothing any more */
	int error;    /* -errno: why, if it has not hung up itself */
};

enum relay_poll {
	RELAY_IN,
	RELAY_OUT,
	RELAY_SOCKET,
	RELAY_POLLS,
};

static bool relay_is_empty(const struct relay_pipe *pipe)
{
	return pipe->start == pipe->end;
}

static bool relay_has_room(const struct relay_pipe *pipe)
{
	return !pipe->ended && pipe->end < RELAY_BUFFER;
}

/* It was only asked too early, or interrupted. */
static bool relay_is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* An error at reading is an end, too: what was read before is still delivered. */
static void relay_read(struct relay_pipe *pipe, int fd)
{
	ssize_t n = read(fd, pipe->bytes + pipe->end, RELAY_BUFFER - pipe->end);

	if (n > 0)
		pipe->end += (size_t)n;
	else if (n == 0 || !relay_is_passing(errno))
		pipe->ended = true;
}

/* 0, or -errno if it will never be written. */
static int relay_write(struct relay_pipe *pipe, int fd)
{
	ssize_t n = write(fd, pipe->bytes + pipe->start, pipe->end - pipe->start);

	if (n < 0 && !relay_is_passing(errno))
		return -errno;
	if (n > 0)
		pipe->start += (size_t)n;
	if (relay_is_empty(pipe))
		pipe->start = pipe->end = 0;
	return 0;
}

/*
 * What to wait for. A descriptor of which nothing is wanted is left out: its hang-up, which poll(2)
 * always reports, would make the wait a busy one. But of out nothing else than that is wanted while
 * nothing comes: an agent that is gone must not leave us behind.
 */
static void relay_prepare(const struct relay *relay, struct pollfd polls[RELAY_POLLS])
{
	short events = 0;

	polls[RELAY_IN] = (struct pollfd){ .fd = -1, .events = POLLIN };
	if (relay_has_room(&relay->up) && !relay->is_deaf)
		polls[RELAY_IN].fd = relay->in;
	polls[RELAY_OUT] = (struct pollfd){ .fd = relay->out };
	if (!relay_is_empty(&relay->down))
		polls[RELAY_OUT].events = POLLOUT;
	if (relay_has_room(&relay->down))
		events |= POLLIN;
	if (!relay_is_empty(&relay->up))
		events |= POLLOUT;
	polls[RELAY_SOCKET] = (struct pollfd){ .fd = events ? relay->fd : -1, .events = events };
}

/* Passes the end of in on, once everything before it is. */
static void relay_shut(struct relay *relay)
{
	if (relay->is_shut || !relay->up.ended || !relay_is_empty(&relay->up))
		return;
	(void)shutdown(relay->fd, SHUT_WR);
	relay->is_shut = true;
}

/* Passes on what came in. */
static void relay_write_up(struct relay *relay)
{
	int r = relay_write(&relay->up, relay->fd);

	if (r == 0)
		return;
	/* Whoever hung up may have said something before: only its ear is given up. */
	relay->is_deaf = true;
	relay->up.start = relay->up.end = 0;
	if (r == -EPIPE || r == -ECONNRESET)
		return;
	/* It would wait for the rest of a request, and the agent for its answer. */
	relay->error = r;
	(void)shutdown(relay->fd, SHUT_RDWR);
}

/* 0: go on; -EPIPE: nobody reads out. */
static int relay_turn(struct relay *relay, const struct pollfd polls[RELAY_POLLS])
{
	short at_socket = polls[RELAY_SOCKET].revents;

	if (polls[RELAY_IN].revents)
		relay_read(&relay->up, relay->in);
	if (at_socket && relay_has_room(&relay->down))
		relay_read(&relay->down, relay->fd);
	if (at_socket && !relay_is_empty(&relay->up))
		relay_write_up(relay);
	relay_shut(relay);
	if (polls[RELAY_OUT].revents & POLLOUT)
		return relay_write(&relay->down, relay->out) < 0 ? -EPIPE : 0;
	return polls[RELAY_OUT].revents ? -EPIPE : 0;
}

static int relay_loop(struct relay *relay, struct err *err)
{
	struct pollfd polls[RELAY_POLLS];
	int wait_ms = RELAY_SETTLE_MS;

	while (!relay->down.ended || !relay_is_empty(&relay->down)) {
		int n;

		relay_prepare(relay, polls);
		n = poll(polls, RELAY_POLLS, wait_ms);
		if (n < 0 && errno != EINTR)
			return err_sys(err, -errno, "poll");
		if (n == 0)
			pages_release();
		wait_ms = n == 0 ? -1 : RELAY_SETTLE_MS;
		if (n > 0 && relay_turn(relay, polls) < 0)
			return 0;
	}
	if (relay->error)
		return err_sys(err, relay->error, "cannot write to the session loop");
	if (relay->up.ended)
		return 0;
	return err_set(err, -ECONNRESET, "the session loop has hung up");
}

int relay_pump(int in, int out, int fd, struct err *err)
{
	/* Heap that nobody had before: only what is used of the buffers takes memory. */
	cleanup_free struct relay *relay = calloc(1, sizeof(*relay));
	int flags = fcntl(out, F_GETFL), r;
	/*
	 * A write that waits would keep us from reading what the agent writes meanwhile, and both
	 * would wait for each other. A terminal is left alone: it is the shell's, too.
	 */
	bool changes = flags >= 0 && !(flags & O_NONBLOCK) && !isatty(out);

	if (!relay)
		return err_sys(err, -ENOMEM, "cannot relay");
	relay->in = in;
	relay->out = out;
	relay->fd = fd;
	/* A write to who is gone answers EPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (changes)
		(void)fd_set_nonblock(out, true);
	r = relay_loop(relay, err);
	if (changes)
		(void)fd_set_nonblock(out, false);
	return r;
}

int relay_run(const char *workspace, int in, int out, struct err *err)
{
	cleanup_close int fd = -1;
	int r = client_connect(workspace, RELAY_CONNECT_MS, &fd, err);

	return r < 0 ? r : relay_pump(in, out, fd, err);
}
