/* SPDX-License-Identifier: MIT */
#include "runner/io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

#define LINE_MAX_HERE 16
/* More than the kernel keeps of a connection on its own. */
#define MUCH (3 * 1024 * 1024)

struct world {
	struct folder folder;
	char path[96];
	struct loop *loop;
	struct loop_timer *timer;
	struct socket *socket;
	struct socket_peer *peer; /* the one that an event told of last */
	char log[1024]; /* "+" opened, ":…" a line, "!n" overlong, "." ended, "-" closed */
	/* Called from within this event, after it is logged. */
	char when;
	void (*then)(struct world *w, struct socket_peer *peer);
};

static void say(struct world *w, struct socket_peer *peer, const char *what)
{
	size_t used = strlen(w->log);

	(void)snprintf(w->log + used, sizeof(w->log) - used, "%s ", what);
	w->peer = peer;
	if (w->then && w->when == *what)
		w->then(w, peer);
}

static void on_opened(void *userdata, struct socket_peer *peer)
{
	assert_null(socket_peer_data(peer));
	say(userdata, peer, "+");
}

static void on_line(void *userdata, struct socket_peer *peer, const char *line, size_t len)
{
	char text[64];

	assert_int_equal(strlen(line), len);
	(void)snprintf(text, sizeof(text), ":%s", line);
	say(userdata, peer, text);
}

static void on_overlong(void *userdata, struct socket_peer *peer, size_t len)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "!%zu", len);
	say(userdata, peer, text);
}

static void on_ended(void *userdata, struct socket_peer *peer)
{
	say(userdata, peer, ".");
}

static void on_closed(void *userdata, struct socket_peer *peer)
{
	say(userdata, peer, "-");
}

static const struct socket_events events = {
	.opened = on_opened,
	.line = on_line,
	.overlong = on_overlong,
	.ended = on_ended,
	.closed = on_closed,
};

static void on_timer(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, 0);
}

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .when = '\0' };
	folder_make(&world.folder);
	strcpy(world.path, folder_file(&world.folder, "socket"));
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_timer, &world, &world.timer), 0);
	assert_int_equal(socket_listen(world.loop, world.path, LINE_MAX_HERE, &events, &world,
				       &world.socket, NULL),
			 0);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	socket_free(w->socket);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	folder_remove(&w->folder);
	return 0;
}

/* One round of the loop: everything that is ready now gets its turn, once. */
static void turn(struct world *w)
{
	loop_timer_arm(w->timer, 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

/* Enough for a client whose turn is cut short where this process had to wait for its own. */
static void turns(struct world *w)
{
	for (int i = 0; i < 8; i++)
		turn(w);
}

static void assert_log(struct world *w, const char *expected)
{
	assert_string_equal(w->log, expected);
	w->log[0] = '\0';
}

static int client_new(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	return fd;
}

static int client_connect(const struct world *w, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, w->path);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

/* A client that is let in; its first event is not kept. */
static int client(struct world *w)
{
	int fd = client_new();

	assert_int_equal(client_connect(w, fd), 0);
	turn(w);
	assert_log(w, "+ ");
	return fd;
}

static void client_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What is there for the client now, "EOF" at the end. */
static const char *client_hear(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n == 0)
		return "EOF";
	if (n < 0)
		return errno == EAGAIN ? "" : "an error";
	text[n] = '\0';
	return text;
}

/* Takes all that the other end has, however often that takes; how much it was. */
static size_t client_drain(struct world *w, int fd)
{
	static char bytes[256 * 1024];
	size_t sum = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			return sum;
		sum += (size_t)n;
		turn(w);
	}
}

/* Queues more than the kernel takes. */
static void write_much(struct world *w, struct socket_peer *peer)
{
	cleanup_free char *bytes = calloc(1, MUCH);

	(void)w;
	assert_int_equal(socket_peer_write(peer, bytes, MUCH), 0);
}

/* The listening end */

