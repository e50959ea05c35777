/* SPDX-License-Identifier: MIT */
#include "common/mend.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/log.h"
#include "common/table.h"

/* What we do there: the owner's bits. A folder comes before what is in it. */
static const struct {
	const char *name; /* in the workspace; "": itself */
	mode_t type;
	mode_t mode;
	bool is_shared; /* the host may have to get at it by its group */
	bool is_agents; /* whether more than entering it is allowed is not the session's affair */
} mend_rows[] = {
	{ "", S_IFDIR, S_IRWXU, .is_shared = true },
	{ "inbound.db", S_IFREG, S_IRUSR, .is_shared = true },
	{ "inbound.db-journal", S_IFREG, S_IRUSR },
	{ "outbound.db", S_IFREG, S_IRUSR | S_IWUSR, .is_shared = true },
	{ "outbound.db-journal", S_IFREG, S_IRUSR | S_IWUSR },
	{ ".heartbeat", S_IFREG, S_IRUSR | S_IWUSR, .is_shared = true },
	{ "inbox", S_IFDIR, S_IRWXU, .is_shared = true },
	{ "outbox", S_IFDIR, S_IRWXU, .is_shared = true },
	{ "extra", S_IFDIR, S_IRUSR | S_IXUSR },
	{ "global", S_IFDIR, S_IRUSR | S_IXUSR },
	{ "global/CLAUDE.md", S_IFREG, S_IRUSR },
	{ "agent", S_IFDIR, S_IRWXU, .is_agents = true },
	{ "agent/container.json", S_IFREG, S_IRUSR },
	{ "group", S_IFDIR, S_IRWXU, .is_agents = true },
	{ "ipc", S_IFDIR, S_IRWXU, .is_agents = true },
};
TABLE_COVERS(mend_rows, MEND_ROWS);

/* <sys/acl.h> is libacl's; this is the kernel's, linux/posix_acl_xattr.h. */
#define MEND_ACL     "system.posix_acl_default"
#define MEND_ACL_MAX 4096
/* Its tags. */
#define MEND_ACL_USER_OBJ 0x01
#define MEND_ACL_MASK	  0x10
#define MEND_ACL_OTHER	  0x20
/* Its rights. */
#define MEND_ACL_ALL  7
#define MEND_ACL_READ 4

struct mend_acl_entry {
	uint8_t tag[2], rights[2], id[4]; /* little-endian */
};

/*
 * Does it leave to the owner what is made in the folder, and to all between the owner and others that
 * they may read it, if it says so? A mask that setfacl(1) computes takes nothing from anybody.
 */
static bool mend_acl_is_good(const char *acl, size_t size)
{
	unsigned int owner = MEND_ACL_ALL, mask = MEND_ACL_ALL, given = 0;
	struct mend_acl_entry entry;

	/* A version of four bytes, then the entries. */
	for (size_t at = 4; at + sizeof(entry) <= size; at += sizeof(entry)) {
		memcpy(&entry, acl + at, sizeof(entry));
		if (entry.tag[0] == MEND_ACL_USER_OBJ)
			owner = entry.rights[0];
		else if (entry.tag[0] == MEND_ACL_MASK)
			mask = entry.rights[0];
		else if (entry.tag[0] != MEND_ACL_OTHER)
			given |= entry.rights[0];
	}
	return (owner & MEND_ACL_ALL) == MEND_ACL_ALL && (given & ~mask & MEND_ACL_READ) == 0;
}

/* 1: mended; 0. */
static size_t mend_acl(const char *path)
{
	char acl[MEND_ACL_MAX];
	ssize_t size = lgetxattr(path, MEND_ACL, acl, sizeof(acl));

	/* None, or a file system without ACLs. One so long no host made. */
	if (size < 0 && errno != ERANGE)
		return 0;
	if ((size >= 0 && mend_acl_is_good(acl, (size_t)size)) || lremovexattr(path, MEND_ACL) < 0)
		return 0;
	log_warning("%s had a default ACL that takes rights on what is made in it: removed it",
		    path);
	return 1;
}

/* The rights that are missing: none, or what they are given back with. */
static mode_t mend_missing(mode_t mode, size_t row, struct mend *mend)
{
	mode_t wanted = mend_rows[row].mode;

	/* What may be entered and listed. */
	if (mend_rows[row].is_agents && (mode & (S_IRUSR | S_IXUSR)) == (S_IRUSR | S_IXUSR))
		return 0;
	if ((mode & wanted) == wanted) {
		if (mend_rows[row].is_shared)
			mend->seen[row] = mode & S_IRWXG;
		return 0;
	}
	/* Who locks the owner out is no operator. */
	if (mend_rows[row].is_shared)
		wanted |= mend->seen[row];
	return wanted & ~mode;
}

/* How much was mended; 0: nothing was to be done, or nothing can be. */
static size_t mend_one(const char *path, size_t row, struct mend *mend)
{
	mode_t mode, missing;
	size_t mended = 0;
	struct stat st;

	if (lstat(path, &st) < 0 || (st.st_mode & S_IFMT) != mend_rows[row].type ||
	    st.st_uid != geteuid())
		return 0;
	mode = st.st_mode & ALLPERMS;
	if (mend_rows[row].is_shared && S_ISDIR(st.st_mode))
		mended = mend_acl(path);
	missing = mend_missing(mode, row, mend);
	/* A link that takes its place now leads to a file of ours: its owner can do the same. */
	if (!missing || chmod(path, mode | missing) < 0)
		return mended;
	log_warning("%s had mode %04o, which locks its owner out: set it to %04o", path,
		    (unsigned int)mode, (unsigned int)(mode | missing));
	return mended + 1;
}

size_t mend_workspace(const char *workspace, struct mend *mend)
{
	size_t mended = 0;

	for (size_t i = 0; i < ARRAY_LEN(mend_rows); i++) {
		const char *name = mend_rows[i].name;
		char path[PATH_MAX];

		if (mend ? mend_rows[i].is_agents : mend_rows[i].is_shared)
			continue;
		if (snprintf(path, sizeof(path), "%s%s%s", workspace, name[0] ? "/" : "", name) <
		    (int)sizeof(path))
			mended += mend_one(path, i, mend);
	}
	return mended;
}
