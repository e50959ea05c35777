#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A Unix stream socket that local clients send lines to and get lines from. Owns the listening end
 * and every connection. Only clients of our own user, and root, are let in (SO_PEERCRED, unix(7)).
 * Others are refused, which is logged once, until somebody is let in.
 *
 * A client that does not read its answers is not read from either once SOCKET_BACKLOG_MAX bytes
 * wait for it: what it asks for is bounded by what it takes.
 *
 * Nor does a client that says much at once keep anybody waiting: after SOCKET_TURN_MS the rest of
 * its lines waits for a later round of the loop, and meanwhile nothing more is read from it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "runner/io/loop.h"

/* More clients than this at once are refused; which is logged once, until half of them have gone. */
#define SOCKET_PEERS_MAX   128
#define SOCKET_BACKLOG_MAX (1024 * 1024)
/* Lines of a client are handed out for this long, and always one of them. */
#define SOCKET_TURN_MS 2
/* Where descriptors ran out, the next client is let in after this. */
#define SOCKET_PAUSE_MS 100

struct socket;
struct socket_peer; /* one client's connection; the callee's until `closed` */

struct socket_events {
	void (*opened)(void *userdata, struct socket_peer *peer);
	/* A complete line without its newline, NUL-terminated; valid during the call. */
	void (*line)(void *userdata, struct socket_peer *peer, const char *line, size_t len);
	/* A line of len bytes was longer than line_max and was dropped. */
	void (*overlong)(void *userdata, struct socket_peer *peer, size_t len);
	/* All lines were handed out, and no more will come; what is written still reaches it, if it reads. */
	void (*ended)(void *userdata, struct socket_peer *peer);
	/* The connection is gone: the last event. Not raised by socket_peer_close(). */
	void (*closed)(void *userdata, struct socket_peer *peer);
};

/*
 * Listens at path with mode 0600, replacing what is there. 0; -EADDRINUSE: somebody listens there
 * and keeps the place; or another -errno. The socket removes path when it is freed.
 */
int socket_listen(struct loop *loop, const char *path, size_t line_max,
		  const struct socket_events *events, void *userdata, struct socket **ret_socket,
		  struct err *err);
/*
 * Listens anew if the socket is not at its path any more, whoever may listen there: connections stay.
 * 1: it does; 0: it is where it was; or -errno: nobody can connect.
 */
int socket_renew(struct socket *socket, struct err *err);
/* Closes every connection without an event. Accepts NULL. */
void socket_free(struct socket *socket);

/* Lets nobody in any more, and leaves the path to whoever comes next. Clients stay. */
void socket_stop_listening(struct socket *socket);

/* Something of the caller's, kept with the connection. */
void socket_peer_set_data(struct socket_peer *peer, void *data);
void *socket_peer_data(const struct socket_peer *peer);

/* Queues bytes. 0; -ENOMEM. To a client that is gone they are dropped without a word. */
int socket_peer_write(struct socket_peer *peer, const void *bytes, size_t n);

/* Closes the connection as soon as what was queued is written. It raises `closed` then. */
void socket_peer_finish(struct socket_peer *peer);

/* Closes it at once. The peer must not be touched any more. */
void socket_peer_close(struct socket_peer *peer);
