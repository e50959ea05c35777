/* SPDX-License-Identifier: MIT */
#include "runner/io/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/io/ndjson.h"

/* Why a client is not let in. */
enum socket_refusal {
	SOCKET_CROWD,
	SOCKET_STRANGER,
	SOCKET_NO_DESCRIPTOR,
	SOCKET_REFUSALS,
};

struct socket {
	struct loop *loop;
	int fd;
	struct loop_source *source;
	struct loop_timer *pause; /* nobody is let in until it is over */
	size_t line_max;
	struct socket_events events;
	void *userdata;
	char *path;   /* NULL: not bound */
	dev_t device; /* of what was bound there */
	ino_t inode;
	struct socket_peer *first;
	size_t count;
	/* Said once, until it is over: else anybody who connects again and again fills the log. */
	bool said[SOCKET_REFUSALS];
};

struct socket_peer {
	struct socket *socket; /* NULL once closed: it is released when the last callback returns */
	struct socket_peer *next;
	int fd;
	struct loop_source *source;
	struct loop_timer *later; /* armed: its turn was over before its lines were */
	struct ndjson lines;
	struct strbuf outgoing;
	void *data;
	bool has_ended;	   /* it sends nothing more */
	bool is_finishing; /* closed once outgoing is empty */
	unsigned int busy; /* callbacks on the stack */
};

/* Connections */

static void socket_peer_release(struct socket_peer *peer)
{
	ndjson_deinit(&peer->lines);
	strbuf_deinit(&peer->outgoing);
	free(peer);
}

/* Ends the connection. Nobody finds the peer any more but who is in the midst of a callback. */
static void socket_peer_detach(struct socket_peer *peer)
{
	struct socket *socket = steal_ptr(peer->socket);

	loop_source_free(steal_ptr(peer->source));
	loop_timer_free(steal_ptr(peer->later));
	close(steal_fd(&peer->fd));
	for (struct socket_peer **link = &socket->first; *link; link = &(*link)->next)
		if (*link == peer) {
			*link = peer->next;
			socket->count--;
			break;
		}
	/* Not as soon as one leaves: who comes and goes at the limit would be told of each time. */
	if (socket->count <= SOCKET_PEERS_MAX / 2)
		socket->said[SOCKET_CROWD] = false;
}

void socket_peer_close(struct socket_peer *peer)
{
	socket_peer_detach(peer);
	if (peer->busy == 0)
		socket_peer_release(peer);
}

static void socket_peer_enter(struct socket_peer *peer)
{
	peer->busy++;
}

static void socket_peer_leave(struct socket_peer *peer)
{
	if (--peer->busy == 0 && !peer->socket)
		socket_peer_release(peer);
}

/* The client is gone. The caller holds the peer. */
static void socket_peer_lose(struct socket_peer *peer)
{
	const struct socket *socket = peer->socket;

	socket_peer_detach(peer);
	socket->events.closed(socket->userdata, peer);
}

/* Is more of what it asks for taken up at present? */
static bool socket_peer_is_heard(const struct socket_peer *peer)
{
	return peer->socket && !peer->has_ended && peer->outgoing.len < SOCKET_BACKLOG_MAX;
}

/* Watches for what can be done now. Of a client that has lines left no more are read. */
static void socket_peer_watch(struct socket_peer *peer)
{
	uint32_t events = 0;

	if (socket_peer_is_heard(peer) && !loop_timer_is_armed(peer->later))
		events |= EPOLLIN;
	if (peer->outgoing.len > 0)
		events |= EPOLLOUT;
	(void)loop_source_set_events(peer->source, events);
}

