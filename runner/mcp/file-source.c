/* SPDX-License-Identifier: MIT */
#include "runner/mcp/file-source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/quote.h"
#include "common/table.h"
#include "runner/mcp/credentials.h"

/* Of the workspace: what the agent may not read. SQLite makes and removes the journals. */
static const char *const file_source_own[] = {
	"inbound.db",	   "inbound.db-journal", "inbound.db-wal",
	"inbound.db-shm",  "outbound.db",	 "outbound.db-journal",
	"outbound.db-wal", "outbound.db-shm",	 ".heartbeat",
};

/* File systems without files, statfs(2): their content is made as it is read. */
static const uint32_t file_source_kernel[] = {
	PROC_SUPER_MAGIC, SYSFS_MAGIC,	  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
	DEBUGFS_MAGIC,	  TRACEFS_MAGIC,  SECURITYFS_MAGIC,   SELINUX_MAGIC,
	BPF_FS_MAGIC,	  EFIVARFS_MAGIC, PSTOREFS_MAGIC,     NSFS_MAGIC,
};

static bool file_source_is_kernels(const struct statfs *system)
{
	for (size_t i = 0; i < ARRAY_LEN(file_source_kernel); i++)
		if (file_source_kernel[i] == (uint32_t)system->f_type)
			return true;
	return false;
}

/* What is no regular file. */
static const struct {
	mode_t type;
	const char *words;
} file_source_types[] = {
	{ S_IFDIR, "is a folder: pack it into an archive, and send that" },
	{ S_IFIFO, "is a named pipe, not a file" },
	{ S_IFSOCK, "is a socket, not a file" },
	{ S_IFCHR, "is a device, not a file" },
	{ S_IFBLK, "is a device, not a file" },
};

static int file_source_check_type(const struct stat *st, const char *quoted, struct err *err)
{
	if (S_ISREG(st->st_mode))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(file_source_types); i++)
		if (file_source_types[i].type == (st->st_mode & S_IFMT))
			return err_set(err, -EINVAL, "%s %s.", quoted, file_source_types[i].words);
	return err_set(err, -EINVAL, "%s is not a file.", quoted);
}

/*
 * Is it one of the session's own, by whatever name or link it was reached? 1, 0, or -errno: one of
 * them cannot be looked at, so it cannot be said.
 */
