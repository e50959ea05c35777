/* SPDX-License-Identifier: MIT */
#include "runner/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/number.h"
#include "common/table.h"

/* A machine with thousands of mounts has some hundred KB of them. */
#define MEMORY_PROC_MAX (4 * 1024 * 1024)
#define MEMORY_FILE_MAX 4096
/* v1 says "no limit" by the largest number of whole pages: nobody has so much. */
#define MEMORY_NO_LIMIT (INT64_C(1) << 60)

/* https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html */
static const struct {
	const char *type; /* of its mount */
	const char *kills;
	const char *limit;
} memory_files[] = {
	[MEMORY_V1] = { "cgroup", "memory.oom_control", "memory.limit_in_bytes" },
	[MEMORY_V2] = { "cgroup2", "memory.events", "memory.max" },
};
TABLE_COVERS(memory_files, MEMORY_VERSIONS);

struct memory {
	char *kills; /* paths; NULL: unknown */
	char *limit;
};

/* The texts */

/* Is word one of those in the list, which is ended by a NUL? */
static bool memory_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; *at; at += strcspn(at, ",")) {
		at += *at == ',';
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

/*
 * Our group in the hierarchy that has the memory controller: lines NUMBER:CONTROLLERS:PATH. Where v1
 * has it, v2 has not. text is cut up. NULL: there is none.
 */
static const char *memory_group(char *text, enum memory_version *ret_version)
{
	const char *unified = NULL;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		const char *number = strsep(&line, ":"), *controllers = strsep(&line, ":");

		if (!line)
			continue;
		if (memory_has_word(controllers, "memory")) {
			*ret_version = MEMORY_V1;
			return line;
		}
		if (strcmp(number, "0") == 0 && !*controllers)
			unified = line;
	}
	*ret_version = MEMORY_V2;
	return unified;
}

/* What a line of mountinfo says (proc(5)): where a folder of a hierarchy lies. */
struct memory_mount {
	const char *root; /* which folder of it */
	const char *point;
	const char *type;
	const char *options; /* of the hierarchy: v1's controllers among them */
};

/* "36 35 98:0 /root /point rw,noatime shared:1 - type source options". line is cut up. */
static bool memory_split_mount(char *line, struct memory_mount *ret_mount)
{
	const char *word;

	for (int i = 0; i < 3; i++)
		(void)strsep(&line, " ");
	ret_mount->root = strsep(&line, " ");
	ret_mount->point = strsep(&line, " ");
	while ((word = strsep(&line, " ")) != NULL && strcmp(word, "-") != 0)
		;
	ret_mount->type = strsep(&line, " ");
	(void)strsep(&line, " ");
	ret_mount->options = strsep(&line, " ");
	return ret_mount->options != NULL;
}

/*
 * The group's folder below a mount. Without a namespace of its own a container sees the host's names:
 * the group is /docker/ID, and so is the root of the mount. A group outside of it is the mount's.
 */
static const char *memory_below(const char *group, const char *root)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(group, root, len) != 0 || (group[len] != '/' && group[len] != '\0'))
		return "";
	group += len;
	return strcmp(group, "/") == 0 || strncmp(group, "/..", 3) == 0 ? "" : group;
}

int memory_find(const char *cgroups, const char *mounts, enum memory_version *ret_version,
		char **ret_folder)
{
	cleanup_free char *groups = strdup(cgroups), *lines = strdup(mounts);
	enum memory_version version;
	const char *group;
	char *rest = lines, *line;

	if (!groups || !lines)
		return -ENOMEM;
	group = memory_group(groups, &version);
	while (group && (line = strsep(&rest, "\n")) != NULL) {
		struct memory_mount mount;

		if (!memory_split_mount(line, &mount) ||
		    strcmp(mount.type, memory_files[version].type) != 0)
			continue;
		if (version == MEMORY_V1 && !memory_has_word(mount.options, "memory"))
			continue;
		if (asprintf(ret_folder, "%s%s", mount.point, memory_below(group, mount.root)) <
		    0) {
			*ret_folder = NULL;
			return -ENOMEM;
		}
		*ret_version = version;
		return 0;
	}
	return -ENOENT;
}

/* A whole line's number, or the fallback. */
static int64_t memory_parse_line(const char *text)
{
	char number[24];
	int64_t value;

	(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(text, "\n"), text);
	return number_parse_int(number, 0, INT64_MAX, &value) == 0 ? value : -1;
}

int64_t memory_parse_kills(const char *text)
{
	static const char key[] = "oom_kill ";

	while (text && strncmp(text, key, strlen(key)) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? memory_parse_line(text + strlen(key)) : -1;
}

int64_t memory_parse_limit(const char *text)
{
	int64_t limit = memory_parse_line(text);

	return limit >= MEMORY_NO_LIMIT ? -1 : limit;
}

void memory_size_text(int64_t bytes, char text[MEMORY_SIZE_TEXT])
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
	size_t unit = 0;

	/* 1536 MB, and not 1 GB: what does not divide evenly stays in the smaller unit. */
	while (unit + 1 < ARRAY_LEN(units) && bytes >= 1024 &&
	       (bytes % 1024 == 0 || bytes >= 1024 * 1024)) {
		bytes /= 1024;
		unit++;
	}
	(void)snprintf(text, MEMORY_SIZE_TEXT, "%lld %s", (long long)bytes, units[unit]);
}

/* The files */

static char *memory_path(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

int memory_open(struct memory **ret_memory)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	cleanup_free char *cgroups = NULL, *mounts = NULL, *folder = NULL;
	enum memory_version version = MEMORY_V2;
	size_t len;
	int r;

	if (!memory)
		return -ENOMEM;
	r = fd_read_file("/proc/self/cgroup", MEMORY_PROC_MAX, &cgroups, &len, NULL);
	if (r == 0)
		r = fd_read_file("/proc/self/mountinfo", MEMORY_PROC_MAX, &mounts, &len, NULL);
	if (r == 0)
		r = memory_find(cgroups, mounts, &version, &folder);
	if (r == 0) {
		memory->kills = memory_path(folder, memory_files[version].kills);
		memory->limit = memory_path(folder, memory_files[version].limit);
		if (!memory->kills || !memory->limit)
			r = -ENOMEM;
	}
	if (r == -ENOMEM) {
		memory_close(memory);
		return r;
	}
	*ret_memory = memory;
	return 0;
}

void memory_close(struct memory *memory)
{
	if (!memory)
		return;
	free(memory->kills);
	free(memory->limit);
	free(memory);
}

static int64_t memory_read(const char *path, int64_t (*parse)(const char *text))
{
	cleanup_free char *text = NULL;
	size_t len;

	if (!path || fd_read_file(path, MEMORY_FILE_MAX, &text, &len, NULL) < 0)
		return -1;
	return parse(text);
}

int64_t memory_oom_kills(const struct memory *memory)
{
	return memory ? memory_read(memory->kills, memory_parse_kills) : -1;
}

int64_t memory_limit(const struct memory *memory)
{
	return memory ? memory_read(memory->limit, memory_parse_limit) : -1;
}
