/* SPDX-License-Identifier: MIT */
/*
 * The relay runs in a child, and the test is both of its neighbours: the agent at two pipes, the
 * loop at a socket.
 */
#include "runner/mcp/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "common/cleanup.h"
#include "tests/runner/mcp/fake-loop.h"

/* More than all buffers on the way take. */
#define MUCH (4 * 1024 * 1024)

struct scene {
	int in, out, loop; /* the other ends: written, read, both */
	pid_t pid;
};

/* What relay_pump() returned, as an exit code. */
enum ending { ENDED, HUNG_UP, FAILED };

static enum ending ending_of(int r, const struct err *err)
{
	if (r == 0)
		return ENDED;
	return r == -ECONNRESET && strcmp(err->text, "the session loop has hung up") == 0 ? HUNG_UP
											  : FAILED;
}

/* type: of the socket. */
static void start_on(struct scene *s, int type)
{
	int in[2], out[2], pair[2], room = 1;
	struct err err;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	if (type != SOCK_STREAM)
		assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)),
				 0);
	assert_int_equal(fd_set_nonblock(pair[1], true), 0);
	*s = (struct scene){ .in = in[1], .out = out[0], .loop = pair[0] };
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(in[1]);
		close(out[0]);
		close(pair[0]);
		_exit((int)ending_of(relay_pump(in[0], out[1], pair[1], &err), &err));
	}
	close(in[0]);
	close(out[1]);
	close(pair[1]);
}

static void start(struct scene *s)
{
	start_on(s, SOCK_STREAM);
}

static void end(int *fd)
{
	if (*fd >= 0)
		close(steal_fd(fd));
}

static void assert_ends(struct scene *s, enum ending ending)
{
	int status;

	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ending);
	end(&s->in);
	end(&s->out);
	end(&s->loop);
}