/* Writes what the kernel takes. False: the client is gone. */
static bool socket_peer_flush(struct socket_peer *peer)
{
	while (peer->outgoing.len > 0) {
		/* MSG_NOSIGNAL: an error, not a SIGPIPE, says that nobody reads. */
		ssize_t n = send(peer->fd, peer->outgoing.data, peer->outgoing.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		strbuf_consume(&peer->outgoing, (size_t)n);
	}
	strbuf_deinit(&peer->outgoing);
	return true;
}

static void socket_peer_end(struct socket_peer *peer)
{
	const struct socket *socket = peer->socket;

	peer->has_ended = true;
	socket->events.ended(socket->userdata, peer);
}

/*
 * Hands out the lines that are complete. One read may bring thousands of them, and each may cost a
 * write to disk: once the turn is over, those that are left wait, in order, for the timer.
 */
static void socket_peer_emit(struct socket_peer *peer)
{
	int64_t end = clock_monotonic_ms() + SOCKET_TURN_MS;
	char *line;
	size_t len;
	int r;

	while (socket_peer_is_heard(peer) && (r = ndjson_next(&peer->lines, &line, &len)) != 0) {
		const struct socket *socket = peer->socket;

		if (r > 0)
			socket->events.line(socket->userdata, peer, line, len);
		else
			socket->events.overlong(socket->userdata, peer, len);
		if (socket_peer_is_heard(peer) && clock_monotonic_ms() >= end) {
			loop_timer_arm(peer->later, 0);
			return;
		}
	}
}

/* One read. False: the client is gone. */
static bool socket_peer_read(struct socket_peer *peer)
{
	char *room;
	size_t size;
	ssize_t n;

	if (ndjson_room(&peer->lines, &room, &size) < 0)
		return false;
	n = recv(peer->fd, room, size, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		socket_peer_end(peer);
		return true;
	}
	ndjson_filled(&peer->lines, (size_t)n);
	socket_peer_emit(peer);
	return true;
}

/* What follows from an event. The caller holds the peer. */
static void socket_peer_settle(struct socket_peer *peer, bool is_there)
{
	if (peer->socket && (!is_there || (peer->is_finishing && peer->outgoing.len == 0)))
		socket_peer_lose(peer);
	else if (peer->socket)
		socket_peer_watch(peer);
}

/* The next turn of a client that has lines left. */
static void socket_peer_on_turn(void *userdata)
{
	struct socket_peer *peer = userdata;

	socket_peer_enter(peer);
	socket_peer_emit(peer);
	socket_peer_settle(peer, true);
	socket_peer_leave(peer);
}

static void socket_peer_on_ready(void *userdata, uint32_t events)
{
	/* HUP and ERR are told whether asked for or not: both ends are shut. */
	const bool is_shut = events & (EPOLLHUP | EPOLLERR);
	struct socket_peer *peer = userdata;
	bool is_there = true;

	socket_peer_enter(peer);
	if (events & EPOLLOUT)
		is_there = socket_peer_flush(peer);
	/* What was read before comes first: it was held back while answers waited. */
	if (is_there && !loop_timer_is_armed(peer->later))
		socket_peer_emit(peer);
	if (is_there && peer->socket && !socket_peer_is_heard(peer))
		is_there = !is_shut;
	/* The end is found by reading, and so not before the last line that came ahead of it. */
	else if (is_there && peer->socket && !loop_timer_is_armed(peer->later) &&
		 (is_shut || events & EPOLLIN))
		is_there = socket_peer_read(peer);
	socket_peer_settle(peer, is_there);
	socket_peer_leave(peer);
}

void socket_peer_set_data(struct socket_peer *peer, void *data)
{
	peer->data = data;
}

void *socket_peer_data(const struct socket_peer *peer)
{
	return peer->data;
}

int socket_peer_write(struct socket_peer *peer, const void *bytes, size_t n)
{
	int r = strbuf_append(&peer->outgoing, bytes, n);

	if (r < 0) {
		peer->outgoing.error = 0;
		return r;
	}
	/* Not from within: the client may turn out to be gone, which is told from the loop. */
	if (peer->socket)
		socket_peer_watch(peer);
	return 0;
}

void socket_peer_finish(struct socket_peer *peer)
{
	peer->is_finishing = true;
	peer->has_ended = true;
	if (!peer->socket)
		return;
	loop_timer_disarm(peer->later);
	/* An empty socket is writable at once: the loop closes it then. */
	(void)loop_source_set_events(peer->source, EPOLLOUT);
}

/* The listening end */

/* Is this the first of its kind, which is told of? */
static bool socket_is_news(struct socket *socket, enum socket_refusal refusal)
{
	bool was_said = socket->said[refusal];

	socket->said[refusal] = true;
	return !was_said;
}

static bool socket_is_allowed(struct socket *socket, int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return false;
	if (who.uid == geteuid() || who.uid == 0)
		return true;
	if (socket_is_news(socket, SOCKET_STRANGER))
		log_warning("a client of user %u is refused", who.uid);
	return false;
}

static bool socket_has_room(struct socket *socket)
{
	if (socket->count < SOCKET_PEERS_MAX)
		return true;
	if (socket_is_news(socket, SOCKET_CROWD))
		log_warning("more than %d clients at once: one is refused", SOCKET_PEERS_MAX);
	return false;
}

static void socket_on_pause_over(void *userdata)
{
	const struct socket *socket = userdata;

	(void)loop_source_set_events(socket->source, EPOLLIN);
}

/* A client who cannot be let in stays in the queue, and would wake us all the time. */
static void socket_pause(struct socket *socket)
{
	if (socket_is_news(socket, SOCKET_NO_DESCRIPTOR))
		log_warning("no descriptor for a client: trying again every %d ms",
			    SOCKET_PAUSE_MS);
	(void)loop_source_set_events(socket->source, 0);
	loop_timer_arm(socket->pause, SOCKET_PAUSE_MS);
}

/* Lets it in; fd is the peer's then. NULL out of memory. */
static struct socket_peer *socket_add_peer(struct socket *socket, int fd)
{
	struct socket_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	ndjson_init(&peer->lines, socket->line_max);
	if (loop_timer_new(socket->loop, socket_peer_on_turn, peer, &peer->later) < 0 ||
	    loop_add_fd(socket->loop, fd, EPOLLIN, socket_peer_on_ready, peer, &peer->source) < 0) {
		loop_timer_free(peer->later);
		socket_peer_release(peer);
		return NULL;
	}
	peer->fd = fd;
	peer->socket = socket;
	peer->next = socket->first;
	socket->first = peer;
	socket->count++;
	return peer;
}

static void socket_on_client(void *userdata, uint32_t events)
{
	struct socket *socket = userdata;
	cleanup_close int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct socket_peer *peer;

	(void)events;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		socket_pause(socket);
	if (fd < 0 || !socket_is_allowed(socket, fd) || !socket_has_room(socket))
		return;
	peer = socket_add_peer(socket, fd);
	if (!peer)
		return;
	(void)steal_fd(&fd);
	/* How many there are says when it is no crowd any more. */
	socket->said[SOCKET_STRANGER] = socket->said[SOCKET_NO_DESCRIPTOR] = false;
	socket_peer_enter(peer);
	socket->events.opened(socket->userdata, peer);
	socket_peer_leave(peer);
}

/* Does somebody listen there? 0: no, or nobody that could be asked; 1: yes; or -errno. */
static int socket_is_served(const struct sockaddr_un *address)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	/* EAGAIN: so many wait to be let in that there is no room for one more. */
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno == EAGAIN;
}