static void test_the_path(void **state)
{
	struct world *w = *state;
	mode_t mask = umask(0);
	struct stat st;

	/* The mask is as it was. */
	umask(mask);
	assert_int_equal(mask & 0777, 022);
	assert_int_equal(stat(w->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	socket_free(steal_ptr(w->socket));
	assert_int_equal(stat(w->path, &st), -1);
	assert_int_equal(errno, ENOENT);
}

static void assert_no_listening(struct world *w, const char *path, int r, const char *text)
{
	struct socket *socket = NULL;
	struct err err;

	assert_int_equal(socket_listen(w->loop, path, 16, &events, w, &socket, &err), r);
	assert_null(socket);
	assert_string_equal(err.text, text);
}

static void test_no_such_place(void **state)
{
	struct world *w = *state;
	char path[128], text[256];

	(void)snprintf(path, sizeof(path), "%s/none/socket", w->folder.path);
	(void)snprintf(text, sizeof(text), "%s: No such file or directory", path);
	assert_no_listening(w, path, -ENOENT, text);
	folder_mkdir(&w->folder, "folder");
	(void)snprintf(path, sizeof(path), "%s/folder", w->folder.path);
	(void)snprintf(text, sizeof(text), "%s: Is a directory", path);
	assert_no_listening(w, path, -EISDIR, text);
}

static void test_a_path_that_is_too_long(void **state)
{
	struct world *w = *state;
	char path[109], text[256];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "%s: a socket's path has at most 107 bytes", path);
	assert_no_listening(w, path, -ENAMETOOLONG, text);
}

static void listen_anew(struct world *w)
{
	struct err err = { "" };
	cleanup_close int fd = -1;

	socket_free(steal_ptr(w->socket));
	if (socket_listen(w->loop, w->path, LINE_MAX_HERE, &events, w, &w->socket, &err) < 0)
		fail_msg("%s", err.text);
	fd = client(w);
	client_say(fd, "x\n");
	turn(w);
	assert_log(w, ":x ");
}

/* What a loop that was killed left there, or anybody else. */
static void test_what_is_there_is_replaced(void **state)
{
	struct world *w = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int stale = client_new();

	socket_free(steal_ptr(w->socket));
	strcpy(address.sun_path, w->path);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	close(stale);
	listen_anew(w);
	socket_free(steal_ptr(w->socket));
	folder_write(&w->folder, "socket", "");
	listen_anew(w);
}

static void assert_in_use(struct world *w)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s: another agent-runner serves this workspace",
		       w->path);
	assert_no_listening(w, w->path, -EADDRINUSE, text);
}

static void test_who_listens_keeps_the_place(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = -1;

	assert_in_use(w);
	/* It was no more to the other than a client that thought better of it. */
	turns(w);
	assert_log(w, "+ . - ");
	fd = client(w);
	client_say(fd, "x\n");
	turn(w);
	assert_log(w, ":x ");
}

/* It lives, though it has no time just now. */
static void test_who_listens_with_a_full_queue_keeps_the_place(void **state)
{
	struct world *w = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int other = client_new(), waiting = client_new();

	socket_free(steal_ptr(w->socket));
	strcpy(address.sun_path, w->path);
	assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(other, 0), 0);
	assert_int_equal(client_connect(w, waiting), 0);
	assert_in_use(w);
	assert_int_equal(access(w->path, F_OK), 0);
}

/* Lines */

static void test_lines(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	client_say(fd, "one\n\ntwo\r\nthr");
	turns(w);
	assert_log(w, ":one : :two\r ");
	turn(w);
	assert_log(w, "");
	client_say(fd, "ee\n");
	turn(w);
	assert_log(w, ":three ");
}

static void test_overlong_lines(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	client_say(fd, "0123456789abcdef\n0123456789abcdefg\nnext\n");
	turns(w);
	assert_log(w, ":0123456789abcdef !17 :next ");
	client_say(fd, "0123456789abcdefghij");
	turn(w);
	assert_log(w, "");
	client_say(fd, "klm\nok\n");
	turns(w);
	assert_log(w, "!23 :ok ");
}

static void test_clients_are_told_apart(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), bob = client(w);
	int mine, yours;

	client_say(ann, "ann\n");
	turn(w);
	socket_peer_set_data(w->peer, &mine);
	client_say(bob, "bob\n");
	turn(w);
	assert_null(socket_peer_data(w->peer));
	socket_peer_set_data(w->peer, &yours);
	client_say(ann, "ann again\n");
	turn(w);
	assert_ptr_equal(socket_peer_data(w->peer), &mine);
	assert_log(w, ":ann :bob :ann again ");
}