static int file_source_is_own(const char *workspace, const struct stat *st)
{
	for (size_t i = 0; i < ARRAY_LEN(file_source_own); i++) {
		char path[PATH_MAX];
		struct stat own;

		if (snprintf(path, sizeof(path), "%s/%s", workspace, file_source_own[i]) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		if (stat(path, &own) < 0) {
			if (errno != ENOENT)
				return -errno;
			continue;
		}
		if (own.st_dev == st->st_dev && own.st_ino == st->st_ino)
			return 1;
	}
	return 0;
}

static int file_source_check_owner(int fd, const char *workspace, const char *quoted,
				   struct stat *st, struct err *err)
{
	int r = file_source_is_own(workspace, st);

	if (r > 0)
		return err_set(
			err, -EPERM,
			"%s is the session's own: its databases and their like are not sent.",
			quoted);
	if (r == 0 && fstat(fd, st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, r, "%s cannot be read: %s.", quoted, strerror(-r));
	/* A journal that was removed before that look has no name any more, and is no less secret. */
	if (st->st_nlink == 0)
		return err_set(err, -ENOENT, "%s was removed.", quoted);
	return 0;
}

/* Where the open file lies, all links resolved. 0 or -errno. */
static int file_source_place(int fd, char place[PATH_MAX])
{
	char link[32];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, place, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	place[n] = '\0';
	/* Outside of what can be reached from the root, or no file with a name. */
	return n == PATH_MAX - 1 || place[0] != '/' ? -ENAMETOOLONG : 0;
}

static bool file_source_is_below(const char *place, const char *folder)
{
	size_t len = strlen(folder);

	if (len == 1)
		return true;
	return strncmp(place, folder, len) == 0 && place[len] == '/';
}

/* By its name and, for it may have been reached by a link, where that leads. */
static bool file_source_is_runtime(const char *place, const char *folder)
{
	char real[PATH_MAX];

	return file_source_is_below(place, folder) ||
	       (realpath(folder, real) && file_source_is_below(place, real));
}

/* The names are not resolved again: an agent may have put a link in the place of a folder. */
static bool file_source_is_readable(const struct file_source *source, const char *place)
{
	if (!source->readable)
		return true;
	for (const char *const *folder = source->readable; *folder; folder++)
		if (file_source_is_below(place, *folder))
			return true;
	return false;
}

static int file_source_check_place(int fd, const struct file_source *source, const struct stat *st,
				   const char *quoted, struct err *err)
{
	char place[PATH_MAX], store[64];
	int r = file_source_place(fd, place);

	if (r < 0)
		return err_set(err, r, "It cannot be told where %s lies: %s.", quoted,
			       strerror(-r));
	if (source->runtime && file_source_is_runtime(place, source->runtime))
		return err_set(err, -EPERM,
			       "%s is the session's own: what is in its runtime directory is not "
			       "sent.",
			       quoted);
	if (!file_source_is_readable(source, place))
		return err_set(err, -EACCES,
			       "%s is outside of the folders that you may read: it is not sent.",
			       quoted);
	r = credentials_find(place, st, store, sizeof(store));
	if (r < 0)
		return err_set(err, r, "%s cannot be read: %s.", quoted, strerror(-r));
	if (r == 0)
		return 0;
	return err_set(err, -EPERM,
		       "%s holds credentials (%s): such files are not sent to anybody.", quoted,
		       store);
}

static int file_source_check(int fd, const struct file_source *source, const char *quoted,
			     struct err *err)
{
	struct statfs system;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &system) < 0)
		return err_set(err, -errno, "%s cannot be read: %s.", quoted, strerror(errno));
	r = file_source_check_type(&st, quoted, err);
	if (r == 0 && file_source_is_kernels(&system))
		r = err_set(err, -EPERM,
			    "%s is made up by the kernel: write what it says into a file of your "
			    "own, and send that.",
			    quoted);
	if (r == 0)
		r = file_source_check_owner(fd, source->workspace, quoted, &st, err);
	if (r == 0)
		r = file_source_check_place(fd, source, &st, quoted, err);
	if (r == 0 && st.st_size > FILE_SOURCE_MAX)
		r = err_set(err, -EFBIG, "%s has %" PRId64 " bytes; at most %d can be sent.",
			    quoted, (int64_t)st.st_size, FILE_SOURCE_MAX);
	return r;
}

/* Why there is nothing to open; code is -errno. */
static int file_source_refuse(const char *folder, const char *path, const char *quoted, int code,
			      struct err *err)
{
	if (code == -ENOENT)
		return err_set(err, code, "There is no file %s%s%s.", quoted,
			       path[0] == '/' ? "" : " in ", path[0] == '/' ? "" : folder);
	return err_set(err, code, "%s cannot be opened: %s.", quoted, strerror(-code));
}

int file_source_open(const struct file_source *source, const char *path, int *ret_fd,
		     struct err *err)
{
	cleanup_close int base = -1, fd = -1;
	char quoted[QUOTE_SIZE];
	struct stat st;
	int r;

	quote(quoted, path, strlen(path));
	base = open(source->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return file_source_refuse(source->folder, path, quoted, -errno, err);
	if (fstatat(base, path, &st, 0) < 0)
		return file_source_refuse(source->folder, path, quoted, -errno, err);
	/* To open a device can set it off. */
	r = file_source_check_type(&st, quoted, err);
	if (r < 0)
		return r;
	fd = openat(base, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return file_source_refuse(source->folder, path, quoted, -errno, err);
	r = file_source_check(fd, source, quoted, err);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}