/* The place of one that was killed is taken over, that of one that lives is not. */
static int socket_clear(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	int r = socket_is_served(address);

	if (r > 0)
		return err_set(err, -EADDRINUSE, "%s: another agent-runner serves this workspace",
			       path);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	return unlink(path) < 0 && errno != ENOENT ? err_sys(err, -errno, "%s", path) : 0;
}

static int socket_bind(struct socket *socket, const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes",
			       path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* Once it was ours, only an impostor can serve it. */
	if (socket->path)
		r = unlink(path) < 0 && errno != ENOENT ? err_sys(err, -errno, "%s", path) : 0;
	else
		r = socket_clear(&address, err);
	if (r < 0)
		return r;
	/* The mode is there from the first moment on: unix(7), "Pathname socket ownership". */
	mask = umask(0177);
	if (bind(socket->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = err_sys(err, -errno, "%s", path);
	umask(mask);
	if (r < 0)
		return r;
	if (!socket->path && !(socket->path = strdup(path)))
		return err_sys(err, -ENOMEM, "%s", path);
	if (lstat(path, &st) == 0) {
		socket->device = st.st_dev;
		socket->inode = st.st_ino;
	}
	return listen(socket->fd, SOCKET_PEERS_MAX) < 0 ? err_sys(err, -errno, "%s", path) : 0;
}

/* Opens the listening end and has the loop watch it. */
static int socket_open(struct socket *s, const char *path, struct err *err)
{
	int r;

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = s->fd < 0 ? err_sys(err, -errno, "%s", path) : socket_bind(s, path, err);
	if (r < 0)
		return r;
	r = loop_add_fd(s->loop, s->fd, EPOLLIN, socket_on_client, s, &s->source);
	return r < 0 ? err_sys(err, r, "%s", path) : 0;
}

/* Is it at its place, and can it be connected to? */
static bool socket_is_there(const struct socket *s)
{
	struct stat st;

	if (lstat(s->path, &st) < 0 || st.st_dev != s->device || st.st_ino != s->inode)
		return false;
	return (st.st_mode & ALLPERMS) == 0600 || chmod(s->path, 0600) == 0;
}

int socket_renew(struct socket *s, struct err *err)
{
	int r;

	if (!s->path || (s->fd >= 0 && socket_is_there(s)))
		return 0;
	loop_timer_disarm(s->pause);
	loop_source_free(steal_ptr(s->source));
	if (s->fd >= 0)
		close(steal_fd(&s->fd));
	r = socket_open(s, s->path, err);
	return r < 0 ? r : 1;
}

int socket_listen(struct loop *loop, const char *path, size_t line_max,
		  const struct socket_events *events, void *userdata, struct socket **ret_socket,
		  struct err *err)
{
	struct socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_sys(err, -ENOMEM, "%s", path);
	*s = (struct socket){
		.loop = loop,
		.line_max = line_max,
		.events = *events,
		.userdata = userdata,
		.fd = -1,
	};
	r = loop_timer_new(loop, socket_on_pause_over, s, &s->pause);
	r = r < 0 ? err_sys(err, r, "%s", path) : socket_open(s, path, err);
	if (r < 0) {
		socket_free(s);
		return r;
	}
	*ret_socket = s;
	return 0;
}

void socket_stop_listening(struct socket *socket)
{
	loop_timer_free(steal_ptr(socket->pause));
	loop_source_free(steal_ptr(socket->source));
	if (socket->fd >= 0)
		close(steal_fd(&socket->fd));
	if (socket->path)
		(void)unlink(socket->path);
	free(steal_ptr(socket->path));
}

void socket_free(struct socket *socket)
{
	if (!socket)
		return;
	while (socket->first)
		socket_peer_close(socket->first);
	socket_stop_listening(socket);
	free(socket);
}
