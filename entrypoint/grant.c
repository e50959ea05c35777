/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/hidden.h"
#include "entrypoint/landlock.h"
#include "entrypoint/policy-files.h"

#define GRANT_READ   (LANDLOCK_READ_DIR | LANDLOCK_READ_FILE | LANDLOCK_EXECUTE)
#define GRANT_UPDATE (GRANT_READ | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE)

/* Devices are never made: no role has the capability, and a whiteout is a file system's affair. */
static const uint64_t grant_rights[] = {
	[POLICY_ACCESS_NONE] = 0,
	[POLICY_ACCESS_LIST] = LANDLOCK_READ_DIR,
	[POLICY_ACCESS_READ] = GRANT_READ,
	[POLICY_ACCESS_UPDATE] = GRANT_UPDATE,
	[POLICY_ACCESS_DEVICE] = GRANT_UPDATE | LANDLOCK_IOCTL_DEV,
	[POLICY_ACCESS_WRITE] = GRANT_UPDATE | LANDLOCK_REMOVE_DIR | LANDLOCK_REMOVE_FILE |
				LANDLOCK_MAKE_DIR | LANDLOCK_MAKE_REG | LANDLOCK_MAKE_SOCK |
				LANDLOCK_MAKE_FIFO | LANDLOCK_MAKE_SYM | LANDLOCK_REFER,
};
TABLE_COVERS(grant_rights, POLICY_ACCESS_COUNT);

struct grant {
	const struct grant_request *request;
	int ruleset;
	uint64_t known; /* rights of this kernel */
	bool has_session;
	struct hidden hidden;
};

/* Files */

static int grant_allow(const struct grant *grant, int file, const struct stat *st, uint64_t rights)
{
	int r;

	rights &= grant->known;
	if (!S_ISDIR(st->st_mode))
		rights &= LANDLOCK_FILE_RIGHTS;
	if (!rights)
		return 0;
	r = landlock_allow_file(grant->ruleset, file, rights);
	/* What lies in no file system (a pipe, a socket) cannot be granted, and needs it not. */
	return r == -EBADFD || r == -EINVAL ? 0 : r;
}

static int grant_tree(const struct grant *grant, int file, uint64_t rights);

/* What cannot be opened cannot be granted, and not be reached either. */
static int grant_entry(const struct grant *grant, int folder, const char *name, bool has_names,
		       uint64_t rights)
{
	/* A link has no rights: what it leads to has those of its own place. */
	cleanup_close int file = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0 || S_ISLNK(st.st_mode) ||
	    hidden_is_withheld(&grant->hidden, &st, name, has_names))
		return 0;
	/* Who gives a folder in which the workspace lies does not mean what is in there. */
	if (hidden_is_workspace(&grant->hidden, &st))
		rights &= GRANT_READ;
	return grant_tree(grant, file, rights);
}

/* Gives the rights to what is in the folder and begins so, but not to what is hidden in it. */
static int grant_entries(const struct grant *grant, int folder, const char *prefix, bool has_names,
			 uint64_t rights)
{
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *entry;
	int r = 0, fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			r = grant_entry(grant, folder, entry->d_name, has_names, rights);
	return r;
}

/*
 * The rights on all below it, split where something is hidden below it. Each level of the split is
 * a folder above that, so it ends there.
 */
static int grant_tree(const struct grant *grant, int file, uint64_t rights)
{
	struct stat st;

	if (fstat(file, &st) < 0)
		return -errno;
	/* To see names, alone, is harmless below it, too. */
	if (!hidden_is_above(&grant->hidden, &st) || (rights & ~LANDLOCK_READ_DIR) == 0)
		return grant_allow(grant, file, &st, rights);
	return grant_entries(grant, file, "", hidden_has_names(&grant->hidden, &st), rights);
}

int grant_open(int folder, const char *path)
{
	cleanup_free char *copy = strdup(path);
	cleanup_close int fd = -1;
	char *rest = copy, *name;

	if (!copy)
		return -ENOMEM;
	fd = path[0] == '/' ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
			    : openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && (name = strsep(&rest, "/")) != NULL) {
		struct stat st;
		int next;

		if (*name == '\0')
			continue;
		next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		close(fd);
		fd = next;
		if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode))
			return -ELOOP;
	}
	return fd < 0 ? -errno : steal_fd(&fd);
}