/* Answers */

static void test_answers(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	assert_int_equal(socket_peer_write(w->peer, "one\n", 4), 0);
	assert_int_equal(socket_peer_write(w->peer, "two\n", 4), 0);
	assert_string_equal(client_hear(fd), "");
	turn(w);
	assert_string_equal(client_hear(fd), "one\ntwo\n");
	assert_log(w, "");
}

/* Who is in stays, nobody else comes in, and the path is free for the next one. */
static void test_stop_listening(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), late = client_new(), bob = client_new();
	struct socket *next = NULL;

	assert_int_equal(client_connect(w, late), 0);
	socket_stop_listening(w->socket);
	assert_int_equal(access(w->path, F_OK), -1);
	assert_int_equal(client_connect(w, bob), -1);
	client_say(ann, "ann\n");
	turn(w);
	assert_log(w, ":ann ");
	assert_string_equal(client_hear(late), "an error");
	assert_int_equal(socket_listen(w->loop, w->path, LINE_MAX_HERE, &events, w, &next, NULL),
			 0);
	socket_stop_listening(w->socket);
	assert_int_equal(access(w->path, F_OK), 0);
	socket_free(next);
}

/* A client that has said all that it has to say still hears the answer. */
static void test_half_close(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	client_say(fd, "last\nwithout a newline");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turn(w);
	turn(w);
	turn(w);
	assert_log(w, ":last . ");
	assert_int_equal(socket_peer_write(w->peer, "answer\n", 7), 0);
	turn(w);
	assert_string_equal(client_hear(fd), "answer\n");
	assert_string_equal(client_hear(fd), "");
	socket_peer_finish(w->peer);
	assert_log(w, "");
	turn(w);
	assert_log(w, "- ");
	assert_string_equal(client_hear(fd), "EOF");
}

static void test_the_client_vanishes(void **state)
{
	struct world *w = *state;
	int fd = client(w);

	client_say(fd, "a\n");
	close(fd);
	turn(w);
	turn(w);
	turn(w);
	turn(w);
	assert_log(w, ":a . - ");
}

static void test_the_client_vanishes_after_its_half_close(void **state)
{
	struct world *w = *state;
	int fd = client(w);

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turn(w);
	assert_log(w, ". ");
	turn(w);
	assert_log(w, "");
	close(fd);
	turn(w);
	assert_log(w, "- ");
}

static void test_the_client_vanishes_while_answers_wait(void **state)
{
	struct world *w = *state;
	int fd = client(w);

	write_much(w, w->peer);
	turn(w);
	assert_log(w, "");
	/* What it asked last is not carried out: nobody would hear the answer. */
	client_say(fd, "a\n");
	close(fd);
	turn(w);
	assert_log(w, "- ");
}

static void test_finish_waits_for_what_is_queued(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	write_much(w, w->peer);
	socket_peer_finish(w->peer);
	turn(w);
	assert_log(w, "");
	assert_int_equal(client_drain(w, fd), MUCH);
	assert_log(w, "- ");
}

/* What it says after it was told goodbye is not heard. */
static void test_finish_hears_nothing_more(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	w->when = ':';
	w->then = write_much;
	client_say(fd, "a\n");
	turn(w);
	socket_peer_finish(w->peer);
	client_say(fd, "b\n");
	turn(w);
	assert_int_equal(client_drain(w, fd), MUCH);
	assert_log(w, ":a - ");
}

/* Limits */

static void test_who_does_not_read_is_not_read_from(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	write_much(w, w->peer);
	turn(w);
	client_say(fd, "a\n");
	turn(w);
	turn(w);
	assert_log(w, "");
	assert_int_equal(client_drain(w, fd), MUCH);
	turn(w);
	assert_log(w, ":a ");
}

