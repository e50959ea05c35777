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

/* What others may do. */
#define MEND_OTHERS (S_IRWXG | S_IRWXO)

/* What we do there: the owner's bits. A folder comes before what is in it. */
static const struct {
	const char *name; /* in the workspace; "": itself */
	mode_t type;
	mode_t mode;
	bool is_shared; /* the host may have to get at it by another uid */
} mend_rows[] = {
	{ "", S_IFDIR, S_IRWXU, true },
	{ "inbound.db", S_IFREG, S_IRUSR, true },
	{ "inbound.db-journal", S_IFREG, S_IRUSR, false },
	{ "outbound.db", S_IFREG, S_IRUSR | S_IWUSR, true },
	{ "outbound.db-journal", S_IFREG, S_IRUSR | S_IWUSR, false },
	{ ".heartbeat", S_IFREG, S_IRUSR | S_IWUSR, true },
	{ "inbox", S_IFDIR, S_IRWXU, true },
	{ "outbox", S_IFDIR, S_IRWXU, true },
	{ "extra", S_IFDIR, S_IRUSR | S_IXUSR, false },
	{ "global", S_IFDIR, S_IRUSR | S_IXUSR, false },
	{ "global/CLAUDE.md", S_IFREG, S_IRUSR, false },
	{ "agent", S_IFDIR, S_IRWXU, false },
	{ "agent/container.json", S_IFREG, S_IRUSR, false },
	{ "group", S_IFDIR, S_IRWXU, false },
	{ "ipc", S_IFDIR, S_IRWXU, false },
};
TABLE_COVERS(mend_rows, MEND_ROWS);

/* <sys/acl.h> is libacl's; this is the kernel's, linux/posix_acl_xattr.h. */
#define MEND_ACL	  "system.posix_acl_default"
#define MEND_ACL_MAX	  4096
#define MEND_ACL_USER_OBJ 0x01

struct mend_acl_entry {
	uint8_t tag[2], rights[2], id[4]; /* little-endian */
};

/* Does it leave to the owner what is made in the folder? */
static bool mend_acl_is_good(const char *acl, size_t size)
{
	struct mend_acl_entry entry;

	/* A version of four bytes, then the entries. */
	for (size_t at = 4; at + sizeof(entry) <= size; at += sizeof(entry)) {
		memcpy(&entry, acl + at, sizeof(entry));
		if (entry.tag[0] == MEND_ACL_USER_OBJ)
			return (entry.rights[0] & 7) == 7;
	}
	return true;
}

/* 1: mended; 0. */
static size_t mend_acl(const char *path, size_t row, struct mend *mend)
{
	char acl[MEND_ACL_MAX];
	ssize_t size = lgetxattr(path, MEND_ACL, acl, sizeof(acl));

	if (size < 0) {
		/* Or a file system without ACLs, or so long that no host made it. */
		if (mend && errno != ERANGE)
			mend->is_plain[row] = true;
		if (errno != ERANGE)
			return 0;
	}
	if (size >= 0 && !(mend && mend->is_plain[row]) && mend_acl_is_good(acl, (size_t)size))
		return 0;
	if (lremovexattr(path, MEND_ACL) < 0)
		return 0;
	log_warning("%s had a default ACL, which locks out who works with what is made there: it "
		    "is removed",
		    path);
	return 1;
}

/* How much was mended; 0: nothing was to be done, or nothing can be. */
static size_t mend_one(const char *path, size_t row, struct mend *mend)
{
	mode_t wanted = mend_rows[row].mode, mode;
	size_t mended = 0;
	struct stat st;

	if (lstat(path, &st) < 0 || (st.st_mode & S_IFMT) != mend_rows[row].type ||
	    st.st_uid != geteuid())
		return 0;
	mode = st.st_mode & ALLPERMS;
	if (mend && mend_rows[row].is_shared) {
		mend->seen[row] |= mode & MEND_OTHERS;
		wanted |= mend->seen[row];
	}
	if (mend_rows[row].is_shared && S_ISDIR(st.st_mode))
		mended = mend_acl(path, row, mend);
	/* A link that takes its place now leads to a file of ours: its owner can do the same. */
	if ((mode & wanted) == wanted || chmod(path, mode | wanted) < 0)
		return mended;
	log_warning("%s had mode %04o, which locks out who works with it: it is %04o again", path,
		    (unsigned int)mode, (unsigned int)(mode | wanted));
	return mended + 1;
}

size_t mend_workspace(const char *workspace, struct mend *mend)
{
	size_t mended = 0;

	for (size_t i = 0; i < ARRAY_LEN(mend_rows); i++) {
		const char *name = mend_rows[i].name;
		char path[PATH_MAX];

		if (snprintf(path, sizeof(path), "%s%s%s", workspace, name[0] ? "/" : "", name) <
		    (int)sizeof(path))
			mended += mend_one(path, i, mend);
	}
	return mended;
}
