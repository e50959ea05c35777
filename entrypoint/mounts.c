/* SPDX-License-Identifier: MIT */
#include "entrypoint/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/table.h"

/* A line of an overlay has some hundred bytes, and a host with all its containers thousands of lines. */
#define MOUNTS_MAX (64 * 1024 * 1024)

static bool mounts_is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* "\040" for a blank, "\134" for a backslash. In place. */
static void mounts_unescape(char *text)
{
	char *to = strchr(text, '\\');

	for (const char *from = to; from && *from; to++) {
		if (from[0] == '\\' && mounts_is_octal(from[1]) && mounts_is_octal(from[2]) &&
		    mounts_is_octal(from[3])) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	if (to)
		*to = '\0';
}

/*
 * "36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw", of which the strings are
 * borrowed: false if it is not so.
 */
static bool mounts_parse(char *line, struct mounts_entry *ret_entry)
{
	char *fields[6], *at = line, *separator = strstr(line, " - "), *end;

	if (!separator)
		return false;
	*separator = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		fields[i] = strsep(&at, " ");
		if (!fields[i])
			return false;
	}
	at = separator + 3;
	ret_entry->type = strsep(&at, " ");
	ret_entry->id = (int)strtol(fields[0], NULL, 10);
	ret_entry->major = (unsigned int)strtoul(fields[2], &end, 10);
	if (*end != ':')
		return false;
	ret_entry->minor = (unsigned int)strtoul(end + 1, NULL, 10);
	ret_entry->root = fields[3];
	ret_entry->point = fields[4];
	ret_entry->is_read_only = strncmp(fields[5], "ro", 2) == 0;
	mounts_unescape(ret_entry->root);
	mounts_unescape(ret_entry->point);
	return true;
}

static size_t mounts_count_lines(const char *text)
{
	size_t count = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		count++;
	return count;
}

int mounts_read(struct mounts *ret_mounts)
{
	cleanup_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct mounts mounts = { .count = 0 };
	char *rest, *line;
	size_t len;
	int r;

	if (fd < 0)
		return -ENOSYS;
	r = fd_read_all(fd, MOUNTS_MAX, &mounts.text, &len, NULL);
	if (r < 0)
		return r;
	mounts.entries = calloc(mounts_count_lines(mounts.text) + 1, sizeof(*mounts.entries));
	if (!mounts.entries) {
		mounts_deinit(&mounts);
		return -ENOMEM;
	}
	rest = mounts.text;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (mounts_parse(line, &mounts.entries[mounts.count]))
			mounts.count++;
	*ret_mounts = mounts;
	return 0;
}

void mounts_deinit(struct mounts *mounts)
{
	free(mounts->entries);
	free(mounts->text);
}

/* What follows root in path, "" or from a slash on; NULL: it does not lie there. */
static const char *mounts_below(const char *path, const char *root)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

/*
 * The mount that a path lies on: the one of this id; 0: the kernel does not tell, and the longest
 * mount point is it. NULL: there is none.
 */
static const struct mounts_entry *mounts_find(const struct mounts *mounts, const char *path,
					      uint64_t id)
{
	const struct mounts_entry *found = NULL;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct mounts_entry *entry = &mounts->entries[i];

		if (id ? (uint64_t)entry->id == id
		       : mounts_below(path, entry->point) &&
				    (!found || strlen(entry->point) >= strlen(found->point)))
			found = entry;
	}
	return found;
}

/* "/" for the root of all, "" before what follows. */
static const char *mounts_prefix(const char *folder)
{
	return strcmp(folder, "/") == 0 ? "" : folder;
}

int mounts_aliases(const struct mounts *mounts, const char *path,
		   int (*fn)(void *userdata, const char *alias), void *userdata)
{
	const struct mounts_entry *own;
	const char *below;
	cleanup_free char *inner = NULL; /* the path within its file system */
	struct statx st = { .stx_mask = 0 };
	uint64_t id = 0;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &st) == 0 &&
	    st.stx_mask & STATX_MNT_ID)
		id = st.stx_mnt_id;
	own = mounts_find(mounts, path, id);
	if (!own)
		return 0;
	below = mounts_below(path, own->point);
	if (!below)
		return -EINVAL;
	if (asprintf(&inner, "%s%s", mounts_prefix(own->root), below) < 0) {
		inner = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < mounts->count; i++) {
		const struct mounts_entry *entry = &mounts->entries[i];
		cleanup_free char *alias = NULL;
		const char *rest;
		int r;

		if (entry->major != own->major || entry->minor != own->minor ||
		    entry->id == own->id)
			continue;
		rest = mounts_below(inner, entry->root);
		if (!rest)
			continue;
		if (asprintf(&alias, "%s%s", mounts_prefix(entry->point), rest) < 0) {
			alias = NULL;
			return -ENOMEM;
		}
		r = fn(userdata, *alias ? alias : "/");
		if (r != 0)
			return r;
	}
	return 0;
}
