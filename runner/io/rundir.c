/* SPDX-License-Identifier: MIT */
#include "runner/io/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/table.h"

#define RUNDIR_SOCKET_NAME "socket"
#define RUNDIR_MODE	   0700
/* Names that are tried for what is put aside. */
#define RUNDIR_ASIDE_TRIES 8

/* The longest path of a socket, its NUL included. */
#define RUNDIR_ADDRESS_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* NULL: what TMPDIR says. */
static const char *const rundir_bases[] = { NULL, "/tmp", "/dev/shm", "/run" };

/* The length of a path without the slashes at its end. */
static size_t rundir_length(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

/* FNV-1a, in which "/workspace" and "//workspace/" are the same. */
static uint32_t rundir_hash(const char *path)
{
	size_t len = rundir_length(path);
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < len; i++)
		if (i == 0 || path[i] != '/' || path[i - 1] != '/')
			hash = (hash ^ (unsigned char)path[i]) * 16777619U;
	return hash;
}

static bool rundir_is_below(const char *path, const char *folder)
{
	size_t len = rundir_length(folder);

	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The folder's path in base number i: 0; 1: there is no such base to be used; -ENOMEM. */
static int rundir_path(const char *workspace, size_t i, char **ret_path)
{
	const char *base = rundir_bases[i] ? rundir_bases[i] : getenv("TMPDIR");
	const char *ours = getenv(RUNDIR_TMPDIR_VARIABLE);

	/* Whom nobody told of it, such as clients by `docker exec`, would not look there. */
	if (!rundir_bases[i] && base && ours && strcmp(base, ours) == 0)
		return 1;
	/* The workspace is a mount: another kernel may be behind it. */
	if (!base || base[0] != '/' || rundir_is_below(base, workspace))
		return 1;
	if (asprintf(ret_path, "%.*s/agent-runner-%08" PRIx32, (int)rundir_length(base), base,
		     rundir_hash(workspace)) < 0) {
		*ret_path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int rundir_check_length(const char *path, struct err *err)
{
	if (strlen(path) + strlen("/" RUNDIR_SOCKET_NAME) < RUNDIR_ADDRESS_MAX)
		return 0;
	return err_set(err, -ENAMETOOLONG, "%s: too long for a socket's address", path);
}

/* Sees that nobody else gets in. The mode may be one that keeps us out, too. */
static int rundir_set_mode(int fd, const struct stat *st)
{
	char path[32];

	if ((st->st_mode & ALLPERMS) == RUNDIR_MODE)
		return 0;
	/* fchmod(2) refuses O_PATH. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, RUNDIR_MODE) < 0 ? -errno : 0;
}

/* Opens the folder if it is ours, and ours alone. fd, or -errno with a text. */
static int rundir_open_own(const char *path, struct err *err)
{
	/* From here on by its descriptor: others may rename what lies in /tmp. */
	cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	if (st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s: belongs to uid %u", path, st.st_uid);
	r = rundir_set_mode(fd, &st);
	if (r == 0)
		r = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? err_sys(err, r == -1 ? -errno : r, "%s", path) : r;
}

/*
 * Makes room for an entry of ours: an agent may have made a folder of it, with much in it. That is
 * put aside, and stays there. Nobody looks at who fails: what comes next does.
 */
static void rundir_clear(int fd, const char *name)
{
	int64_t now_ms = clock_realtime_ms();

	if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
		return;
	for (int64_t i = 0; i < RUNDIR_ASIDE_TRIES; i++) {
		char aside[32];

		(void)snprintf(aside, sizeof(aside), ".left-%" PRIx64, (uint64_t)(now_ms + i));
		if (renameat(fd, name, fd, aside) == 0)
			return;
	}
}

/* A socket that is there may be another loop's, who serves it. */
static void rundir_make_room(int fd)
{
	struct stat st;

	if (fstatat(fd, RUNDIR_SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(st.st_mode))
		rundir_clear(fd, RUNDIR_SOCKET_NAME);
}

/* Makes the folder if it is missing. What is ours and no folder an agent has put there. */
static int rundir_make_folder(const char *path, bool *ret_is_made, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		(void)unlink(path);
	*ret_is_made = mkdir(path, RUNDIR_MODE) == 0;
	return *ret_is_made || errno == EEXIST ? 0 : err_sys(err, -errno, "%s", path);
}

/* Makes the folder, or sees that the one that is there can be used; use, unless NULL, does so. */
static int rundir_claim(const char *path, rundir_use_fn *use, void *userdata, struct err *err)
{
	cleanup_close int fd = -1;
	bool is_made = false;
	int r = rundir_check_length(path, err);

	if (r == 0)
		r = rundir_make_folder(path, &is_made, err);
	if (r < 0)
		return r;
	fd = rundir_open_own(path, err);
	if (fd >= 0)
		rundir_make_room(fd);
	r = fd < 0 ? fd : 0;
	if (r == 0 && use)
		r = use(userdata, path, err);
	/* Another base is tried, and nobody would come back for this one. */
	if (r < 0 && is_made)
		(void)rmdir(path);
	return r;
}

static void rundir_add_tried(struct err *tried, const struct err *why)
{
	const struct err before = *tried;

	(void)err_set(tried, 0, "%s%s%s", before.text, before.text[0] ? "; " : "", why->text);
}

int rundir_make(const char *workspace, rundir_use_fn *use, void *userdata, char **ret_path,
		struct err *err)
{
	struct err tried = { .text = "" };
	int last = -ENOENT;

	for (size_t i = 0; i < ARRAY_LEN(rundir_bases); i++) {
		cleanup_free char *path = NULL;
		struct err why;
		int r = rundir_path(workspace, i, &path);

		if (r > 0)
			continue;
		if (r < 0)
			return err_sys(err, r, "cannot make a folder for the socket");
		r = rundir_claim(path, use, userdata, &why);
		if (r == 0) {
			*ret_path = steal_ptr(path);
			return 0;
		}
		if (r == -EADDRINUSE)
			return err_set(err, r, "%s", why.text);
		last = r;
		rundir_add_tried(&tried, &why);
	}
	return err_set(err, last, "no folder can be made for the socket: %s", tried.text);
}

int rundir_renew(const char *rundir, struct err *err)
{
	return rundir_claim(rundir, NULL, NULL, err);
}

int rundir_write(const char *rundir, const char *name, const void *bytes, size_t n, struct err *err)
{
	cleanup_close int folder = -1, fd = -1;
	bool is_made;
	int r = rundir_make_folder(rundir, &is_made, err);

	if (r < 0)
		return r;
	folder = rundir_open_own(rundir, err);
	if (folder < 0)
		return folder;
	/* Anew: whoever may have opened an older one does not read this one. */
	rundir_clear(folder, name);
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : fd_write_all(fd, bytes, n);
	return r < 0 ? err_sys(err, r, "%s/%s", rundir, name) : 0;
}

char *rundir_socket(const char *rundir)
{
	char *path;

	return asprintf(&path, "%s/" RUNDIR_SOCKET_NAME, rundir) < 0 ? NULL : path;
}

void rundir_remove(const char *rundir)
{
	cleanup_close int fd = -1;
	cleanup_closedir DIR *folder = NULL;
	const struct dirent *entry;

	/* An agent may have put a link in its place, that leads to what must not be removed. */
	if (rundir)
		fd = open(rundir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	folder = fd >= 0 ? fdopendir(fd) : NULL;
	if (!folder)
		return;
	(void)steal_fd(&fd);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
		/* Put aside: of what cannot be removed even now, an empty folder is left. */
		else if (strncmp(entry->d_name, ".left-", strlen(".left-")) == 0 &&
			 unlinkat(dirfd(folder), entry->d_name, 0) < 0)
			(void)unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
	}
	(void)rmdir(rundir);
}

/* For clients */

/* Is this of the type, and ours? 0; -ENOENT: nothing is there; -EACCES, -EINVAL with a text. */
static int rundir_check(const char *path, mode_t type, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_sys(err, errno == ENOTDIR ? -ENOENT : -errno, "%s", path);
	if ((st.st_mode & S_IFMT) != type)
		return err_set(err, -EINVAL, "%s: not a %s", path,
			       type == S_IFSOCK ? "socket" : "folder");
	/* Root may talk to anybody. */
	if (st.st_uid != geteuid() && geteuid() != 0)
		return err_set(err, -EACCES, "%s: belongs to uid %u, and we are uid %u", path,
			       st.st_uid, geteuid());
	return 0;
}

static int rundir_take_named(const char *path, char **ret_path, struct err *err)
{
	int r;

	if (strlen(path) >= RUNDIR_ADDRESS_MAX)
		r = err_set(err, -ENAMETOOLONG, "%s: too long for a socket's address", path);
	else
		r = rundir_check(path, S_IFSOCK, err);
	if (r < 0)
		return err_prefix(err, r, RUNDIR_SOCKET_VARIABLE);
	*ret_path = strdup(path);
	return *ret_path ? 0 : err_sys(err, -ENOMEM, RUNDIR_SOCKET_VARIABLE);
}

static int rundir_take_found(const char *rundir, char **ret_path, struct err *err)
{
	cleanup_free char *path = NULL;
	int r = rundir_check_length(rundir, err);

	if (r == 0)
		r = rundir_check(rundir, S_IFDIR, err);
	if (r < 0)
		return r;
	path = rundir_socket(rundir);
	r = path ? rundir_check(path, S_IFSOCK, err) : err_sys(err, -ENOMEM, "%s", rundir);
	if (r == 0)
		*ret_path = steal_ptr(path);
	return r;
}

int rundir_find_socket(const char *workspace, char **ret_path, struct err *err)
{
	const char *named = getenv(RUNDIR_SOCKET_VARIABLE);
	int result = -ENOENT;

	if (named && *named)
		return rundir_take_named(named, ret_path, err);
	for (size_t i = 0; i < ARRAY_LEN(rundir_bases); i++) {
		cleanup_free char *rundir = NULL;
		struct err why = { .text = "" };
		int r = rundir_path(workspace, i, &rundir);

		if (r == 0)
			r = rundir_take_found(rundir, ret_path, &why);
		if (r == 0 || r == -ENOMEM)
			return r == 0 ? 0 : err_sys(err, r, "cannot look for the session loop");
		/* What is there, but not to be used, says more than what is not there. */
		if (r < 0 && r != -ENOENT && result == -ENOENT)
			result = err_set(err, r, "%s", why.text);
	}
	if (result != -ENOENT)
		return result;
	return err_set(err, -ENOENT,
		       "no session loop serves %s: start agent-runner there, or name its socket in "
		       "%s",
		       workspace, RUNDIR_SOCKET_VARIABLE);
}
