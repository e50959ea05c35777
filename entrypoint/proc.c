/* SPDX-License-Identifier: MIT */
#include "entrypoint/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/number.h"
#include "common/table.h"

/* A status file has about 1,500 bytes; what we look for stands in its first half or so. */
#define PROC_STATUS_MAX 8192
/* A line for each hierarchy, cut off where there are many long ones. */
#define PROC_CGROUP_MAX 4096

static int proc_read(pid_t pid, const char *file, char *buffer, size_t size, size_t *ret_len)
{
	cleanup_close int fd = -1;
	char path[64];
	size_t len = 0;

	if (pid == 0)
		(void)snprintf(path, sizeof(path), "/proc/self/%s", file);
	else
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static void proc_set_name(struct proc_status *s, const char *value)
{
	(void)snprintf(s->name, sizeof(s->name), "%s", value);
}

static void proc_set_state(struct proc_status *s, const char *value)
{
	s->state = value[0];
}

static void proc_set_parent(struct proc_status *s, const char *value)
{
	s->parent = (pid_t)strtol(value, NULL, 10);
}

static void proc_set_threads(struct proc_status *s, const char *value)
{
	s->threads = (int)strtol(value, NULL, 10);
}

/* Four ids: real, effective, saved, file system. */
static unsigned int proc_second_id(const char *value)
{
	char *end;

	(void)strtoul(value, &end, 10);
	return (unsigned int)strtoul(end, NULL, 10);
}

static void proc_set_uid(struct proc_status *s, const char *value)
{
	s->uid = proc_second_id(value);
}

static void proc_set_gid(struct proc_status *s, const char *value)
{
	s->gid = proc_second_id(value);
	s->has_ids = true;
}

static const struct {
	const char *key;
	void (*set)(struct proc_status *s, const char *value);
} proc_fields[] = {
	{ "Name", proc_set_name },	 { "State", proc_set_state }, { "PPid", proc_set_parent },
	{ "Threads", proc_set_threads }, { "Uid", proc_set_uid },     { "Gid", proc_set_gid },
};

int proc_status(pid_t pid, struct proc_status *ret_status)
{
	struct proc_status status = { .parent = -1 };
	char text[PROC_STATUS_MAX + 1];
	char *rest = text, *line;
	size_t len;
	int r;

	r = proc_read(pid, "status", text, PROC_STATUS_MAX, &len);
	if (r < 0)
		return r;
	text[len] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *key = strsep(&line, ":");

		if (!line)
			continue;
		line += strspn(line, " \t");
		for (size_t i = 0; i < ARRAY_LEN(proc_fields); i++)
			if (strcmp(key, proc_fields[i].key) == 0)
				proc_fields[i].set(&status, line);
	}
	*ret_status = status;
	return 0;
}

int proc_cmdline(pid_t pid, char *buffer, size_t size, size_t *ret_len)
{
	return proc_read(pid, "cmdline", buffer, size, ret_len);
}

void proc_name(pid_t pid, char *buffer, size_t size)
{
	size_t len;

	if (proc_read(pid, "comm", buffer, size - 1, &len) < 0)
		len = 0;
	buffer[len] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
}

bool proc_is_in_our_cgroup(pid_t pid)
{
	char ours[PROC_CGROUP_MAX], theirs[PROC_CGROUP_MAX];
	size_t len, their_len;

	return proc_read(0, "cgroup", ours, sizeof(ours), &len) == 0 && len > 0 &&
	       proc_read(pid, "cgroup", theirs, sizeof(theirs), &their_len) == 0 &&
	       len == their_len && memcmp(ours, theirs, len) == 0;
}

int proc_raise_oom_score(int value)
{
	cleanup_close int fd = -1;
	char text[16];
	int64_t now = 0;
	size_t len;
	int r = proc_read(0, "oom_score_adj", text, sizeof(text) - 1, &len);

	if (r < 0)
		return r;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	r = number_parse_int(text, -1000, 1000, &now);
	if (r < 0 || now >= value)
		return r;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%d", value);
	return fd_write_all(fd, text, strlen(text));
}

pid_t proc_next(DIR *proc)
{
	const struct dirent *entry;

	while ((entry = readdir(proc)) != NULL) {
		int64_t pid;

		if (number_parse_int(entry->d_name, 1, INT32_MAX, &pid) == 0)
			return (pid_t)pid;
	}
	return 0;
}
