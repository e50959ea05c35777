/* SPDX-License-Identifier: MIT */
/*
 * How long a signal to PID 1 takes to reach its child, with each init in turn in every round:
 *
 *     forward ROUNDS UID INIT… -- INIT… -- …     INIT: the words before the child's; may be none,
 *                                                then the child is PID 1 itself
 *
 * SIGUSR1 comes by sigqueue while the child sleeps in sigwaitinfo. Prints a line of nanoseconds a
 * round, one for each init. Exits 1, with a line on stderr, if a signal is lost.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/clock.h"

#define INITS_MAX	    16
#define WORDS_MAX	    32
#define ROUNDS_MAX	    100000
#define FORWARD_PATIENCE_MS 10000
/* All sleep by then. */
#define FORWARD_PAUSE_US 300

static char forward_child_word[] = "child";

struct forward_init {
	pid_t pid;
	int fd; /* where its child tells when it had the signal */
};

/* The child: tells that it is ready, and then the time of each signal. */
static int forward_child(void)
{
	long long now = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (write(STDOUT_FILENO, &now, sizeof(now)) == sizeof(now) &&
	       sigwaitinfo(&set, NULL) == SIGUSR1)
		now = clock_now_ns();
	return 1;
}

/* The next time that the child tells; -1: none came. */
static long long forward_read(const struct forward_init *init)
{
	struct pollfd poll_fd = { .fd = init->fd, .events = POLLIN };
	long long when;

	if (poll(&poll_fd, 1, FORWARD_PATIENCE_MS) != 1 ||
	    read(init->fd, &when, sizeof(when)) != sizeof(when))
		return -1;
	return when;
}

static int forward_start(char **words, size_t count, char *self, uid_t uid,
			 struct forward_init *ret_init)
{
	char *command[WORDS_MAX + 3];
	struct child_options options = { .uid = uid, .is_pid1 = true };
	int fds[2];

	*ret_init = (struct forward_init){ .pid = -1, .fd = -1 };
	if (count > WORDS_MAX || pipe(fds) < 0)
		return -1;
	memcpy(command, words, count * sizeof(*words));
	command[count] = self;
	command[count + 1] = forward_child_word;
	command[count + 2] = NULL;
	options.stdout_fd = fds[1];
	*ret_init = (struct forward_init){ child_start(command, &options), fds[0] };
	close(fds[1]);
	return ret_init->pid < 0 || forward_read(ret_init) < 0 ? -1 : 0;
}

static long long forward_time_ns(const struct forward_init *init)
{
	long long start, seen;

	usleep(FORWARD_PAUSE_US);
	start = clock_now_ns();
	if (sigqueue(init->pid, SIGUSR1, (union sigval){ .sival_int = 1 }) < 0)
		return -1;
	seen = forward_read(init);
	return seen < 0 ? -1 : seen - start;
}

static int forward_rounds(const struct forward_init *inits, size_t count, long rounds)
{
	long long times[INITS_MAX];

	for (long round = 0; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			size_t which = (i + (size_t)round) % count;

			times[which] = forward_time_ns(&inits[which]);
			if (times[which] < 0) {
				fprintf(stderr, "forward: init %zu lost a signal\n", which);
				return 1;
			}
		}
		for (size_t i = 0; i < count; i++)
			printf("%lld%c", times[i], i + 1 < count ? ' ' : '\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct forward_init inits[INITS_MAX];
	size_t count = 0;
	long rounds = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
	uid_t uid = argc > 3 ? (uid_t)strtoul(argv[2], NULL, 10) : 0;
	int r = 0;

	if (argc == 2 && strcmp(argv[1], forward_child_word) == 0)
		return forward_child();
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fputs("usage: forward ROUNDS UID INIT… -- INIT…\n", stderr);
		return 64;
	}
	for (int i = 3; r == 0 && i <= argc && count < INITS_MAX; i++) {
		int first = i;

		while (i < argc && strcmp(argv[i], "--") != 0)
			i++;
		r = forward_start(argv + first, (size_t)(i - first), argv[0], uid, &inits[count++]);
		if (r < 0)
			fprintf(stderr, "forward: init %zu did not start its child\n", count - 1);
	}
	r = r < 0 ? 1 : forward_rounds(inits, count, rounds);
	for (size_t i = 0; i < count; i++) {
		if (inits[i].pid <= 0)
			continue;
		kill(inits[i].pid, SIGKILL);
		(void)child_wait(inits[i].pid);
	}
	return r;
}
