/* SPDX-License-Identifier: MIT */
#include "runner/io/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

/* A chain of parents longer than this is one that changes while we look. */
#define ORPHANS_DEPTH_MAX 4096

/* So many children of ours are looked at in one go; of more, the rest come next. */
#define ORPHANS_CHILDREN_BYTES 16384

struct orphans_entry {
	pid_t pid;
	pid_t parent;
	bool is_dead; /* a zombie, without threads that go on */
};

/* The kernel's own limit of pid_max (proc_sys_kernel(5)). */
#define ORPHANS_PID_MAX (1 << 22)

/* What one look sees, in the order of pids, and the pids that were killed so far. */
struct orphans {
	bool (*is_known)(void *userdata, pid_t pid);
	void *userdata;
	int64_t end_ms;
	struct orphans_entry *entries;
	size_t count, room;
	uint8_t *killed; /* a bit for each pid */
	bool moved;	 /* it changed under the look */
};

/*
 * /proc/PID/stat: "pid (comm) state ppid …", and 16 fields later the number of threads. A process
 * whose first thread has ended looks like a zombie while the others run. False: it is gone.
 */
static bool orphans_read(const char *pid, struct orphans_entry *ret_entry)
{
	char path[64], stat[512];
	cleanup_close int fd = -1;
	const char *after;
	int parent, threads;
	ssize_t n;
	char state;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, stat, sizeof(stat) - 1)) <= 0)
		return false;
	stat[n] = '\0';
	/* comm may hold blanks and parentheses: the last one closes it. */
	after = strrchr(stat, ')');
	if (!after ||
	    sscanf(after + 1,
		   " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d", &state,
		   &parent, &threads) != 3)
		return false;
	ret_entry->parent = parent;
	ret_entry->is_dead = (state == 'Z' || state == 'X') && threads <= 1;
	return true;
}

static int orphans_compare(const void *a, const void *b)
{
	const struct orphans_entry *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Room for one more. False: out of memory. */
static bool orphans_grow(struct orphans *o)
{
	size_t room = o->room ? o->room * 2 : 64;
	struct orphans_entry *grown;

	if (o->count < o->room)
		return true;
	grown = reallocarray(o->entries, room, sizeof(*grown));
	if (!grown)
		return false;
	o->entries = grown;
	o->room = room;
	return true;
}

static void orphans_look(struct orphans *o)
{
	int64_t end_ms = clock_monotonic_ms() + ORPHANS_BUSY_MS;
	cleanup_closedir DIR *proc = opendir("/proc");
	const struct dirent *entry;

	o->count = 0;
	o->moved = false;
	while (proc && (entry = readdir(proc))) {
		struct orphans_entry found = { .pid = (pid_t)strtol(entry->d_name, NULL, 10) };

		if (found.pid <= 0)
			continue;
		if (!orphans_read(entry->d_name, &found)) {
			o->moved = true;
			continue;
		}
		/* Of a multitude those with the lower pids go first, and make it smaller. */
		if (!orphans_grow(o) || clock_monotonic_ms() >= end_ms)
			break;
		o->entries[o->count++] = found;
	}
	if (o->count > 0)
		qsort(o->entries, o->count, sizeof(*o->entries), orphans_compare);
}

/* The child of ours that it descends from, or is; 0: it is none of ours, or that cannot be told. */
static pid_t orphans_top(struct orphans *o, const struct orphans_entry *entry)
{
	const pid_t own = getpid();

	for (int depth = 0; depth < ORPHANS_DEPTH_MAX && entry->pid != own; depth++) {
		const struct orphans_entry parent = { .pid = entry->parent };

		if (entry->parent == own)
			return entry->pid;
		/* Of another PID namespace ("docker exec"), or below PID 1. */
		if (entry->parent <= 1)
			return 0;
		entry = bsearch(&parent, o->entries, o->count, sizeof(parent), orphans_compare);
		if (!entry) {
			/* It died meanwhile: whose it is now is known at the next look. */
			o->moved = true;
			return 0;
		}
	}
	return 0;
}

static bool orphans_was_killed(const struct orphans *o, pid_t pid)
{
	return o->killed && pid < ORPHANS_PID_MAX && o->killed[pid / 8] & 1U << pid % 8;
}

static void orphans_note(struct orphans *o, pid_t pid)
{
	if (o->killed && pid < ORPHANS_PID_MAX)
		o->killed[pid / 8] |= (uint8_t)(1U << pid % 8);
}

/* Kills what one look sees. Returns how many. */
static size_t orphans_sweep(struct orphans *o)
{
	size_t killed = 0;

	orphans_look(o);
	for (size_t i = 0; i < o->count; i++) {
		pid_t pid = o->entries[i].pid, top;

		if (o->entries[i].is_dead || orphans_was_killed(o, pid))
			continue;
		top = orphans_top(o, &o->entries[i]);
		if (top == 0 || o->is_known(o->userdata, top) || kill(pid, SIGKILL) < 0)
			continue;
		orphans_note(o, pid);
		killed++;
	}
	return killed;
}

/* Kills the unknown ones of our children, or reaps them. False: there are none. */
static bool orphans_end_children(struct orphans *o, size_t *killed)
{
	/* By thread, as the kernel has it: of this process there is one. */
	cleanup_close int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	char list[ORPHANS_CHILDREN_BYTES], *at = list, *end;
	ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);
	bool found = false;
	pid_t pid;

	if (n <= 0)
		return false;
	list[n] = '\0';
	for (; (pid = (pid_t)strtol(at, &end, 10)) > 0; at = end) {
		/* The last one may be cut. */
		if (*end != ' ' || o->is_known(o->userdata, pid))
			continue;
		found = true;
		if (waitpid(pid, NULL, WNOHANG) != 0)
			continue;
		if (kill(pid, SIGKILL) == 0 && !orphans_was_killed(o, pid)) {
			orphans_note(o, pid);
			(*killed)++;
		}
	}
	return found;
}

size_t orphans_kill(bool (*is_known)(void *userdata, pid_t pid), void *userdata)
{
	struct orphans o = {
		.is_known = is_known,
		.userdata = userdata,
		.end_ms = clock_monotonic_ms() + ORPHANS_BUSY_MS,
		/* Without it they are killed and counted more than once. */
		.killed = calloc(ORPHANS_PID_MAX / 8, 1),
	};
	size_t killed = 0, before;

	do {
		before = killed;
		/* Whoever runs ahead is caught here, or nowhere. */
		while (orphans_end_children(&o, &killed) && clock_monotonic_ms() < o.end_ms)
			(void)sched_yield();
		killed += orphans_sweep(&o);
	} while ((killed > before || o.moved) && clock_monotonic_ms() < o.end_ms);
	free(o.entries);
	free(o.killed);
	return killed;
}
