#pragma once
/* SPDX-License-Identifier: MIT */
/* The folders of a workspace that an agent is given: where it works, and what else it may see. */

/* The working folder's name in a session; v1 hosts have another. */
#define FOLDERS_AGENT "agent"

/* More folders under extra/ than this are not handed to the agent. */
#define FOLDERS_EXTRA_MAX 64

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

void folders_free(char **list);
