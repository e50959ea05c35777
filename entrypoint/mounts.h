#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self/mountinfo tells (proc_pid_mountinfo(5)): where else in the tree of files the same
 * file or folder lies, by a second mount of its file system.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

struct mounts_entry {
	int id;
	unsigned int major, minor;
	char *root;  /* the part of the file system that is mounted */
	char *point; /* where */
	char *type;  /* of the file system */
	bool is_read_only;
};

struct mounts {
	struct mounts_entry *entries; /* in the kernel's order */
	size_t count;
	char *text; /* of which the entries' strings are */
};

/*
 * All of them: the kernel writes the file anew for each reader, which with a container's mounts
 * takes longer than all that is done with it. 0: the caller calls mounts_deinit(). -ENOSYS: there is
 * no /proc; -ENOMEM; or another -errno.
 */
int mounts_read(struct mounts *ret_mounts);
void mounts_deinit(struct mounts *mounts);

#define cleanup_mounts CLEANUP(mounts_deinit)

/*
 * Calls fn with each other path of what lies at path, which has to be its real one. A mount on top
 * may hide such a path: who opens it looks whether it is the same. What fn returns, unless it is 0,
 * ends it and is returned. -EINVAL: it does not lie on the mount that it lies on; -ENOMEM.
 */
int mounts_aliases(const struct mounts *mounts, const char *path,
		   int (*fn)(void *userdata, const char *alias), void *userdata);
