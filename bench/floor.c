/* SPDX-License-Identifier: MIT */
/*
 * What the machine can do at all, each as a program would do it that does nothing else:
 *
 *     floor exec ROUNDS PROGRAM     fork, exec of PROGRAM, and its collected end
 *     floor fork ROUNDS             fork, and the collected end of the child
 *     floor commit ROUNDS FOLDER    open of a database, and one transaction that is on disk
 *     floor read ROUNDS FOLDER      open of a database, and one row of it
 *     floor again ROUNDS FOLDER     one transaction more through a connection that is open
 *     floor wake ROUNDS FOLDER      inotify: from a file's change until the process that waits runs
 *     floor pipe ROUNDS             a byte to another process, and back
 *     floor timer ROUNDS MS         a wait for so many milliseconds: from outside it can be seen what
 *                                   that takes of a processor
 *
 * Prints the median and the 99th percentile of the rounds in nanoseconds. Exits 1, with a line on
 * stderr, if something fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/clock.h"

#define ROUNDS_MAX 100000

/* The other process sleeps by then. */
#define FLOOR_PAUSE_US 200

/* Prepares, or takes the time of one round in nanoseconds; -1: it failed. */
typedef long long floor_fn(const char *word);

struct floor {
	const char *name;
	int words; /* after ROUNDS */
	int (*open)(const char *word);
	floor_fn *round;
	void (*close)(void);
};

static int floor_there = -1, floor_back = -1; /* the ends of pipes to the other process */
static int floor_file = -1;
static pid_t floor_other;

/* exec and fork */

static long long floor_exec(const char *word)
{
	const struct child_options options = { .uid = geteuid(), .stdout_fd = -1 };
	char *command[] = { (char *)(uintptr_t)word, NULL };
	long long start = clock_now_ns();
	pid_t pid = child_start(command, &options);

	return pid < 0 || child_wait(pid) < 0 ? -1 : clock_now_ns() - start;
}

static long long floor_fork(const char *word)
{
	long long start = clock_now_ns();
	pid_t pid = fork();

	(void)word;
	if (pid == 0)
		_exit(0);
	return pid < 0 || child_wait(pid) < 0 ? -1 : clock_now_ns() - start;
}

/* commit */

static int floor_sql(const char *folder, const char *sql)
{
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "%s/floor.db", folder);
	r = sqlite3_open(path, &db);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (r != SQLITE_OK)
		fprintf(stderr, "floor: %s: %s\n", path, sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	return r == SQLITE_OK ? 0 : -1;
}

static int floor_open_commit(const char *folder)
{
	return floor_sql(folder, "PRAGMA journal_mode = DELETE; CREATE TABLE IF NOT EXISTS t (x)");
}

static long long floor_commit(const char *folder)
{
	long long start = clock_now_ns();

	/* FULL is the default, but some builds have another one. */
	if (floor_sql(folder, "PRAGMA synchronous = FULL; INSERT INTO t VALUES (1)") < 0)
		return -1;
	return clock_now_ns() - start;
}

/* read */

static long long floor_read(const char *folder)
{
	long long start = clock_now_ns();

	return floor_sql(folder, "SELECT x FROM t LIMIT 1") < 0 ? -1 : clock_now_ns() - start;
}

static int floor_open_read(const char *folder)
{
	return floor_open_commit(folder) < 0 || floor_commit(folder) < 0 ? -1 : 0;
}

/* again */

static sqlite3 *floor_db;
static sqlite3_stmt *floor_insert;

