/* SPDX-License-Identifier: MIT */
#include "entrypoint/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/mend.h"
#include "common/table.h"
#include "entrypoint/probe.h"

#define WORKSPACE_PATH_MAX 4096

/* Exit code for what the file system answered. */
static int workspace_exit_code(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return EXIT_CODE_NO_PERMISSION;
	case EROFS:
	case ENOSPC:
	case EDQUOT:
		return EXIT_CODE_CANNOT_CREATE;
	case EIO:
	case ESTALE:
	case ENOTCONN:
	case EHOSTDOWN:
	case ETIMEDOUT:
		/* The mount's other end is away: the host may remount it. */
		return EXIT_CODE_TEMPORARY;
	default:
		return EXIT_CODE_NO_WORKSPACE;
	}
}

/* The line for a path that the user who runs the checks cannot use as it has to. */
static int workspace_denied(const char *path, const char *wanted, int error, struct err *err)
{
	int code = workspace_exit_code(error);

	if (error == EROFS)
		return err_set(err, code,
			       "%s is mounted read-only: mount it read-write (uid %u:%u has to "
			       "write there)",
			       path, geteuid(), getegid());
	if (code == EXIT_CODE_NO_PERMISSION)
		return err_set(err, code,
			       "%s cannot be %s by uid %u:%u: give it to that user, start the "
			       "container with --user and the owner's uid, or as root",
			       path, wanted, geteuid(), getegid());
	return err_set(err, code, "%s cannot be %s by uid %u:%u: %s", path, wanted, geteuid(),
		       getegid(), strerror(error));
}

static int workspace_check_folder(const struct workspace_spec *spec, struct err *err)
{
	struct stat st;

	if (stat(spec->path, &st) < 0) {
		if (errno != ENOENT)
			return workspace_denied(spec->path, "reached", errno, err);
		return err_set(err, EXIT_CODE_NO_WORKSPACE,
			       "%s does not exist (looked for as uid %u): mount a folder there, or "
			       "name another one with --workspace",
			       spec->path, geteuid());
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, EXIT_CODE_NO_WORKSPACE,
			       "%s is not a folder (seen as uid %u): mount a folder there, or name "
			       "another one with --workspace",
			       spec->path, geteuid());
	return 0;
}

/*
 * 1, 0 or -ENOSYS. Field 5 of a line of mountinfo is the mount point; the kernel escapes blanks in
 * it, and what we look for has none.
 */
static int workspace_in_mountinfo(const char *path)
{
	cleanup_fclose FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t size = 0;

	if (!file)
		return -ENOSYS;
	while (getline(&line, &size, file) > 0) {
		char *rest = line, *field = NULL;

		for (int i = 0; i < 5; i++)
			field = strsep(&rest, " ");
		if (field && strcmp(field, path) == 0)
			return 1;
	}
	return 0;
}

