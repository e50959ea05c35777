#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A HOME that works: the host's, else the one from /etc/passwd, else a folder of our own into which
 * the settings and credentials of the first one are linked, so that a read-only root file system, a
 * uid without home folder, or a HOME in which the agent could make nothing loses none of them.
 */
#include "common/err.h"
#include "entrypoint/privileges.h"

#define HOME_PATH_MAX 4096

/* Of a HOME of our own in the workspace: it lives as long as the session. */
#define HOME_INSIDE ".home"

struct home_spec {
	const struct privileges_user *user; /* NULL: who we are */
	/*
	 * A session's, or NULL. A HOME that is it, or that it lies below, is not taken: from the
	 * agent its files are guarded by splitting the folders above (grant.c), and in those it can
	 * make nothing. A folder in the workspace is HOME then.
	 */
	const char *workspace;
};

struct home {
	char path[HOME_PATH_MAX]; /* what HOME shall be */
	/*
	 * What the host meant, where path is another and that one is there: an absolute path no
	 * part of which is a link; what is mounted in it may be written. Else "".
	 */
	char meant[HOME_PATH_MAX];
};

/*
 * 0: ret_home->path exists and the user can write there; 1: likewise, but it is a folder of our own,
 * and err says why the other one was not taken; or -errno with a text: there is none.
 */
int home_find(const struct home_spec *spec, struct home *ret_home, struct err *err);
