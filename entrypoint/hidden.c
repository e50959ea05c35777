/* SPDX-License-Identifier: MIT */
#include "entrypoint/hidden.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "entrypoint/mounts.h"
#include "entrypoint/policy-files.h"

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

static bool hidden_has_name(const char *name)
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
			bool in_workspace)
{
	return (in_workspace && hidden_has_name(name)) ||
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

static int hidden_note(struct hidden *hidden, const char *folder)
{
	struct stat st;

	if (stat(folder, &st) < 0)
		return -errno;
	if (hidden_is_above(hidden, &st))
		return 0;
	if (hidden->n_above == HIDDEN_ABOVE_MAX)
		return -E2BIG;
	hidden->above[hidden->n_above++] = (struct hidden_id){ st.st_dev, st.st_ino };
	return 0;
}

/*
 * Notes the folders above what lies at a real path, by their names: what lies above a folder
 * depends on the mount by which one came. 0 or -errno.
 */
static int hidden_climb(struct hidden *hidden, const char *path)
{
	cleanup_free char *folder = strdup(path);
	char *slash;
	int r = folder ? 0 : -ENOMEM;

	while (r == 0 && (slash = strrchr(folder, '/')) != NULL) {
		*slash = '\0';
		r = hidden_note(hidden, *folder ? folder : "/");
	}
	return r;
}

/* A file or folder by its path: itself, and all above it. What is not there is no secret. */
static int hidden_withhold(struct hidden *hidden, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (hidden->n_withheld == HIDDEN_WITHHELD_MAX)
		return -E2BIG;
	hidden->withheld[hidden->n_withheld++] = (struct hidden_id){ st.st_dev, st.st_ino };
	return hidden_climb(hidden, path);
}

/* Where the workspace is mounted a second time, or a folder in which it lies. */
static int hidden_on_workspace_alias(void *userdata, const char *alias)
{
	struct hidden *hidden = userdata;
	struct stat st;

	/* Under another mount: nobody gets there. */
	if (stat(alias, &st) < 0 || !hidden_is(&hidden->workspace, &st))
		return 0;
	return hidden_climb(hidden, alias);
}

/* Where one of its files is mounted alone. */
static int hidden_on_file_alias(void *userdata, const char *alias)
{
	return hidden_withhold(userdata, alias);
}

static int hidden_find_aliases(struct hidden *hidden, const char *real)
{
	const char *const *names;
	size_t n;
	int r = mounts_aliases(real, hidden_on_workspace_alias, hidden);

	names = policy_hidden(&n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", real, names[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = mounts_aliases(path, hidden_on_file_alias, hidden);
	}
	/* Without /proc nobody can look. */
	return r == -ENOENT ? 0 : r;
}

static int hidden_find_session(struct hidden *hidden, const char *workspace)
{
	cleanup_free char *real = realpath(workspace, NULL);
	struct stat st;
	int r;

	/* No workspace, nothing in it to hide. */
	if (!real)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (stat(real, &st) < 0)
		return -errno;
	hidden->has_session = true;
	hidden->workspace = (struct hidden_id){ st.st_dev, st.st_ino };
	r = hidden_note(hidden, real);
	if (r == 0)
		r = hidden_climb(hidden, real);
	return r < 0 ? r : hidden_find_aliases(hidden, real);
}

int hidden_find(struct hidden *hidden, enum policy_role role, const char *workspace,
		bool has_session)
{
	const struct policy_file *rows;
	size_t n;
	int r = 0;

	if (role == POLICY_ROLE_AGENT && has_session)
		r = hidden_find_session(hidden, workspace);
	rows = policy_files(&n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (rows[i].access == POLICY_ACCESS_NONE && rows[i].roles & POLICY_ROLE_BIT(role))
			r = hidden_withhold(hidden, rows[i].name);
	return r;
}