/* What came in one piece is not carried out in one piece. */
static void test_who_does_not_read_is_not_answered_either(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	w->when = ':';
	w->then = write_much;
	client_say(fd, "a\nb\nc\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turn(w);
	turn(w);
	assert_log(w, ":a ");
	assert_int_equal(client_drain(w, fd), 3 * MUCH);
	turns(w);
	assert_log(w, ":b :c . ");
}

/* One client more than there is room for, and what is logged of it. */
static void assert_refused(struct world *w, const char *logged)
{
	static struct capture capture;
	cleanup_close int fd = client_new();

	assert_int_equal(client_connect(w, fd), 0);
	capture_start(&capture, STDERR_FILENO);
	turn(w);
	assert_string_equal(capture_stop(&capture), logged);
	assert_log(w, "");
	assert_string_equal(client_hear(fd), "EOF");
}

static void leave(struct world *w, int fd)
{
	close(fd);
	turn(w);
	turn(w);
	assert_log(w, ". - ");
}

static void test_too_many_clients(void **state)
{
	static const char text[] =
		"agent-runner: warning: more than 128 clients at once: one is refused\n";
	struct world *w = *state;
	int fds[SOCKET_PEERS_MAX];

	for (size_t i = 0; i < SOCKET_PEERS_MAX; i++)
		fds[i] = client(w);
	assert_refused(w, text);
	assert_refused(w, "");
	/* One leaves: another finds its place, and the rest is no news. */
	leave(w, fds[7]);
	fds[7] = client(w);
	assert_refused(w, "");
	/* Half of them leave, and there is a crowd anew. */
	for (size_t i = 0; i < SOCKET_PEERS_MAX / 2; i++)
		leave(w, fds[i]);
	for (size_t i = 0; i < SOCKET_PEERS_MAX / 2; i++)
		fds[i] = client(w);
	assert_refused(w, text);
	for (size_t i = 0; i < SOCKET_PEERS_MAX; i++)
		close(fds[i]);
}

static void test_no_descriptor_is_left(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client_new();
	struct rlimit limit, low;
	static struct capture capture;

	assert_int_equal(client_connect(w, fd), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	capture_start(&capture, STDERR_FILENO);
	low = limit;
	low.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	turn(w);
	/* It is not asked for again at once. */
	turn(w);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: no descriptor for a client: trying again every "
			    "100 ms\n");
	assert_log(w, "");
	w->when = '+';
	while (w->log[0] == '\0') {
		loop_timer_arm(w->timer, 10);
		assert_int_equal(loop_run(w->loop, NULL), 0);
	}
	assert_log(w, "+ ");
}

/* A client of another user, and what is logged of it. Only root can be somebody else. */
static void assert_stranger(struct world *w, const char *logged)
{
	static struct capture capture;
	cleanup_close int fd = client_new();

	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(client_connect(w, fd), 0);
	assert_int_equal(seteuid(0), 0);
	capture_start(&capture, STDERR_FILENO);
	turn(w);
	assert_string_equal(capture_stop(&capture), logged);
	assert_log(w, "");
	assert_string_equal(client_hear(fd), "EOF");
}

static void test_other_users_are_refused(void **state)
{
	static const char text[] = "agent-runner: warning: a client of user 65534 is refused\n";
	struct world *w = *state;

	if (geteuid() != 0)
		test_skip("only root can be another user, too");
	assert_int_equal(chmod(w->folder.path, 0755), 0);
	assert_int_equal(chmod(w->path, 0777), 0);
	assert_stranger(w, text);
	assert_stranger(w, "");
	close(client(w));
	turns(w);
	assert_log(w, ". - ");
	assert_stranger(w, text);
}

/* From within callbacks */

static void finish(struct world *w, struct socket_peer *peer)
{
	(void)w;
	assert_int_equal(socket_peer_write(peer, "bye\n", 4), 0);
	socket_peer_finish(peer);
}

static void close_it(struct world *w, struct socket_peer *peer)
{
	(void)w;
	socket_peer_close(peer);
	/* Gone, but not yet under the feet of who is told. */
	assert_int_equal(socket_peer_write(peer, "x\n", 2), 0);
	socket_peer_finish(peer);
}

static void free_all(struct world *w, struct socket_peer *peer)
{
	(void)peer;
	socket_free(steal_ptr(w->socket));
}

static void test_finish_within_a_callback(void **state)
{
	static const char *const logs[] = { "+ - ", "+ :a - ", "+ :a !20 - ", "+ :a !20 :b . - " };
	static const char whens[] = "+:!.";
	struct world *w = *state;

	w->then = finish;
	for (size_t i = 0; whens[i]; i++) {
		cleanup_close int fd = client_new();

		w->when = whens[i];
		assert_int_equal(client_connect(w, fd), 0);
		client_say(fd, "a\n0123456789abcdefghij\nb\n");
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		turns(w);
		assert_log(w, logs[i]);
		assert_string_equal(client_hear(fd), "bye\n");
		/* What was not even read is a reset of the connection. */
		assert_string_equal(client_hear(fd), whens[i] == '+' ? "an error" : "EOF");
	}
}

static void gone_within_a_callback(struct world *w, char when, const char *log)
{
	cleanup_close int fd = client_new();

	w->when = when;
	assert_int_equal(client_connect(w, fd), 0);
	client_say(fd, "a\n0123456789abcdefghij\nb\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turns(w);
	assert_log(w, log);
	assert_string_equal(client_hear(fd), when == '+' ? "an error" : "EOF");
}

static void test_close_within_a_callback(void **state)
{
	struct world *w = *state;

	w->then = close_it;
	gone_within_a_callback(w, '+', "+ ");
	gone_within_a_callback(w, ':', "+ :a ");
	gone_within_a_callback(w, '!', "+ :a !20 ");
	gone_within_a_callback(w, '.', "+ :a !20 :b . ");
}

static void free_within(void **state, char when, const char *log)
{
	struct world *w = *state;

	w->then = free_all;
	gone_within_a_callback(w, when, log);
}

static void test_free_within_opened(void **state)
{
	free_within(state, '+', "+ ");
}

static void test_free_within_a_line(void **state)
{
	free_within(state, ':', "+ :a ");
}

static void test_free_within_ended(void **state)
{
	free_within(state, '.', "+ :a !20 :b . ");
}

static void test_free_within_closed(void **state)
{
	struct world *w = *state;
	int fd = client(w), other = client(w);

	w->when = '-';
	w->then = free_all;
	close(fd);
	turn(w);
	turn(w);
	assert_log(w, ". - ");
	assert_string_equal(client_hear(other), "EOF");
	close(other);
}

/* One client's line costs another its connection, of which an event was fetched already. */
static struct socket_peer *victim;

static void close_the_victim(struct world *w, struct socket_peer *peer)
{
	if (peer == victim || !victim)
		return;
	(void)w;
	socket_peer_close(steal_ptr(victim));
}

static void test_close_another_within_a_callback(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), bob = -1;

	victim = w->peer;
	bob = client(w);
	w->when = ':';
	w->then = close_the_victim;
	/* Bob is heard first. */
	client_say(bob, "b\n");
	client_say(ann, "a\n");
	turn(w);
	assert_log(w, ":b ");
	assert_string_equal(client_hear(ann), "an error");
}

/* Turns */

/* As long as a turn has, and so one line a turn. */
static void be_slow(struct world *w, struct socket_peer *peer)
{
	int64_t end = clock_monotonic_ms() + SOCKET_TURN_MS;

	(void)w;
	(void)peer;
	while (clock_monotonic_ms() < end)
		;
}

/* What came in one piece does not keep others waiting for as long as it takes. */
static void test_a_client_that_says_much_waits_for_others(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), bob = client(w);

	w->when = ':';
	w->then = be_slow;
	client_say(ann, "a\nb\n0123456789abcdefghij\nc\n");
	turn(w);
	assert_log(w, ":a ");
	client_say(bob, "x\n");
	/* Nor is more of it read before its turn. */
	client_say(ann, "d\n");
	turn(w);
	assert_log(w, ":x :b ");
	turns(w);
	assert_log(w, "!20 :c :d ");
}

