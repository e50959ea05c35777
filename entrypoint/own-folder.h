#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Folders of the user's own in places where others may write, and where an earlier agent may have
 * put links: no link is followed on the way to them. All that is here is done as the user who owns
 * them (probe.h).
 */
#include <stdbool.h>

#include "common/err.h"

/* The path has to fit into the text of a probe. */
#define OWN_FOLDER_PATH_MAX 256
_Static_assert(OWN_FOLDER_PATH_MAX <= ERR_TEXT_MAX, "a folder's path would be cut");

/* Opens (O_PATH) a folder by an absolute path no part of which is a link. fd, or -errno. */
int own_folder_open(const char *path);

/*
 * Is this folder the other one, or does that lie below it? By what they are, not by their names.
 * What cannot be opened holds nothing.
 */
bool own_folder_holds(const char *folder, const char *other);

/*
 * Makes the folder agent-NAME-UID below TMPDIR, /tmp, /var/tmp or /dev/shm, the first that takes
 * it, or finds it there, so that it is the same at each start. One that others can enter, or that
 * somebody else made, is not taken: then it gets a name that nobody knew before. 0 or -errno with a
 * text.
 */
int own_folder_make(const char *name, char ret_path[OWN_FOLDER_PATH_MAX], struct err *err);
