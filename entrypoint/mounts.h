#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self/mountinfo tells (proc_pid_mountinfo(5)): where else in the tree of files the same
 * file or folder lies, by a second mount of its file system.
 */
#include <stdbool.h>

struct mounts_entry {
	int id;
	unsigned int major, minor;
	char *root;  /* the part of the file system that is mounted */
	char *point; /* where */
	char *type;  /* of the file system */
	bool is_read_only;
};

/*
 * The file's text, for the functions below: the kernel writes it anew for each reader, which with
 * a container's mounts takes longer than all that is done with it. Heap. -ENOSYS: there is no
 * /proc; or -ENOMEM.
 */
int mounts_read(char **ret_text);

/*
 * Each mount, in the kernel's order; the strings are borrowed for the call. What fn returns, unless
 * it is 0, ends it and is returned. -ENOMEM.
 */
int mounts_each(const char *text, int (*fn)(void *userdata, const struct mounts_entry *entry),
		void *userdata);

/*
 * Calls fn with each other path of what lies at path, which has to be its real one. A mount on top
 * may hide such a path: who opens it looks whether it is the same. As mounts_each().
 */
int mounts_aliases(const char *text, const char *path, int (*fn)(void *userdata, const char *alias),
		   void *userdata);
