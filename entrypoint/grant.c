/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/landlock.h"
#include "entrypoint/policy-files.h"

/* Folders from what is hidden up to the root. */
#define GRANT_ABOVE_MAX	   64
#define GRANT_WITHHELD_MAX 4

#define GRANT_READ	   (LANDLOCK_READ_DIR | LANDLOCK_READ_FILE | LANDLOCK_EXECUTE)
#define GRANT_UPDATE	   (GRANT_READ | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE)

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

struct grant_id {
	dev_t dev;
	ino_t ino;
};

struct grant {
	enum policy_role role;
	const char *workspace;
	const struct sandbox *sandbox;
	int ruleset;
	uint64_t known; /* rights of this kernel */
	/*
	 * The folders in which, or below which, something is hidden: told by what they are, not by
	 * their names, so that no link and no second mount leads around it. None for a role from
	 * which nothing is hidden.
	 */
	struct grant_id above[GRANT_ABOVE_MAX];
	size_t n_above;
	struct grant_id home; /* of the session's files; all zero: there is no session */
	struct grant_id withheld[GRANT_WITHHELD_MAX]; /* what rows without any right name */
	size_t n_withheld;
};

static bool grant_is(const struct grant_id *id, const struct stat *st)
{
	return id->dev == st->st_dev && id->ino == st->st_ino;
}

static bool grant_is_among(const struct grant_id *ids, size_t count, const struct stat *st)
{
	for (size_t i = 0; i < count; i++)
		if (grant_is(&ids[i], st))
			return true;
	return false;
}

/* Does something that is hidden lie in this folder, or below it? */
static bool grant_is_above(const struct grant *grant, const struct stat *st)
{
	return grant_is_among(grant->above, grant->n_above, st);
}

/* Notes this folder and all above it. 0 or -errno. */
static int grant_climb(struct grant *grant, int folder)
{
	cleanup_close int fd = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (;;) {
		struct stat st;
		int parent;

		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		/* The root is its own parent. */
		if (grant_is_above(grant, &st))
			return 0;
		if (grant->n_above == GRANT_ABOVE_MAX)
			return -ELOOP;
		grant->above[grant->n_above++] = (struct grant_id){ st.st_dev, st.st_ino };
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = parent;
	}
}

static int grant_find_home(struct grant *grant)
{
	cleanup_close int fd = open(grant->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	/* No workspace, nothing in it to hide. */
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	grant->home = (struct grant_id){ st.st_dev, st.st_ino };
	return grant_climb(grant, fd);
}

static int grant_withhold(struct grant *grant, const char *path)
{
	cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int parent = fd < 0 ? -1 : openat(fd, "..", O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return 0;
	if (parent < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (grant->n_withheld == GRANT_WITHHELD_MAX)
		return -E2BIG;
	grant->withheld[grant->n_withheld++] = (struct grant_id){ st.st_dev, st.st_ino };
	return grant_climb(grant, parent);
}

static bool grant_is_hidden(const char *name)
{
	const char *const *hidden;
	size_t n;

	hidden = policy_hidden(&n);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(hidden[i]);

		if (strncmp(name, hidden[i], len) == 0 && (name[len] == '\0' || name[len] == '-'))
			return true;
	}
	return false;
}

static int grant_allow(const struct grant *grant, int file, const struct stat *st, uint64_t rights)
{
	rights &= grant->known;
	if (!S_ISDIR(st->st_mode))
		rights &= LANDLOCK_FILE_RIGHTS;
	return rights ? landlock_allow_file(grant->ruleset, file, rights) : 0;
}

static int grant_tree(const struct grant *grant, int file, uint64_t rights);

/* What cannot be opened cannot be granted, and not be reached either. */
static int grant_entry(const struct grant *grant, int folder, const char *name, uint64_t rights)
{
	/* A link has no rights: what it leads to has those of its own place. */
	cleanup_close int file = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0 || S_ISLNK(st.st_mode) ||
	    grant_is_among(grant->withheld, grant->n_withheld, &st))
		return 0;
	return grant_tree(grant, file, rights);
}

/* Gives the rights to what is in the folder, but not to what is hidden in it. */
static int grant_entries(const struct grant *grant, int folder, bool is_workspace, uint64_t rights)
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
		    !(is_workspace && grant_is_hidden(entry->d_name)))
			r = grant_entry(grant, folder, entry->d_name, rights);
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
	if (!grant_is_above(grant, &st))
		return grant_allow(grant, file, &st, rights);
	/* To see names, alone, is harmless below it, too. */
	if ((rights & ~LANDLOCK_READ_DIR) == 0)
		return grant_allow(grant, file, &st, rights);
	return grant_entries(grant, file, grant_is(&grant->home, &st), rights);
}