static void test_clients_that_say_much_take_turns(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), bob = client(w);

	w->when = ':';
	w->then = be_slow;
	client_say(ann, "a\nb\nc\n");
	client_say(bob, "x\ny\nz\n");
	turns(w);
	assert_log(w, ":a :x :b :y :c :z ");
}

static void test_the_end_waits_for_the_last_turn(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w);
	int bob = client(w);

	w->when = ':';
	w->then = be_slow;
	client_say(ann, "a\nb\nc\n");
	assert_int_equal(shutdown(ann, SHUT_WR), 0);
	turns(w);
	assert_log(w, ":a :b :c . ");
	client_say(bob, "x\ny\nz\n");
	close(bob);
	turns(w);
	assert_log(w, ":x :y :z . - ");
}

/* Both reasons to wait at once: its turn is over, and it does not read. */
static void be_slow_and_write_much(struct world *w, struct socket_peer *peer)
{
	be_slow(w, peer);
	write_much(w, peer);
}

static void test_turns_of_who_does_not_read(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	w->when = ':';
	w->then = be_slow_and_write_much;
	client_say(fd, "a\nb\n");
	turns(w);
	assert_log(w, ":a ");
	assert_int_equal(client_drain(w, fd), 2 * MUCH);
	assert_log(w, ":b ");
	/* Answers that come while its lines wait. */
	w->then = be_slow;
	client_say(fd, "c\nd\n");
	turn(w);
	assert_log(w, ":c ");
	write_much(w, w->peer);
	turns(w);
	assert_log(w, "");
	assert_int_equal(client_drain(w, fd), MUCH);
	turns(w);
	assert_log(w, ":d ");
}