static void say(int fd, const char *text)
{
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void assert_hears(int fd, const char *text)
{
	char bytes[256];
	size_t len = 0;

	while (len < strlen(text)) {
		ssize_t n = read(fd, bytes + len, strlen(text) - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_memory_equal(bytes, text, len);
}

static void assert_hears_end(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_both_ways(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	say(s.in, "question\n");
	assert_hears(s.loop, "question\n");
	say(s.loop, "answer\n");
	assert_hears(s.out, "answer\n");
	/* Bytes are bytes. */
	assert_int_equal(fd_write_all(s.loop, "\0\xff", 2), 0);
	assert_int_equal(fd_write_all(s.in, "\xfe", 1), 0);
	assert_hears(s.loop, "\xfe");
	end(&s.in);
	assert_hears_end(s.loop);
	/* What the loop says to the last of what it was asked. */
	say(s.loop, "late\n");
	end(&s.loop);
	assert_int_equal(read(s.out, (char[2]){ 0 }, 2), 2);
	assert_hears(s.out, "late\n");
	assert_hears_end(s.out);
	assert_ends(&s, ENDED);
}

static void test_the_loop_hangs_up(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	say(s.loop, "last words\n");
	end(&s.loop);
	assert_hears(s.out, "last words\n");
	assert_hears_end(s.out);
	assert_ends(&s, HUNG_UP);
}

/* A write may fail although the loop is there: nobody may wait for an answer then. */
static void test_the_loop_cannot_be_written_to(void **state)
{
	char much[8192];
	struct scene s;

	(void)state;
	memset(much, 'x', sizeof(much));
	/* Of packets, one that is too long is refused. */
	start_on(&s, SOCK_SEQPACKET);
	say(s.loop, "last words\n");
	assert_hears(s.out, "last words\n");
	assert_int_equal(fd_write_all(s.in, much, sizeof(much)), 0);
	assert_hears_end(s.out);
	assert_ends(&s, FAILED);
}

/* With a reset, since it did not read what it was sent. */
static void test_the_loop_is_killed(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	say(s.loop, "x");
	say(s.in, "question\n");
	assert_hears(s.out, "x");
	assert_int_equal(poll(&(struct pollfd){ .fd = s.loop, .events = POLLIN }, 1, 10000), 1);
	end(&s.loop);
	assert_ends(&s, HUNG_UP);
}

static void test_nobody_reads(void **state)
{
	struct scene s;

	(void)state;
	/* At once, not only when there is something to write. */
	start(&s);
	end(&s.out);
	assert_hears_end(s.loop);
	assert_ends(&s, ENDED);
}

/* It takes nothing any more, but still answers. */
static void test_the_loop_is_deaf(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(shutdown(s.loop, SHUT_RD), 0);
	say(s.in, "question\n");
	say(s.loop, "answer\n");
	assert_hears(s.out, "answer\n");
	end(&s.loop);
	assert_ends(&s, HUNG_UP);
}

/* Writes a pattern until it would block: how much. */
static size_t fill(int fd, size_t start_at, size_t n)
{
	unsigned char bytes[4096];
	size_t sent = 0;

	assert_int_equal(fd_set_nonblock(fd, true), 0);
	while (sent < n) {
		ssize_t done;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)((start_at + sent + i) % 251);
		done = write(fd, bytes, n - sent < sizeof(bytes) ? n - sent : sizeof(bytes));
		if (done < 0)
			break;
		sent += (size_t)done;
	}
	return sent;
}

/* Reads the pattern, as much as there is. */
static size_t drain(int fd, size_t start_at)
{
	unsigned char bytes[65536];
	ssize_t n;

	assert_int_equal(fd_set_nonblock(fd, true), 0);
	n = read(fd, bytes, sizeof(bytes));
	if (n <= 0)
		return 0;
	for (size_t i = 0; i < (size_t)n; i++)
		if (bytes[i] != (start_at + i) % 251)
			fail_msg("byte %zu is wrong", start_at + i);
	return (size_t)n;
}

/* Moves all of one direction while the other one stays stuck. */
static void assert_moves(int from, int to, size_t sent)
{
	size_t got = 0;

	while (got < MUCH) {
		struct pollfd polls[] = {
			{ .fd = sent < MUCH ? from : -1, .events = POLLOUT },
			{ .fd = to, .events = POLLIN },
		};

		assert_true(poll(polls, 2, 10000) > 0);
		if (polls[0].revents)
			sent += fill(from, sent, MUCH - sent);
		if (polls[1].revents)
			got += drain(to, got);
	}
}

/* Fills one direction until nothing moves any more. How much went in. */
static size_t stuff(int from)
{
	struct pollfd pollfd = { .fd = from, .events = POLLOUT };
	size_t sent = 0;

	/* The relay takes some of it, a little later: full is what stays full. */
	do
		sent += fill(from, sent, MUCH - sent);
	while (poll(&pollfd, 1, 50) > 0);
	assert_true(sent < MUCH);
	return sent;
}

/*
 * Agent and loop both write and neither reads, until nothing moves; then the loop reads all, and the
 * agent still nothing; then the agent. Each direction goes on without the other.
 */
static void test_both_ways_are_full(void **state)
{
	size_t up, down;
	struct scene s;

	(void)state;
	start(&s);
	up = stuff(s.in);
	down = stuff(s.loop);
	assert_moves(s.in, s.loop, up);
	assert_moves(s.loop, s.out, down);
	end(&s.in);
	assert_int_equal(fd_set_nonblock(s.loop, false), 0);
	assert_hears_end(s.loop);
	end(&s.loop);
	assert_ends(&s, ENDED);
}

/* Whoever else has that pipe finds it as it was. */
static void test_the_pipe_is_left_as_it_was(void **state)
{
	int in[2], out[2], pair[2];
	struct err err;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close(in[1]);
	close(pair[0]);
	assert_int_equal(relay_pump(in[0], out[1], pair[1], &err), 0);
	assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	close(pair[1]);
}

static int serve_greeting(int fd)
{
	fake_loop_say(fd, "hello\n");
	fake_loop_wait(fd);
	return 0;
}

static void test_the_socket_is_found(void **state)
{
	struct fake_loop loop;
	int in[2], out[2];
	struct err err;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	close(in[1]);
	fake_loop_start(&loop, serve_greeting);
	assert_int_equal(relay_run("/nowhere/workspace", in[0], out[1], &err), 0);
	assert_hears(out[0], "hello\n");
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_int_equal(relay_run("/nowhere/workspace", in[0], out[1], &err), -ENOENT);
	assert_string_equal(err.text,
			    "no session loop serves /nowhere/workspace: start agent-runner there, "
			    "or name its socket in AGENT_SOCKET");
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_the_loop_hangs_up),
		cmocka_unit_test(test_the_loop_cannot_be_written_to),
		cmocka_unit_test(test_the_loop_is_killed),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_the_loop_is_deaf),
		cmocka_unit_test(test_both_ways_are_full),
		cmocka_unit_test(test_the_pipe_is_left_as_it_was),
		cmocka_unit_test(test_the_socket_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
