/* SPDX-License-Identifier: MIT */
#include "common/mend.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* 1: mended; 0: nothing was to be done, or nothing can be. */
static size_t mend_one(const char *path, size_t row, struct mend *mend)
{
	mode_t wanted = mend_rows[row].mode, mode;
	struct stat st;

	if (lstat(path, &st) < 0 || (st.st_mode & S_IFMT) != mend_rows[row].type ||
	    st.st_uid != geteuid())
		return 0;
	mode = st.st_mode & ALLPERMS;
	if (mend && mend_rows[row].is_shared) {
		mend->seen[row] |= mode & MEND_OTHERS;
		wanted |= mend->seen[row];
	}
	/* A link that takes its place now leads to a file of ours: its owner can do the same. */
	if ((mode & wanted) == wanted || chmod(path, mode | wanted) < 0)
		return 0;
	log_warning("%s had mode %04o, which locks out who works with it: it is %04o again", path,
		    (unsigned int)mode, (unsigned int)(mode | wanted));
	return 1;
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
