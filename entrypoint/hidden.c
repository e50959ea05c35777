/* SPDX-License-Identifier: MIT */
#include "entrypoint/hidden.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "entrypoint/mounts.h"
#include "entrypoint/policy-files.h"

/* As many as the kernel follows (path_resolution(7)). */
#define HIDDEN_LINKS_MAX 40

static bool hidden_is(const struct hidden_id *id, const struct stat *st)
{
	return id->dev == st->st_dev && id->ino == st->st_ino;
}

static bool hidden_is_among(const struct hidden_id *ids, size_t count, const struct stat *st)
{
	for (size_t i = 0; i < count; i++)
		if (hidden_is(&ids[i], st))
			return true;
	return false;
}

bool hidden_is_above(const struct hidden *hidden, const struct stat *st)
{
	return hidden_is_among(hidden->above, hidden->n_above, st);
}

bool hidden_is_workspace(const struct hidden *hidden, const struct stat *st)
{
	return hidden->has_session && hidden_is(&hidden->workspace, st);
}

bool hidden_has_names(const struct hidden *hidden, const struct stat *st)
{
	return hidden_is_among(hidden->folders, hidden->n_folders, st);
}

static bool hidden_is_name(const char *name)
{
	const char *const *names;
	size_t n;

	names = policy_hidden(&n);
	for (size_t i = 0; i < n; i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

bool hidden_is_withheld(const struct hidden *hidden, const struct stat *st, const char *name,
			bool has_names)
{
	return (has_names && hidden_is_name(name)) ||
	       hidden_is_among(hidden->withheld, hidden->n_withheld, st);
}

bool hidden_has_session(const char *workspace)
{
	const char *const *names;
	char path[PATH_MAX];
	struct stat st;
	size_t n;

	names = policy_hidden(&n);
	for (size_t i = 0; i < n; i++)
		if (snprintf(path, sizeof(path), "%s/%s", workspace, names[i]) >=
			    (int)sizeof(path) ||
		    lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR))
			return true;
	return false;
}

static int hidden_add(struct hidden_id *ids, size_t *count, size_t max, const struct stat *st)
{
	if (hidden_is_among(ids, *count, st))
		return 0;
	if (*count == max)
		return -E2BIG;
	ids[(*count)++] = (struct hidden_id){ st->st_dev, st->st_ino };
	return 0;
}

/*
 * Notes the folders above what lies at a path, by their names: what lies above a folder depends on
 * the mount by which one came. One that cannot be looked at lies in another that can, and that is
 * split: then nothing of it is granted. 0 or -errno.
 */
static int hidden_climb(struct hidden *hidden, const char *path)
{
	cleanup_free char *folder = strdup(path);
	char *slash;
	int r = folder ? 0 : -ENOMEM;

	while (r == 0 && (slash = strrchr(folder, '/')) != NULL) {
		struct stat st;

		*slash = '\0';
		if (stat(*folder ? folder : "/", &st) == 0)
			r = hidden_add(hidden->above, &hidden->n_above, HIDDEN_ABOVE_MAX, &st);
	}
	return r;
}

/* The folder in which a path lies: its names count there, too. */
static int hidden_add_folder(struct hidden *hidden, const char *path)
{
	cleanup_free char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	struct stat st;

	if (!slash)
		return -ENOMEM;
	slash[slash == folder] = '\0';
	if (stat(folder, &st) < 0)
		return 0;
	return hidden_add(hidden->folders, &hidden->n_folders, HIDDEN_FOLDERS_MAX, &st);
}

/* A file or folder by its path: itself, and all above it. */
static int hidden_withhold(struct hidden *hidden, const char *path)
{
	struct stat st;
	int r = 0;

	if (lstat(path, &st) == 0)
		r = hidden_add(hidden->withheld, &hidden->n_withheld, HIDDEN_WITHHELD_MAX, &st);
	return r < 0 ? r : hidden_climb(hidden, path);
}

/* Where the workspace is mounted a second time, or a folder in which it lies. */
static int hidden_on_workspace_alias(void *userdata, const char *alias)
{
	struct hidden *hidden = userdata;
	struct stat st;

	/* Under another mount: nobody gets there. What cannot be looked at may still be it. */
	if (stat(alias, &st) == 0 && !hidden_is(&hidden->workspace, &st))
		return 0;
	return hidden_climb(hidden, alias);
}

/* Where one of its files is mounted alone: SQLite's journals lie beside it. */
static int hidden_on_file_alias(void *userdata, const char *alias)
{
	struct hidden *hidden = userdata;
	int r = hidden_withhold(hidden, alias);

	return r < 0 ? r : hidden_add_folder(hidden, alias);
}

static int hidden_find_aliases(struct hidden *hidden, const char *real, const struct mounts *mounts)
{
	const char *const *names;
	size_t n;
	int r = mounts_aliases(mounts, real, hidden_on_workspace_alias, hidden);

	names = policy_hidden(&n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", real, names[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = mounts_aliases(mounts, path, hidden_on_file_alias, hidden);
	}
	return r;
}

/* What the first link on a path leads to, with the rest of the path: heap, or NULL: there is none. */
static char *hidden_follow(const char *path)
{
	cleanup_free char *part = strdup(path);

	for (size_t i = 1; part && path[i - 1]; i++) {
		char target[PATH_MAX], *next;
		ssize_t n;
		int made;

		if (path[i] != '/' && path[i] != '\0')
			continue;
		part[i] = '\0';
		n = readlink(part, target, sizeof(target) - 1);
		part[i] = path[i];
		if (n < 0)
			continue;
		target[n] = '\0';
		/* Of a relative one, what stands before the link's name stays. */
		for (made = (int)i; made > 0 && path[made - 1] != '/'; made--)
			;
		made = asprintf(&next, "%.*s%s%s", target[0] == '/' ? 0 : made, path, target,
				path + i);
		return made < 0 ? NULL : next;
	}
	return NULL;
}

/* Whoever can replace a link on the way to the workspace decides which one it is next time. */
static int hidden_climb_links(struct hidden *hidden, const char *path)
{
	cleanup_free char *at = strdup(path);
	int r = at ? 0 : -ENOMEM;

	for (int i = 0; r == 0 && at && i < HIDDEN_LINKS_MAX; i++) {
		char *next = hidden_follow(at);

		r = hidden_climb(hidden, at);
		free(at);
		at = next;
	}
	return r;
}

static int hidden_find_session(struct hidden *hidden, const char *workspace,
			       const struct mounts *mounts)
{
	cleanup_free char *real = realpath(workspace, NULL);
	cleanup_mounts struct mounts now = { .count = 0 };
	struct stat st;
	int r;

	/* No workspace, nothing in it to hide. */
	if (!real)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (stat(real, &st) < 0)
		return -errno;
	hidden->has_session = true;
	hidden->workspace = (struct hidden_id){ st.st_dev, st.st_ino };
	r = hidden_add(hidden->above, &hidden->n_above, HIDDEN_ABOVE_MAX, &st);
	if (r == 0)
		r = hidden_add(hidden->folders, &hidden->n_folders, HIDDEN_FOLDERS_MAX, &st);
	if (r == 0)
		r = hidden_climb(hidden, real);
	if (r == 0)
		r = hidden_climb_links(hidden, workspace);
	/* Without /proc nobody can look. */
	if (r == 0 && !mounts)
		r = mounts_read(&now);
	if (r < 0 && r != -ENOSYS)
		return r;
	return hidden_find_aliases(hidden, real, mounts ? mounts : &now);
}

int hidden_find(struct hidden *hidden, enum policy_role role, const char *workspace,
		bool has_session, const struct mounts *mounts)
{
	const struct policy_file *rows;
	size_t n;
	int r = 0;

	if (role == POLICY_ROLE_AGENT && has_session)
		r = hidden_find_session(hidden, workspace, mounts);
	rows = policy_files(&n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (rows[i].access == POLICY_ACCESS_NONE && rows[i].roles & POLICY_ROLE_BIT(role))
			r = hidden_withhold(hidden, rows[i].name);
	return r;
}