static int floor_open_again(const char *folder)
{
	char path[PATH_MAX];

	if (floor_open_commit(folder) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/floor.db", folder);
	if (sqlite3_open(path, &floor_db) != SQLITE_OK ||
	    sqlite3_exec(floor_db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(floor_db, "INSERT INTO t VALUES (1)", -1, &floor_insert, NULL) !=
		    SQLITE_OK) {
		fprintf(stderr, "floor: %s: %s\n", path, sqlite3_errmsg(floor_db));
		return -1;
	}
	return 0;
}

static long long floor_again(const char *folder)
{
	long long start = clock_now_ns();
	int r = sqlite3_step(floor_insert);

	(void)folder;
	(void)sqlite3_reset(floor_insert);
	return r == SQLITE_DONE ? clock_now_ns() - start : -1;
}

static void floor_close_again(void)
{
	(void)sqlite3_finalize(floor_insert);
	(void)sqlite3_close(floor_db);
}

/* wake and pipe */

/* Starts a process that runs fn(from us, to us) until its pipe ends. */
static int floor_start_other(void (*fn)(int from, int to))
{
	int there[2], back[2];

	if (pipe(there) < 0 || pipe(back) < 0)
		return -1;
	floor_other = fork();
	if (floor_other < 0)
		return -1;
	if (floor_other == 0) {
		close(there[1]);
		close(back[0]);
		fn(there[0], back[1]);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	floor_there = there[1];
	floor_back = back[0];
	return 0;
}

static void floor_end_other(void)
{
	close(floor_there);
	close(floor_back);
	(void)child_wait(floor_other);
}

static void floor_echo(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1)
		;
}

static int floor_open_pipe(const char *word)
{
	(void)word;
	return floor_start_other(floor_echo);
}

static long long floor_pipe(const char *word)
{
	long long start = clock_now_ns();
	char byte = 0;

	(void)word;
	if (write(floor_there, &byte, 1) != 1 || read(floor_back, &byte, 1) != 1)
		return -1;
	return clock_now_ns() - start;
}

/* The other process tells when it saw the change. */
static void floor_watch(int from, int to)
{
	char events[4096];
	int fd = -1;
	char path[PATH_MAX];
	long long now = 0;

	/* The first thing it is told is what to watch. */
	if (read(from, path, sizeof(path)) <= 0)
		return;
	fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
		return;
	while (write(to, &now, sizeof(now)) == sizeof(now) && read(from, path, 1) == 1 &&
	       read(fd, events, sizeof(events)) > 0)
		now = clock_now_ns();
}

static int floor_open_wake(const char *folder)
{
	char path[PATH_MAX];
	long long ready;

	(void)snprintf(path, sizeof(path), "%s/floor.wake", folder);
	floor_file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (floor_file < 0 || floor_start_other(floor_watch) < 0 ||
	    write(floor_there, path, sizeof(path)) != sizeof(path))
		return -1;
	return read(floor_back, &ready, sizeof(ready)) == sizeof(ready) ? 0 : -1;
}

static long long floor_wake(const char *folder)
{
	long long start, seen;

	(void)folder;
	if (write(floor_there, "", 1) != 1)
		return -1;
	usleep(FLOOR_PAUSE_US);
	start = clock_now_ns();
	if (pwrite(floor_file, "", 1, 0) != 1 ||
	    read(floor_back, &seen, sizeof(seen)) != sizeof(seen))
		return -1;
	return seen - start;
}

static void floor_close_wake(void)
{
	floor_end_other();
	close(floor_file);
}

/* timer */

static int floor_open_timer(const char *word)
{
	(void)word;
	floor_file = epoll_create1(EPOLL_CLOEXEC);
	return floor_file < 0 ? -1 : 0;
}

static long long floor_timer(const char *word)
{
	long long start = clock_now_ns();
	struct epoll_event event;

	return epoll_wait(floor_file, &event, 1, atoi(word)) == 0 ? clock_now_ns() - start : -1;
}

static void floor_close_timer(void)
{
	close(floor_file);
}

static const struct floor floors[] = {
	{ .name = "exec", .words = 1, .round = floor_exec },
	{ .name = "fork", .round = floor_fork },
	{ .name = "commit", .words = 1, .open = floor_open_commit, .round = floor_commit },
	{ .name = "read", .words = 1, .open = floor_open_read, .round = floor_read },
	{ .name = "again",
	  .words = 1,
	  .open = floor_open_again,
	  .round = floor_again,
	  .close = floor_close_again },
	{ .name = "wake",
	  .words = 1,
	  .open = floor_open_wake,
	  .round = floor_wake,
	  .close = floor_close_wake },
	{ .name = "pipe", .open = floor_open_pipe, .round = floor_pipe, .close = floor_end_other },
	{ .name = "timer",
	  .words = 1,
	  .open = floor_open_timer,
	  .round = floor_timer,
	  .close = floor_close_timer },
};

static int floor_compare(const void *a, const void *b)
{
	const long long *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static int floor_run(const struct floor *floor, size_t rounds, const char *word)
{
	long long *times = calloc(rounds, sizeof(*times));
	bool failed = !times || (floor->open && floor->open(word) < 0);

	for (size_t i = 0; !failed && i < rounds; i++) {
		times[i] = floor->round(word);
		failed = times[i] < 0;
	}
	if (!failed && floor->close)
		floor->close();
	if (failed) {
		fprintf(stderr, "floor: %s failed: %s\n", floor->name, strerror(errno));
	} else {
		qsort(times, rounds, sizeof(*times), floor_compare);
		printf("%lld %lld\n", times[rounds / 2], times[rounds * 99 / 100]);
	}
	free(times);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++)
		if (rounds >= 1 && rounds <= ROUNDS_MAX && strcmp(argv[1], floors[i].name) == 0 &&
		    argc == floors[i].words + 3)
			return floor_run(&floors[i], (size_t)rounds, argv[3]);
	fputs("usage: floor exec|fork|commit|read|again|wake|pipe|timer ROUNDS [WORD]\n", stderr);
	return 64;
}
