#pragma once
/* SPDX-License-Identifier: MIT */
/* The folders of a workspace that an agent is given: where it works, and what else it may see. */
#include <stdbool.h>

#include "common/err.h"

/* The working folder's name in a session, and that of v1 hosts. */
#define FOLDERS_AGENT "agent"
#define FOLDERS_GROUP "group"
/* Where the host puts attachments. */
#define FOLDERS_INBOX "inbox"

/* More folders under extra/ than this are not handed to the agent. */
#define FOLDERS_EXTRA_MAX 64

/*
 * Makes the workspace's folder of this name unless something has it, with the mode and the group of
 * the workspace, so that whoever may write there may write here. An agent's rights are given by
 * what is there when it starts: what is made later it may not see. 0 or -errno.
 */
int folders_make(const char *workspace, const char *name, struct err *err);

/*
 * Does the workspace look like a v1 host's, or a session's? Then an agent's working folder is one of
 * its own in it; else the whole of it is the agent's, for instance a project of a person's.
 */
bool folders_is_shared(const char *workspace);

/*
 * The agent's working folder: the workspace's folder of this name, or, where there is none, the
 * workspace itself. A heap string owned by the caller; NULL out of memory.
 */
char *folders_find_working(const char *workspace, const char *name);

/*
 * The folders under extra/, sorted: a NULL-terminated list owned by the caller (folders_free), empty
 * if there are none. Hidden ones are the host's own business. NULL out of memory.
 */
char **folders_list_extra(const char *workspace);

/*
 * What the agent may read where the host limits it by "--read=…" among confine's words: the folders
 * named so and by "--write=…", and its own, all by their real paths. One that a symbolic link leads to
 * is left out, for the link may be an agent's. 1 with a list as above; 0: it is not limited, and the
 * list is NULL; or -ENOMEM.
 */
int folders_list_readable(const char *workspace, const char *const *words, char ***ret_list);

void folders_free(char **list);