static int grant_path(const struct grant *grant, const char *path, bool each, uint64_t rights)
{
	cleanup_close int file = open(path, O_PATH | O_CLOEXEC);

	if (file < 0)
		return 0;
	return each ? grant_entries(grant, file, false, rights) : grant_tree(grant, file, rights);
}

/* Rows */

static bool grant_exists(const struct grant *grant, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", grant->workspace, name) < (int)sizeof(path) &&
	       stat(path, &st) == 0;
}

static bool grant_has_session(const struct grant *grant)
{
	const char *const *hidden;
	size_t n;

	hidden = policy_hidden(&n);
	for (size_t i = 0; i < n; i++)
		if (grant_exists(grant, hidden[i]))
			return true;
	return grant_exists(grant, "agent") || grant_exists(grant, "group");
}

/* What is hidden from the role, and where. 0 or -errno. */
static int grant_find_hidden(struct grant *grant)
{
	const struct policy_file *rows;
	size_t n;
	int r = 0;

	if (grant->role == POLICY_ROLE_AGENT && grant_has_session(grant))
		r = grant_find_home(grant);
	rows = policy_files(&n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (rows[i].access == POLICY_ACCESS_NONE &&
		    rows[i].roles & POLICY_ROLE_BIT(grant->role))
			r = grant_withhold(grant, rows[i].name);
	return r;
}

static bool grant_applies(const struct grant *grant, const struct policy_file *row)
{
	bool reads_named = grant->sandbox && grant->sandbox->read.is_given;

	if (!(row->roles & POLICY_ROLE_BIT(grant->role)) || row->access == POLICY_ACCESS_NONE)
		return false;
	switch (row->when) {
	case POLICY_WHEN_READ_ALL:
		return !reads_named;
	case POLICY_WHEN_READ_NAMED:
		return reads_named;
	case POLICY_WHEN_NAMESPACES:
		return grant->sandbox && grant->sandbox->allows_namespaces;
	case POLICY_WHEN_NO_SESSION:
		return !grant_has_session(grant);
	case POLICY_WHEN_ALWAYS:
	case POLICY_WHEN_COUNT:
		break;
	}
	return true;
}

static int grant_row(const struct grant *grant, const struct policy_file *row)
{
	uint64_t rights = grant_rights[row->access];
	char path[PATH_MAX];
	const char *value;

	switch (row->base) {
	case POLICY_BASE_ROOT:
		return grant_path(grant, row->name, row->each, rights);
	case POLICY_BASE_WORKSPACE:
		if (snprintf(path, sizeof(path), "%s/%s", grant->workspace, row->name) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		return grant_path(grant, path, row->each, rights);
	case POLICY_BASE_VARIABLE:
		value = getenv(row->name);
		/* "/" as HOME is a runtime's word for none. */
		if (!value || value[0] != '/' || value[1] == '\0')
			return 0;
		return grant_path(grant, value, row->each, rights);
	}
	return -EINVAL;
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

	for (size_t i = 0; r == 0 && i < paths->count; i++)
		r = grant_path(grant, paths->items[i], false, rights);
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
	const struct sandbox *s = grant->sandbox;
	/* What the host names may be a device. */
	int r = grant_paths(grant, &s->write,
			    grant_rights[POLICY_ACCESS_WRITE] | LANDLOCK_IOCTL_DEV);

	/* The runner reads everything, and opens no connection: what is narrowed is the agent. */
	if (r != 0 || grant->role == POLICY_ROLE_RUNNER)
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
	const struct sandbox *s = grant->sandbox;
	uint64_t tcp = 0;

	if (!s)
		return 0;
	if (s->connect.is_given)
		tcp |= LANDLOCK_CONNECT_TCP;
	if (s->bind.is_given)
		tcp |= LANDLOCK_BIND_TCP;
	return tcp;
}

int grant_enforce(enum policy_role role, const char *workspace, const struct sandbox *sandbox,
		  struct err *err)
{
	struct grant grant = { .role = role, .workspace = workspace, .sandbox = sandbox };
	struct landlock_spec spec = { .version = landlock_version() };
	cleanup_close int ruleset = -1;
	int r;

	if (spec.version == 0)
		return err_set(err, -ENOSYS, "the kernel has no Landlock");
	spec.tcp = grant_tcp(&grant);
	if (spec.tcp && spec.version < LANDLOCK_VERSION_TCP)
		return err_set(err, -EOPNOTSUPP,
			       "the kernel's Landlock, version %d, cannot limit TCP ports (%d can)",
			       spec.version, LANDLOCK_VERSION_TCP);
	/* The runner asks, so that it can be said; it opens no connection that could be limited. */
	if (role == POLICY_ROLE_RUNNER)
		spec.tcp = 0;
	ruleset = landlock_open(&spec, err);
	if (ruleset < 0)
		return ruleset;
	grant.ruleset = ruleset;
	grant.known = landlock_rights(spec.version);
	r = grant_find_hidden(&grant);
	if (r == 0)
		r = grant_rows(&grant);
	if (r == 0 && sandbox)
		r = grant_sandbox(&grant);
	if (r < 0)
		return err_sys(err, r, "Landlock rules for %s", workspace);
	return landlock_enforce(ruleset, err);
}

/* What is worth a line */

static const struct {
	int version;
	const char *text;
} grant_lacks[] = {
	{ LANDLOCK_VERSION_REFER, "nothing can be moved from one folder to another" },
	{ LANDLOCK_VERSION_SCOPES, "the agent can send signals to the runner" },
};

/* Where programs put temporary files. */
static void grant_review_temporary(const struct grant *grant, void (*say)(const char *text))
{
	const char *folder = getenv("TMPDIR");
	struct err text;
	struct stat st;

	if (!folder || folder[0] != '/')
		folder = "/tmp";
	if (stat(folder, &st) < 0 || !grant_is_above(grant, &st))
		return;
	err_set(&text, 0,
		"the workspace %s lies in %s, so the agent can make nothing new there; move it, or "
		"set TMPDIR to a folder elsewhere",
		grant->workspace, folder);
	say(text.text);
}

void grant_review(const char *workspace, const struct sandbox *sandbox,
		  void (*say)(const char *text))
{
	struct grant grant = { .role = POLICY_ROLE_AGENT, .workspace = workspace };
	int version = landlock_version();
	struct err text;

	if (version == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(grant_lacks); i++)
		if (version < grant_lacks[i].version) {
			err_set(&text, 0,
				"the kernel's Landlock is version %d: %s (%d would mend it)",
				version, grant_lacks[i].text, grant_lacks[i].version);
			say(text.text);
		}
	if (grant_has_session(&grant) && grant_find_home(&grant) == 0)
		grant_review_temporary(&grant, say);
	for (size_t i = 0; sandbox && i < sandbox->write.count; i++) {
		struct stat st;

		if (stat(sandbox->write.items[i], &st) == 0)
			continue;
		err_sys(&text, -errno, "sandbox: %s, which the agent may write",
			sandbox->write.items[i]);
		say(text.text);
	}
}