/* Rows */

bool grant_has_session(const struct grant_request *request)
{
	return (request->sandbox && request->sandbox->is_session) ||
	       hidden_has_session(request->workspace);
}

static bool grant_applies(const struct grant *grant, const struct policy_file *row)
{
	const struct sandbox *sandbox = grant->request->sandbox;
	bool reads_named = sandbox && sandbox->read.is_given;

	if (!(row->roles & POLICY_ROLE_BIT(grant->request->role)) ||
	    row->access == POLICY_ACCESS_NONE)
		return false;
	switch (row->when) {
	case POLICY_WHEN_READ_ALL:
		return !reads_named;
	case POLICY_WHEN_READ_NAMED:
		return reads_named;
	case POLICY_WHEN_NAMESPACES:
		return sandbox && sandbox->allows_namespaces;
	case POLICY_WHEN_NO_SESSION:
		return !grant->has_session;
	case POLICY_WHEN_ALWAYS:
	case POLICY_WHEN_COUNT:
		break;
	}
	return true;
}

static int grant_open_variable(const char *name)
{
	const char *value = getenv(name);
	cleanup_close int fd = -1;
	struct stat st, root;

	if (!value || value[0] != '/')
		return -ENOENT;
	fd = grant_open(-1, value);
	if (fd < 0)
		return fd;
	/* "/" as HOME is a runtime's word for none, however it is written. */
	if (fstat(fd, &st) < 0 || stat("/", &root) < 0 ||
	    (st.st_dev == root.st_dev && st.st_ino == root.st_ino))
		return -ENOENT;
	return steal_fd(&fd);
}

/* Of what is looked for in PATH; NULL: it is not there. The caller's heap string. */
static char *grant_find_program(const char *program)
{
	const char *folders = strchr(program, '/') ? "" : getenv("PATH");

	while (folders) {
		size_t len = strcspn(folders, ":");
		char path[PATH_MAX], *real;

		(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)len, folders,
			       len > 0 ? "/" : "", program);
		real = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
		if (real)
			return real;
		folders = folders[len] ? folders + len + 1 : NULL;
	}
	return NULL;
}

/* The folder of a program: what belongs to it lies beside it. */
static int grant_open_program(const char *program)
{
	cleanup_free char *real = program ? grant_find_program(program) : NULL;
	char *slash = real ? strrchr(real, '/') : NULL;

	if (!slash)
		return -ENOENT;
	/* Of one in the root itself, the file alone. */
	if (slash != real)
		*slash = '\0';
	return grant_open(-1, real);
}

/* What a row names, as O_PATH; or -errno: it is not there. */
static int grant_open_row(const struct grant *grant, const struct policy_file *row)
{
	cleanup_close int workspace = -1;
	int fd = -1;

	switch (row->base) {
	case POLICY_BASE_ROOT:
		/* No agent writes in the folders where these lie: a link is the image's. */
		fd = open(row->name, O_PATH | O_CLOEXEC);
		break;
	case POLICY_BASE_WORKSPACE:
		workspace = open(grant->request->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return workspace < 0 ? -errno : grant_open(workspace, row->name);
	case POLICY_BASE_VARIABLE:
		return grant_open_variable(row->name);
	case POLICY_BASE_SELF:
		fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
		break;
	case POLICY_BASE_PROGRAM:
		return grant_open_program(grant->request->program);
	case POLICY_BASE_COUNT:
		break;
	}
	return fd < 0 ? -errno : fd;
}

/* What is not there, or cannot be reached, needs no right. */
static int grant_row(const struct grant *grant, const struct policy_file *row)
{
	cleanup_close int file = grant_open_row(grant, row);
	uint64_t rights = grant_rights[row->access];

	struct stat st;

	if (file < 0)
		return 0;
	/* HOME may be the workspace itself: of that, only what programs keep in a HOME. */
	if (row->base == POLICY_BASE_VARIABLE && fstat(file, &st) == 0 &&
	    hidden_is_workspace(&grant->hidden, &st))
		return grant_entries(grant, file, ".", true, rights);
	return row->each ? grant_entries(grant, file, "", false, rights)
			 : grant_tree(grant, file, rights);
}

static int grant_rows(const struct grant *grant)
{
	const struct policy_file *rows;
	size_t n;
	int r = 0;

	rows = policy_files(&n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (grant_applies(grant, &rows[i]))
			r = grant_row(grant, &rows[i]);
	return r;
}

/* The sandbox */

static int grant_paths(const struct grant *grant, const struct sandbox_paths *paths,
		       uint64_t rights)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < paths->count; i++) {
		cleanup_close int file = grant_open(-1, paths->items[i]);

		if (file >= 0)
			r = grant_tree(grant, file, rights);
	}
	return r;
}

