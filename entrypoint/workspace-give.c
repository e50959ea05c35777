/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/workspace.h"

/*
 * Root's chown is a weapon: a workspace that is / or /etc by mistake, a link that the agent left
 * behind. So everything here goes through descriptors (O_PATH and O_NOFOLLOW: what was looked at is
 * what is given), changes only folders and regular files, and rather too few than too many.
 */

/* Deeper folders stay as they are; each level holds a descriptor. */
#define GIVE_DEPTH_MAX 128

/* The kernel allows 340 lines in a uid_map. */
#define GIVE_MAP_MAX (64 * 1024)

/* The entries known by name. The host's own (inbound.db, inbox) stay the host's. */
static const char *const give_known[] = {
	".heartbeat", "agent", "group", "ipc", "outbound.db", "outbound.db-journal", "outbox",
};

/* Folders that no workspace is: these themselves, whatever name or mount leads to them. */
static const char *const give_system[] = {
	"/",	    "/bin",	"/boot",      "/dev",	    "/etc",  "/home", "/lib",
	"/lib64",   "/media",	"/mnt",	      "/opt",	    "/proc", "/root", "/run",
	"/sbin",    "/srv",	"/sys",	      "/tmp",	    "/usr",  "/var",  "/var/lib",
	"/var/log", "/var/tmp", "/var/cache", "/var/spool",
};

/* Folders that no workspace lies in. */
static const char *const give_system_trees[] = {
	"/bin/",   "/boot/", "/dev/",  "/etc/", "/lib/",
	"/lib64/", "/proc/", "/sbin/", "/sys/", "/usr/",
};

/*
 * The host's system folders, mounted here by mistake (-v /:/workspace), are known by what is in
 * them. All the names of a row have to be there.
 */
static const struct {
	const char *names[4];
	const char *what;
} give_signs[] = {
	{ { "etc/passwd", "usr/bin" }, "the root of a system" },
	{ { "passwd", "group", "hosts" }, "a system's /etc" },
	{ { "bin", "sbin", "lib", "share" }, "a system's /usr" },
	{ { "cache", "lib", "log", "spool" }, "a system's /var" },
	{ { ".bashrc", ".profile" }, "somebody's home folder" },
};

struct give {
	const struct privileges_user *user;
	/*
	 * In a rootless container uid 0 is the person who started it. What is theirs is shared
	 * through its group instead of given away: they would be locked out of their own folder.
	 */
	bool is_rootless;
	size_t given, kept;
	struct err first; /* of those that were kept */
};

/* One line tells of all of them: a tree can have thousands. */
static void give_keep(struct give *g, const char *name, const struct stat *st, const char *why)
{
	if (g->kept++ == 0)
		err_set(&g->first, 0, "%s stays with uid %u: %s", name, st->st_uid, why);
}

/* NULL: it may be given. */
static const char *give_sign(int fd)
{
	for (size_t i = 0; i < ARRAY_LEN(give_signs); i++) {
		size_t found = 0, wanted = 0;

		for (size_t j = 0; j < ARRAY_LEN(give_signs[i].names); j++) {
			const char *name = give_signs[i].names[j];

			if (!name)
				break;
			wanted++;
			found += faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		}
		if (found == wanted)
			return give_signs[i].what;
	}
	return NULL;
}

static const char *give_refusal(int fd, const struct stat *st)
{
	char link[32], path[PATH_MAX];
	ssize_t n;

	if (!S_ISDIR(st->st_mode))
		return "not a folder";
	if (st->st_mode & S_ISVTX)
		return "shared by all users (sticky)";
	for (size_t i = 0; i < ARRAY_LEN(give_system); i++) {
		struct stat other;

		if (stat(give_system[i], &other) == 0 && other.st_dev == st->st_dev &&
		    other.st_ino == st->st_ino)
			return "a system folder";
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(give_system_trees); i++)
		if (strncmp(path, give_system_trees[i], strlen(give_system_trees[i])) == 0)
			return "inside a system folder";
	return give_sign(fd);
}

static bool give_is_rootless(void)
{
	cleanup_free char *map = NULL;
	unsigned int inside, outside;
	size_t len;

	/* The first line maps uid 0; without the file there are no user namespaces. */
	if (fd_read_file("/proc/self/uid_map", GIVE_MAP_MAX, &map, &len, NULL) < 0)
		return false;
	return sscanf(map, "%u %u", &inside, &outside) == 2 && inside == 0 && outside != 0;
}

