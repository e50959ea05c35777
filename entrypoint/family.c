/* SPDX-License-Identifier: MIT */
#include "entrypoint/family.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "entrypoint/proc.h"
#include "entrypoint/signals.h"

/* A chain of parents longer than this is one that changes while we look. */
#define FAMILY_DEPTH_MAX 1024

/* So many bytes of the list of children are read in one go; of more, the rest come next. */
#define FAMILY_CHILDREN_BYTES 4096

/* As getdents64(2) fills it; opendir(3) would take heap. */
struct family_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* Returns whether the process was one of those that were meant. */
typedef bool family_fn(pid_t pid, const void *data);

static pid_t family_parse_pid(const char *name)
{
	char *end;
	long pid = *name >= '1' && *name <= '9' ? strtol(name, &end, 10) : 0;

	return pid > 0 && *end == '\0' && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* Calls fn for every process but ourselves. Returns how often it said yes. */
static size_t family_each(family_fn *fn, const void *data)
{
	_Alignas(struct family_entry) char buffer[4096];
	cleanup_close int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t count = 0;
	long n;

	if (fd < 0)
		return 0;
	while ((n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
		for (long at = 0; at < n;) {
			const struct family_entry *entry = (const void *)(buffer + at);
			pid_t pid = family_parse_pid(entry->name);

			at += entry->size;
			if (pid > 0 && pid != getpid() && fn(pid, data))
				count++;
		}
	return count;
}

static bool family_is_descendant(pid_t pid)
{
	const pid_t self = getpid();
	struct proc_status status;

	for (int depth = 0; depth < FAMILY_DEPTH_MAX && pid > 0; depth++) {
		if (proc_status(pid, &status) < 0)
			return false;
		if (status.parent == self)
			return true;
		pid = status.parent;
	}
	return false;
}

static bool family_signal_one(pid_t pid, const void *data)
{
	const int *signo = data;

	return family_is_descendant(pid) && kill(pid, *signo) == 0;
}

void family_wake(pid_t pid)
{
	struct proc_status status;

	if (proc_status(pid, &status) == 0 && status.state == 'T')
		(void)kill(pid, SIGCONT);
}

/* Without a child there is no descendant: most programs leave nothing behind. */
static bool family_has_child(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

size_t family_signal_descendants(int signo)
{
	return family_has_child() ? family_each(family_signal_one, &signo) : 0;
}

static bool family_kill_one(pid_t pid, const void *data)
{
	struct proc_status status;

	(void)data;
	/* A process whose first thread has ended looks like a zombie while the others run. */
	if (proc_status(pid, &status) < 0 ||
	    ((status.state == 'Z' || status.state == 'X') && status.threads <= 1))
		return false;
	return family_is_descendant(pid) && kill(pid, SIGKILL) == 0;
}

/*
 * Kills our children, or reaps them: by the kernel's list of them (proc_pid_children(5), an option),
 * which is quicker to read than all of /proc. False: there are none, or there is no list.
 */
static bool family_end_children(pid_t keep)
{
	cleanup_close int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	char list[FAMILY_CHILDREN_BYTES], *at = list, *end;
	ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);
	bool found = false;
	pid_t pid;

	if (n <= 0)
		return false;
	list[n] = '\0';
	for (; (pid = (pid_t)strtol(at, &end, 10)) > 0; at = end) {
		/* The last one may be cut. */
		if (*end != ' ')
			continue;
		if (pid == keep) {
			(void)kill(pid, SIGKILL);
			continue;
		}
		found = true;
		if (waitpid(pid, NULL, WNOHANG) == 0)
			(void)kill(pid, SIGKILL);
	}
	return found;
}

void family_kill_descendants(pid_t keep)
{
	int64_t end_ms = clock_monotonic_ms() + FAMILY_BUSY_MS;
	size_t killed;

	do {
		while (family_end_children(keep) && clock_monotonic_ms() < end_ms)
			(void)sched_yield();
		killed = family_has_child() ? family_each(family_kill_one, NULL) : 0;
	} while (killed > 0 && clock_monotonic_ms() < end_ms);
}

void family_kill_all(pid_t keep)
{
	/* The kernel does it at once for all, forks included. */
	if (getpid() == 1)
		(void)kill(-1, SIGKILL);
	else
		family_kill_descendants(keep);
}

void family_signal_all(int signo)
{
	/* Anywhere but in our own PID namespace this would be the whole machine. */
	if (getpid() == 1)
		(void)kill(-1, signo);
	else
		(void)family_signal_descendants(signo);
}

bool family_has_others(void)
{
	return getpid() == 1 && kill(-1, 0) == 0;
}

struct family_group {
	const siginfo_t *info;
	pid_t group;
};

static bool family_forward_one(pid_t pid, const void *data)
{
	const struct family_group *target = data;

	return getpgid(pid) == target->group && signals_forward(target->info, pid) == 0;
}

int family_forward_group(const siginfo_t *info, pid_t group)
{
	const struct family_group target = { .info = info, .group = group };

	/* One call reaches all members at once; but there is none that carries a value. */
	if (info->si_code == SI_QUEUE && family_each(family_forward_one, &target) > 0)
		return 0;
	return kill(-group, info->si_signo) < 0 ? -errno : 0;
}