static int grant_ports(const struct grant *grant, const struct sandbox_ports *ports, uint64_t right)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ports->count; i++)
		r = landlock_allow_port(grant->ruleset, ports->items[i], right);
	return r;
}

static int grant_sandbox(const struct grant *grant)
{
	const struct sandbox *s = grant->request->sandbox;
	/* What the host names may be a device. */
	int r = grant_paths(grant, &s->write,
			    grant_rights[POLICY_ACCESS_WRITE] | LANDLOCK_IOCTL_DEV);

	/* The runner reads everything, and opens no connection: what is narrowed is the agent. */
	if (r != 0 || grant->request->role == POLICY_ROLE_RUNNER)
		return r;
	r = grant_paths(grant, &s->read, grant_rights[POLICY_ACCESS_READ]);
	if (r == 0)
		r = grant_ports(grant, &s->connect, LANDLOCK_CONNECT_TCP);
	if (r == 0)
		r = grant_ports(grant, &s->bind, LANDLOCK_BIND_TCP);
	return r;
}

static uint64_t grant_tcp(const struct grant *grant)
{
	const struct sandbox *s = grant->request->sandbox;
	uint64_t tcp = 0;

	if (!s)
		return 0;
	if (s->connect.is_given)
		tcp |= LANDLOCK_CONNECT_TCP;
	if (s->bind.is_given)
		tcp |= LANDLOCK_BIND_TCP;
	return tcp;
}

/* The ruleset that the kernel can have for it: a descriptor of the caller's, or -errno. */
static int grant_start(struct grant *grant, struct err *err)
{
	struct landlock_spec spec = { .version = landlock_version(), .tcp = grant_tcp(grant) };

	if (spec.version == 0)
		return err_set(err, -ENOSYS,
			       "the kernel has no Landlock, or the container's seccomp profile "
			       "denies it");
	if (spec.tcp && spec.version < LANDLOCK_VERSION_TCP)
		return err_set(err, -EOPNOTSUPP,
			       "the kernel's Landlock, version %d, cannot limit TCP ports (%d can)",
			       spec.version, LANDLOCK_VERSION_TCP);
	/* The runner asks, so that it can be said; it opens no connection that could be limited. */
	if (grant->request->role == POLICY_ROLE_RUNNER)
		spec.tcp = 0;
	grant->known = landlock_rights(spec.version);
	return landlock_open(&spec, err);
}

int grant_enforce(const struct grant_request *request, struct err *err)
{
	cleanup_free struct grant *grant = calloc(1, sizeof(*grant));
	cleanup_close int ruleset = -1;
	int r;

	if (!grant)
		return err_sys(err, -ENOMEM, "Landlock");
	grant->request = request;
	ruleset = grant_start(grant, err);
	if (ruleset < 0)
		return ruleset;
	grant->ruleset = ruleset;
	grant->has_session = grant_has_session(request);
	r = hidden_find(&grant->hidden, request->role, request->workspace, grant->has_session,
			NULL);
	if (r == 0)
		r = grant_rows(grant);
	if (r == 0 && request->sandbox)
		r = grant_sandbox(grant);
	if (r < 0)
		return err_sys(err, r, "Landlock rules for %s", request->workspace);
	return landlock_enforce(ruleset, err);
}
