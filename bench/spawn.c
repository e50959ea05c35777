/* SPDX-License-Identifier: MIT */
/*
 * Times commands as PID 1 of a new PID namespace, from before the clone to the collected end:
 *
 *     spawn ROUNDS UID CMD… -- CMD… -- CMD…
 *
 * All commands in turn in each round, so that a drift of the machine meets all of them; the order
 * turns by one from round to round. Prints a line of nanoseconds a round, one for each command.
 * Exits 1 if a command does not end with 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/child.h"
#include "bench/clock.h"

#define COMMANDS_MAX 16
#define ROUNDS_MAX   100000

/* The time of one run in nanoseconds; -1: it did not end with 0. */
static long long spawn_time_ns(char **command, uid_t uid)
{
	const struct child_options options = { .uid = uid, .is_pid1 = true, .stdout_fd = -1 };
	long long start = clock_now_ns();
	pid_t pid = child_start(command, &options);

	return pid < 0 || child_wait(pid) < 0 ? -1 : clock_now_ns() - start;
}

int main(int argc, char **argv)
{
	char **commands[COMMANDS_MAX];
	long long times[COMMANDS_MAX];
	size_t count = 0;
	long rounds = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
	uid_t uid = argc > 3 ? (uid_t)strtoul(argv[2], NULL, 10) : 0;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fputs("usage: spawn ROUNDS UID CMD… -- CMD…\n", stderr);
		return 64;
	}
	for (int i = 3; i < argc && count < COMMANDS_MAX; i++) {
		commands[count++] = argv + i;
		while (i < argc && strcmp(argv[i], "--") != 0)
			i++;
		if (i < argc)
			argv[i] = NULL;
	}
	for (long round = 0; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			size_t which = (i + (size_t)round) % count;

			times[which] = spawn_time_ns(commands[which], uid);
			if (times[which] < 0) {
				fprintf(stderr, "spawn: %s failed\n", commands[which][0]);
				return 1;
			}
		}
		for (size_t i = 0; i < count; i++)
			printf("%lld%c", times[i], i + 1 < count ? ' ' : '\n');
	}
	return 0;
}
