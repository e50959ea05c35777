#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Where the things lie that a role must not reach: the session's own files, and what rows without
 * any right name. Told by what they are, device and inode, and not by their names, so that neither a
 * link nor a second mount leads around it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "entrypoint/mounts.h"
#include "entrypoint/policy.h"

#define HIDDEN_ABOVE_MAX    1024
#define HIDDEN_WITHHELD_MAX 32
#define HIDDEN_FOLDERS_MAX  32

struct hidden_id {
	dev_t dev;
	ino_t ino;
};

/* Begins all zero: nothing is hidden. */
struct hidden {
	/* The folders in which, or below which, something is hidden. */
	struct hidden_id above[HIDDEN_ABOVE_MAX];
	size_t n_above;
	struct hidden_id withheld[HIDDEN_WITHHELD_MAX];
	size_t n_withheld;
	/* Folders in which the session's names are hidden: the workspace, and others with its files. */
	struct hidden_id folders[HIDDEN_FOLDERS_MAX];
	size_t n_folders;
	struct hidden_id workspace;
	bool has_session; /* the workspace holds files of a session */
};

/*
 * Does a session work in the workspace? What cannot be looked at counts as if it were there: an
 * agent can take away the right to look.
 */
bool hidden_has_session(const char *workspace);

/*
 * Finds what is hidden from the role. has_session: of hidden_has_session(), or known otherwise.
 * mounts: as they are now; NULL: they are read. 0; -E2BIG: more than there is room for; or -errno:
 * it cannot be told, and nothing may be granted.
 */
int hidden_find(struct hidden *hidden, enum policy_role role, const char *workspace,
		bool has_session, const struct mounts *mounts);

/* Does something that is hidden lie in this folder, or below it? */
bool hidden_is_above(const struct hidden *hidden, const struct stat *st);

/* Is it the workspace, and a session's? */
bool hidden_is_workspace(const struct hidden *hidden, const struct stat *st);

/* Are the session's names hidden in this folder? */
bool hidden_has_names(const struct hidden *hidden, const struct stat *st);

/* Is this entry of a folder itself hidden? has_names: hidden_has_names() of the folder. */
bool hidden_is_withheld(const struct hidden *hidden, const struct stat *st, const char *name,
			bool has_names);
