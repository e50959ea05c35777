/* SPDX-License-Identifier: MIT */
#include "entrypoint/own-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/grant.h"

/* Folders from one up to the root. */
#define OWN_FOLDER_ABOVE_MAX 64

/* NULL: what TMPDIR says. */
static const char *const own_folder_bases[] = { NULL, "/tmp", "/var/tmp", "/dev/shm" };

int own_folder_open(const char *path)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (path[0] != '/')
		return -ENOTDIR;
	fd = grant_open(AT_FDCWD, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? steal_fd(&fd) : -ENOTDIR;
}

bool own_folder_holds(const char *folder, const char *other)
{
	cleanup_close int fd = open(other, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat wanted, below = { .st_ino = 0 };

	if (stat(folder, &wanted) < 0)
		return false;
	for (int i = 0; fd >= 0 && i < OWN_FOLDER_ABOVE_MAX; i++) {
		struct stat st;
		int parent;

		if (fstat(fd, &st) < 0)
			return false;
		if (st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino)
			return true;
		/* The root is its own parent. */
		if (i > 0 && st.st_dev == below.st_dev && st.st_ino == below.st_ino)
			return false;
		below = st;
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = parent;
	}
	return false;
}

/* A folder of this name that somebody else made, or that others can enter, is not ours. */
static bool own_folder_is_private(int base, const char *name)
{
	struct stat st;

	return fstatat(base, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* What is of our uid and no folder, an agent has put there. */
static void own_folder_clear(int base, const char *name)
{
	struct stat st;

	if (fstatat(base, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	    st.st_uid == geteuid())
		(void)unlinkat(base, name, 0);
}

static int own_folder_make_below(const char *base, const char *name, char *path)
{
	cleanup_close int folder = own_folder_open(base);
	const char *entry;

	if (folder < 0)
		return folder;
	if (snprintf(path, OWN_FOLDER_PATH_MAX, "%s/agent-%s-%u", base, name, geteuid()) >=
	    OWN_FOLDER_PATH_MAX)
		return -ENAMETOOLONG;
	entry = strrchr(path, '/') + 1;
	own_folder_clear(folder, entry);
	if (mkdirat(folder, entry, 0700) == 0 ||
	    (errno == EEXIST && own_folder_is_private(folder, entry)))
		return 0;
	if (snprintf(path, OWN_FOLDER_PATH_MAX, "%s/agent-%s-XXXXXX", base, name) >=
	    OWN_FOLDER_PATH_MAX)
		return -ENAMETOOLONG;
	return mkdtemp(path) ? 0 : -errno;
}

int own_folder_make(const char *name, char ret_path[OWN_FOLDER_PATH_MAX], struct err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; r < 0 && i < ARRAY_LEN(own_folder_bases); i++) {
		const char *base = own_folder_bases[i] ? own_folder_bases[i] : getenv("TMPDIR");

		if (base && base[0] == '/')
			r = own_folder_make_below(base, name, ret_path);
	}
	return r < 0 ? err_sys(err, r, "no folder agent-%s-%u can be made under /tmp by uid %u",
			       name, geteuid(), geteuid())
		     : 0;
}