static void test_no_turn_after_the_goodbye(void **state)
{
	struct world *w = *state;
	cleanup_close int ann = client(w), bob = client(w);

	w->when = ':';
	w->then = be_slow;
	client_say(ann, "a\nb\n");
	turn(w);
	assert_log(w, ":a ");
	finish(w, w->peer);
	turns(w);
	assert_log(w, "- ");
	assert_string_equal(client_hear(ann), "bye\n");
	client_say(bob, "x\ny\n");
	turn(w);
	assert_log(w, ":x ");
	socket_peer_close(w->peer);
	turns(w);
	assert_log(w, "");
}

/* In the turn that the timer gives it. */
static void at_the_second_line(struct world *w, struct socket_peer *peer)
{
	if (strstr(w->log, ":b"))
		free_all(w, peer);
	else
		be_slow(w, peer);
}

static void test_free_within_a_later_turn(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = client(w);

	w->when = ':';
	w->then = at_the_second_line;
	client_say(fd, "a\nb\nc\n");
	turns(w);
	assert_log(w, ":a :b ");
	assert_string_equal(client_hear(fd), "EOF");
}

static void test_nothing_to_free(void **state)
{
	(void)state;
	socket_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_path),
		CASE(test_no_such_place),
		CASE(test_a_path_that_is_too_long),
		CASE(test_what_is_there_is_replaced),
		CASE(test_who_listens_keeps_the_place),
		CASE(test_who_listens_with_a_full_queue_keeps_the_place),
		CASE(test_lines),
		CASE(test_overlong_lines),
		CASE(test_clients_are_told_apart),
		CASE(test_answers),
		CASE(test_stop_listening),
		CASE(test_half_close),
		CASE(test_the_client_vanishes),
		CASE(test_the_client_vanishes_after_its_half_close),
		CASE(test_the_client_vanishes_while_answers_wait),
		CASE(test_finish_waits_for_what_is_queued),
		CASE(test_finish_hears_nothing_more),
		CASE(test_who_does_not_read_is_not_read_from),
		CASE(test_who_does_not_read_is_not_answered_either),
		CASE(test_too_many_clients),
		CASE(test_no_descriptor_is_left),
		CASE(test_other_users_are_refused),
		CASE(test_finish_within_a_callback),
		CASE(test_close_within_a_callback),
		CASE(test_free_within_opened),
		CASE(test_free_within_a_line),
		CASE(test_free_within_ended),
		CASE(test_free_within_closed),
		CASE(test_close_another_within_a_callback),
		CASE(test_a_client_that_says_much_waits_for_others),
		CASE(test_clients_that_say_much_take_turns),
		CASE(test_the_end_waits_for_the_last_turn),
		CASE(test_turns_of_who_does_not_read),
		CASE(test_no_turn_after_the_goodbye),
		CASE(test_free_within_a_later_turn),
		CASE(test_nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
