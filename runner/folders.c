/* SPDX-License-Identifier: MIT */
#include "runner/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/table.h"

#define FOLDERS_MODE_MASK 07777

/* Gives the folder the group and the mode of the workspace. 0 or -errno. */
static int folders_adopt(int fd, const struct stat *workspace)
{
	mode_t mode = workspace->st_mode & FOLDERS_MODE_MASK;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* What was meant for that group is not given to another. */
	if (st.st_gid != workspace->st_gid && fchown(fd, (uid_t)-1, workspace->st_gid) < 0)
		mode &= ~(mode_t)(S_IRWXG | S_ISGID);
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

int folders_make(const char *workspace, const char *name, struct err *err)
{
	cleanup_close int top = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;
	int r;

	if (top < 0 || fstat(top, &st) < 0)
		return err_sys(err, -errno, "%s", workspace);
	if (mkdirat(top, name, S_IRWXU) < 0)
		return errno == EEXIST ? 0
				       : err_sys(err, -errno, "cannot make %s/%s", workspace, name);
	/* By its descriptor: the name may be a link by now. */
	fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : folders_adopt(fd, &st);
	return r < 0 ? err_sys(err, r, "%s/%s", workspace, name) : 0;
}

static bool folders_is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool folders_is_shared(const char *workspace)
{
	/* What v1 hosts mount, and what the host of a session puts there. */
	static const char *const names[] = {
		"ipc", "global", "extra", FOLDERS_GROUP, "inbound.db", "outbound.db",
	};
	cleanup_close int top = open(workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	/* In doubt it is: the agent is given less. */
	if (top < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (fstatat(top, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			return true;
	return false;
}

char *folders_find_working(const char *workspace, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", workspace, name) < 0)
		return NULL;
	if (folders_is_folder(path))
		return path;
	free(path);
	return strdup(workspace);
}

static int folders_compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

char **folders_list_extra(const char *workspace)
{
	cleanup_free char *extra = NULL;
	cleanup_closedir DIR *dir = NULL;
	char **list = calloc(FOLDERS_EXTRA_MAX + 1, sizeof(char *));
	const struct dirent *entry;
	size_t count = 0, more = 0;

	if (!list || asprintf(&extra, "%s/extra", workspace) < 0) {
		extra = NULL;
		free(list);
		return NULL;
	}
	dir = opendir(extra);
	while (dir && (entry = readdir(dir))) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", extra, entry->d_name) < 0) {
			folders_free(list);
			return NULL;
		}
		if (folders_is_folder(path) && count < FOLDERS_EXTRA_MAX) {
			list[count++] = path;
			continue;
		}
		more += folders_is_folder(path);
		free(path);
	}
	if (more > 0)
		log_warning("%s holds more than %d folders: the agent is not told of %zu", extra,
			    FOLDERS_EXTRA_MAX, more);
	/* The order that the folder is stored in says nothing, and changes. */
	qsort(list, count, sizeof(*list), folders_compare);
	return list;
}

/* What an agent of its own has, whatever the host says: the policy's rows, but for the system's. */
static const char *const folders_own[] = { "agent", "group",  "ipc",   "extra",
					   "inbox", "outbox", "global" };
static const char *const folders_variables[] = { "HOME", "TMPDIR" };
static const char *const folders_temporary[] = { "/tmp", "/var/tmp", "/dev/shm" };

struct folders_list {
	char **items; /* room for one more than it may get */
	size_t count;
};

/* Removes from an absolute path what says nothing: "//", "/./", a slash at the end. */
static void folders_normalise(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		size_t len = strcspn(from + 1, "/");

		if (len > 0 && !(len == 1 && from[1] == '.')) {
			memmove(to, from, len + 1);
			to += len + 1;
		}
		from += len + 1;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/*
 * Adds the folder, whose path is absolute, if no link leads there: an agent that an earlier loop
 * started may have put one in its place, or in that of a folder above it. One that is not there holds
 * nothing that could be read. 1: it is left out because of a link; 0; or -ENOMEM.
 */
static int folders_add(struct folders_list *list, const char *path)
{
	cleanup_free char *real = realpath(path, NULL), *plain = strdup(path);

	if (!plain)
		return -ENOMEM;
	if (!real)
		return 0;
	folders_normalise(plain);
	if (strcmp(plain, real) != 0)
		return 1;
	list->items[list->count++] = steal_ptr(real);
	return 0;
}

static int folders_add_own(struct folders_list *list, const char *workspace)
{
	/* The host's, and no agent's to replace. */
	cleanup_free char *real = realpath(workspace, NULL);
	int r = 0;

	for (size_t i = 0; r >= 0 && real && i < ARRAY_LEN(folders_own); i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", real, folders_own[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = folders_add(list, path);
	}
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(folders_variables); i++) {
		const char *value = getenv(folders_variables[i]);

		/* "/" is a runtime's word for none. */
		if (value && value[0] == '/' && value[strspn(value, "/.")] != '\0')
			r = folders_add(list, value);
	}
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(folders_temporary); i++)
		r = folders_add(list, folders_temporary[i]);
	return r < 0 ? r : 0;
}

/* The path in a word that names one for the agent to read; NULL: it is none. */
static const char *folders_path_of(const char *word)
{
	static const char *const options[] = { "--read=", "--write=" };

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strncmp(word, options[i], strlen(options[i])) == 0 &&
		    word[strlen(options[i])] == '/')
			return word + strlen(options[i]);
	return NULL;
}

static int folders_add_named(struct folders_list *list, const char *const *words)
{
	for (; *words; words++) {
		const char *path = folders_path_of(*words);
		int r = path ? folders_add(list, path) : 0;

		if (r < 0)
			return r;
		if (r > 0)
			log_warning("sandbox: a symbolic link leads to %s: nothing in it can be "
				    "sent; name the folder that it is in truth",
				    path);
	}
	return 0;
}

int folders_list_readable(const char *workspace, const char *const *words, char ***ret_list)
{
	static const char read[] = "--read=";
	struct folders_list list = { .count = 0 };
	bool is_limited = false;
	size_t count = 0;

	for (; words[count]; count++)
		if (strncmp(words[count], read, strlen(read)) == 0)
			is_limited = true;
	*ret_list = NULL;
	if (!is_limited)
		return 0;
	list.items = calloc(count + ARRAY_LEN(folders_own) + ARRAY_LEN(folders_variables) +
				    ARRAY_LEN(folders_temporary) + 1,
			    sizeof(char *));
	if (!list.items || folders_add_own(&list, workspace) < 0 ||
	    folders_add_named(&list, words) < 0) {
		folders_free(list.items);
		return -ENOMEM;
	}
	*ret_list = list.items;
	return 1;
}

void folders_free(char **list)
{
	for (char **path = list; path && *path; path++)
		free(*path);
	free(list);
}
