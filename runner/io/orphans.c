/* SPDX-License-Identifier: MIT */
#include "runner/io/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

/* The parent of a process, from /proc/PID/stat: "pid (comm) state ppid …"; -1 if it is gone. */
static pid_t orphans_parent_of(const char *pid)
{
	char path[64], stat[512];
	cleanup_close int fd = -1;
	const char *after;
	ssize_t n;
	char state;
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, stat, sizeof(stat) - 1)) <= 0)
		return -1;
	stat[n] = '\0';
	/* comm may hold blanks and parentheses: the last one closes it. */
	after = strrchr(stat, ')');
	if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2)
		return -1;
	return parent;
}

size_t orphans_kill(bool (*is_known)(void *userdata, pid_t pid), void *userdata)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	const struct dirent *entry;
	pid_t own = getpid();
	size_t killed = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || orphans_parent_of(entry->d_name) != own || is_known(userdata, pid))
			continue;
		if (kill(pid, SIGKILL) == 0)
			killed++;
	}
	return killed;
}
