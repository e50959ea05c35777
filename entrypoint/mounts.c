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

/* "\040" for a blank, "\134" for a backslash. In place. */
static void mounts_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned int value;

		if (from[0] == '\\' && sscanf(from + 1, "%3o", &value) == 1) {
			*to = (char)value;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw": false if it is not so. */
static bool mounts_parse(char *line, struct mounts_entry *ret_entry)
{
	char *fields[6], *at = line, *separator = strstr(line, " - ");

	if (!separator)
		return false;
	*separator = '\0';
	for (size_t i = 0; i < 6; i++) {
		fields[i] = strsep(&at, " ");
		if (!fields[i])
			return false;
	}
	at = separator + 3;
	ret_entry->type = strsep(&at, " ");
	ret_entry->id = (int)strtol(fields[0], NULL, 10);
	if (sscanf(fields[2], "%u:%u", &ret_entry->major, &ret_entry->minor) != 2)
		return false;
	ret_entry->root = fields[3];
	ret_entry->point = fields[4];
	ret_entry->is_read_only = strncmp(fields[5], "ro", 2) == 0;
	mounts_unescape(ret_entry->root);
	mounts_unescape(ret_entry->point);
	return true;
}

int mounts_read(char **ret_text)
{
	cleanup_fclose FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *text = NULL;
	size_t size = 0;

	if (!file)
		return -ENOSYS;
	if (getdelim(&text, &size, '\0', file) < 0 && !feof(file))
		return -ENOMEM;
	if (!text)
		return -ENOMEM;
	*ret_text = steal_ptr(text);
	return 0;
}

int mounts_each(const char *text, int (*fn)(void *userdata, const struct mounts_entry *entry),
		void *userdata)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t len = strcspn(text, "\n");
		cleanup_free char *line = strndup(text, len);
		struct mounts_entry entry;

		if (!line)
			return -ENOMEM;
		if (mounts_parse(line, &entry))
			r = fn(userdata, &entry);
		text += len + (text[len] == '\n');
	}
	return r;
}

/* What follows root in path, "" or from a slash on; NULL: it does not lie there. */
static const char *mounts_below(const char *path, const char *root)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

/* The mount that a path lies on, and its path within the file system. */
struct mounts_search {
	const char *path;
	uint64_t id; /* 0: the kernel does not tell; the longest mount point is it */
	size_t longest;
	bool is_found;
	unsigned int major, minor;
	char *inner;
	int found_id;
	int (*fn)(void *userdata, const char *alias);
	void *userdata;
};

static int mounts_find(void *userdata, const struct mounts_entry *entry)
{
	struct mounts_search *search = userdata;
	const char *rest = mounts_below(search->path, entry->point);
	char *inner;

	if (search->id ? (uint64_t)entry->id != search->id
		       : !rest || (search->is_found && strlen(entry->point) < search->longest))
		return 0;
	if (!rest ||
	    asprintf(&inner, "%s%s", strcmp(entry->root, "/") == 0 ? "" : entry->root, rest) < 0)
		return -ENOMEM;
	free(search->inner);
	search->inner = inner;
	search->longest = strlen(entry->point);
	search->is_found = true;
	search->major = entry->major;
	search->minor = entry->minor;
	search->found_id = entry->id;
	return 0;
}

static int mounts_tell(void *userdata, const struct mounts_entry *entry)
{
	const struct mounts_search *search = userdata;
	cleanup_free char *alias = NULL;
	const char *rest;

	if (entry->major != search->major || entry->minor != search->minor ||
	    entry->id == search->found_id)
		return 0;
	rest = mounts_below(search->inner, entry->root);
	if (!rest)
		return 0;
	if (asprintf(&alias, "%s%s", strcmp(entry->point, "/") == 0 ? "" : entry->point, rest) <
	    0) {
		alias = NULL;
		return -ENOMEM;
	}
	return search->fn(search->userdata, *alias ? alias : "/");
}

int mounts_aliases(const char *text, const char *path, int (*fn)(void *userdata, const char *alias),
		   void *userdata)
{
	struct mounts_search search = { .path = path, .fn = fn, .userdata = userdata };
	struct statx st;
	int r;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &st) == 0 &&
	    st.stx_mask & STATX_MNT_ID)
		search.id = st.stx_mnt_id;
	r = mounts_each(text, mounts_find, &search);
	if (r == 0 && search.is_found)
		r = mounts_each(text, mounts_tell, &search);
	free(search.inner);
	return r;
}