/* 0 or -1 with errno. The owner stays, the user's group may do what the owner may. */
static int give_share(const struct give *g, int fd, const struct stat *st)
{
	/* A file's set-user-ID bit is lost, as with every chown. */
	mode_t mode = (st->st_mode & (S_ISDIR(st->st_mode) ? 07777 : 0777)) |
		      (st->st_mode & S_IRWXU) >> 3;
	char path[32];

	if (fchownat(fd, "", (uid_t)-1, g->user->gid, AT_EMPTY_PATH) < 0)
		return -1;
	/* fchmod(2) refuses O_PATH. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

static bool give_is_shared(const struct give *g, const struct stat *st)
{
	mode_t owners = (st->st_mode & S_IRWXU) >> 3;

	return st->st_gid == g->user->gid && (st->st_mode & owners) == owners;
}

/* Gives what fd stands for, if it is a folder or a file with one name. */
static void give_one(struct give *g, int fd, const char *name, const struct stat *st)
{
	bool shares = g->is_rootless && st->st_uid == 0;

	if (shares ? give_is_shared(g, st)
		   : st->st_uid == g->user->uid && st->st_gid == g->user->gid)
		return;
	/*
	 * A file with a second name may be anything on the same file system: its other name may
	 * stand where the agent had no rights.
	 */
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		give_keep(g, name, st, "neither a folder nor a regular file");
	else if (S_ISREG(st->st_mode) && st->st_nlink > 1)
		give_keep(g, name, st, "the file has several names");
	else if ((shares ? give_share(g, fd, st)
			 : fchownat(fd, "", g->user->uid, g->user->gid, AT_EMPTY_PATH)) == 0)
		g->given++;
	else if (errno != EROFS) /* A read-only mount is meant to stay. */
		give_keep(g, name, st, strerror(errno));
}

/* Another mount than the folder it was found in. */
static bool give_is_mount(int fd, const struct stat *st, const struct stat *above)
{
	struct statx stx;

	if (st->st_dev != above->st_dev)
		return true;
	return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) == 0 &&
	       (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static void give_below(struct give *g, int fd, const struct stat *above, int depth);

static void give_entry(struct give *g, int dir, const char *name, const struct stat *above,
		       int depth)
{
	cleanup_close int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || S_ISLNK(st.st_mode) || give_is_mount(fd, &st, above))
		return;
	/* What is below first: afterwards root may be unable to look, without CAP_DAC_OVERRIDE. */
	if (S_ISDIR(st.st_mode))
		give_below(g, fd, &st, depth + 1);
	give_one(g, fd, name, &st);
}

static void give_below(struct give *g, int fd, const struct stat *above, int depth)
{
	cleanup_close int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *entry;

	if (own < 0)
		return;
	if (depth > GIVE_DEPTH_MAX) {
		log_warning("folders more than %d deep stay with their owners", GIVE_DEPTH_MAX);
		return;
	}
	dir = fdopendir(own);
	if (!dir)
		return;
	(void)steal_fd(&own); /* it is the DIR's */
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			give_entry(g, dirfd(dir), entry->d_name, above, depth);
}

/* An entry known by name, which may be a mount of its own. */
static void give_known_entry(struct give *g, int workspace, const char *name, bool recursive)
{
	cleanup_close int fd = openat(workspace, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const char *refusal;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		refusal = give_refusal(fd, &st);
		if (refusal) {
			give_keep(g, name, &st, refusal);
			return;
		}
		if (recursive)
			give_below(g, fd, &st, 0);
	}
	give_one(g, fd, name, &st);
}

int workspace_give(const char *path, const struct privileges_user *user, bool recursive,
		   struct err *err)
{
	cleanup_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct give g = { .user = user, .is_rootless = give_is_rootless() };
	const char *refusal;
	struct stat st;

	/* That there is no workspace is for the checks to say. */
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	refusal = give_refusal(fd, &st);
	if (refusal && recursive)
		return err_set(err, EXIT_CODE_NO_PERMISSION,
			       "--chown=recursive: %s: %s: its files are not given away", path,
			       refusal);
	if (refusal) {
		log_warning("%s stays with uid %u: %s", path, st.st_uid, refusal);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(give_known); i++)
		give_known_entry(&g, fd, give_known[i], recursive);
	if (recursive)
		give_below(&g, fd, &st, 0);
	give_one(&g, fd, path, &st);
	if (g.kept == 1)
		log_warning("%s: %s", path, g.first.text);
	else if (g.kept > 1)
		log_warning("%s: %s; and %zu more", path, g.first.text, g.kept - 1);
	if (g.given > 0)
		log_info("%s %zu of %s %s %u:%u", g.is_rootless ? "shared" : "gave", g.given, path,
			 g.is_rootless ? "with" : "to", user->uid, user->gid);
	return 0;
}
