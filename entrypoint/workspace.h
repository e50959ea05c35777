#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The workspace before anybody works in it: a table of checks, each of which fails with one line
 * (what, where, as which uid, what to do about it); and the step that gives its top folders to
 * the user who will work there. Reads no database: what is inside is the runner's business.
 */
#include <stdbool.h>

#include "common/err.h"
#include "entrypoint/privileges.h"

#define WORKSPACE_DEFAULT "/workspace"

/* Below this much free space a start makes no sense: a journal would not fit. */
#define WORKSPACE_FREE_BYTES  (1024 * 1024)
#define WORKSPACE_FREE_INODES 16

struct workspace_spec {
	const char *path;		    /* absolute */
	bool is_session;		    /* the session's checks too, not only "is a folder" */
	bool check_mount;		    /* false: --no-mount-check */
	bool mends;			    /* gives back what an agent took by chmod(2) */
	const struct privileges_user *user; /* who will work there; NULL: who we are */
};

/*
 * Runs the checks as the user who will work there: if that is not who we are, in a short-lived
 * child that becomes this user, so that root's rights don't hide anything. The mount check is about
 * WORKSPACE_DEFAULT only and part of the session's.
 * 0, or the exit code of the first check that fails, with its text: EXIT_CODE_NO_WORKSPACE,
 * EXIT_CODE_NO_PERMISSION, EXIT_CODE_CANNOT_CREATE, EXIT_CODE_TEMPORARY, EXIT_CODE_INTERNAL. In
 * command and keep-alive mode the caller may log the text and go on.
 */
int workspace_check(const struct workspace_spec *spec, struct err *err);

/* 1: the root of a mount; 0: not; or -errno. */
int workspace_is_mount(const char *path);

/*
 * The chown step, as root: gives the folder itself and the entries known by name (outbox, agent,
 * outbound.db, …) to user; recursive: also what is below them, on the same mount only. Symbolic
 * links are never followed, files with several names never given away, read-only mounts are left
 * as they are. In a rootless container, whose root is the person outside, what is root's is shared
 * through the user's group instead. Refuses /, sticky folders, system folders and what is no folder: a log line, not an
 * error, since the checks decide afterwards whether the user can work there.
 * 0, or EXIT_CODE_NO_WORKSPACE or EXIT_CODE_NO_PERMISSION with its text.
 */
int workspace_give(const char *path, const struct privileges_user *user, bool recursive,
		   struct err *err);