int workspace_is_mount(const char *path)
{
	char parent[WORKSPACE_PATH_MAX];
	struct stat own, above;
	struct statx stx;
	int r;

	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0 &&
	    (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
	/* Linux before 5.8, gVisor */
	r = workspace_in_mountinfo(path);
	if (r >= 0)
		return r;
	/* No /proc: this misses a folder mounted from the same file system. */
	(void)snprintf(parent, sizeof(parent), "%s/..", path);
	if (stat(path, &own) < 0 || stat(parent, &above) < 0)
		return -errno;
	return own.st_dev != above.st_dev || own.st_ino == above.st_ino;
}

static int workspace_check_mount(const struct workspace_spec *spec, struct err *err)
{
	/* Another folder was named by somebody who knows what it is. */
	if (!spec->check_mount || strcmp(spec->path, WORKSPACE_DEFAULT) != 0)
		return 0;
	if (workspace_is_mount(spec->path) != 0)
		return 0;
	return err_set(err, EXIT_CODE_NO_WORKSPACE,
		       "%s is not a mount (seen as uid %u): what is written there would be lost "
		       "with the container; mount a folder there (-v FOLDER:%s), or go on with "
		       "--no-mount-check",
		       spec->path, geteuid(), spec->path);
}

static int workspace_check_access(const struct workspace_spec *spec, struct err *err)
{
	static const struct {
		int mode;
		const char *wanted;
	} wants[] = {
		{ X_OK, "entered" },
		{ R_OK, "listed" },
		{ W_OK, "written" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wants); i++)
		if (faccessat(AT_FDCWD, spec->path, wants[i].mode, AT_EACCESS) < 0)
			return workspace_denied(spec->path, wants[i].wanted, errno, err);
	return 0;
}

/*
 * A missing file is no error: the host makes inbound.db any moment, and outbound.db is ours to
 * make. What is inside is looked at by the session loop.
 */
static int workspace_check_databases(const struct workspace_spec *spec, struct err *err)
{
	static const struct {
		const char *name;
		int mode;
		const char *wanted;
	} files[] = {
		{ "inbound.db", R_OK, "read" },
		{ "outbound.db", R_OK | W_OK, "read and written" },
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[WORKSPACE_PATH_MAX];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/%s", spec->path, files[i].name);
		if (lstat(path, &st) < 0) {
			if (errno == ENOENT)
				continue;
			return workspace_denied(path, files[i].wanted, errno, err);
		}
		/* An agent may have put it there, to a place that it may write. */
		if (S_ISLNK(st.st_mode))
			return err_set(err, EXIT_CODE_NO_WORKSPACE,
				       "%s is a link (seen as uid %u): put the file itself there",
				       path, geteuid());
		if (!S_ISREG(st.st_mode))
			return err_set(err, EXIT_CODE_NO_WORKSPACE,
				       "%s is not a regular file (seen as uid %u): remove it, or "
				       "mount the session's folder",
				       path, geteuid());
		if (faccessat(AT_FDCWD, path, files[i].mode, AT_EACCESS) < 0)
			return workspace_denied(path, files[i].wanted, errno, err);
	}
	return 0;
}

static int workspace_check_space(const struct workspace_spec *spec, struct err *err)
{
	struct statvfs fs;

	if (statvfs(spec->path, &fs) < 0)
		return workspace_denied(spec->path, "asked for its free space", errno, err);
	/* Some file systems (9p, FUSE, btrfs for inodes) don't count: totals of 0 mean unknown. */
	if (fs.f_blocks > 0 && fs.f_bavail * fs.f_frsize < WORKSPACE_FREE_BYTES)
		return err_set(err, EXIT_CODE_CANNOT_CREATE,
			       "%s has no space left for uid %u (%llu KiB): free some; at least %d "
			       "KiB are needed",
			       spec->path, geteuid(),
			       (unsigned long long)(fs.f_bavail * fs.f_frsize / 1024),
			       WORKSPACE_FREE_BYTES / 1024);
	if (fs.f_files > 0 && fs.f_favail < WORKSPACE_FREE_INODES)
		return err_set(err, EXIT_CODE_CANNOT_CREATE,
			       "%s has no inodes left for uid %u (%llu): remove files; at least %d "
			       "are needed",
			       spec->path, geteuid(), (unsigned long long)fs.f_favail,
			       WORKSPACE_FREE_INODES);
	return 0;
}

static const struct {
	bool is_sessions; /* of session mode only */
	int (*run)(const struct workspace_spec *spec, struct err *err);
} workspace_checks[] = {
	{ false, workspace_check_folder }, { true, workspace_check_mount },
	{ false, workspace_check_access }, { true, workspace_check_databases },
	{ true, workspace_check_space },
};

struct workspace_run {
	const struct workspace_spec *spec;
};

static int workspace_run_checks(void *data, struct err *err)
{
	const struct workspace_spec *spec = ((struct workspace_run *)data)->spec;

	if (spec->mends) {
		struct mend nothing_seen = { .seen = { 0 } };

		(void)mend_workspace(spec->path, &nothing_seen);
		(void)mend_workspace(spec->path, NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(workspace_checks); i++) {
		int r;

		if (workspace_checks[i].is_sessions && !spec->is_session)
			continue;
		r = workspace_checks[i].run(spec, err);
		if (r != 0)
			return r;
	}
	return 0;
}

int workspace_check(const struct workspace_spec *spec, struct err *err)
{
	struct workspace_run run = { .spec = spec };
	int r = probe_run(spec->user, workspace_run_checks, &run, err);

	if (r >= 0)
		return r;
	return r == -EPERM || r == -EINVAL ? EXIT_CODE_NO_PERMISSION : EXIT_CODE_TEMPORARY;
}
