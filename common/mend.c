/* SPDX-License-Identifier: MIT */
#include "common/mend.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/table.h"

/* What we do there: the owner's bits. A folder comes before what is in it. */
static const struct {
	const char *name; /* in the workspace; "": itself */
	mode_t type;
	mode_t mode;
} mend_rows[] = {
	{ "", S_IFDIR, S_IRWXU },
	{ "inbound.db", S_IFREG, S_IRUSR },
	{ "inbound.db-journal", S_IFREG, S_IRUSR },
	{ "outbound.db", S_IFREG, S_IRUSR | S_IWUSR },
	{ "outbound.db-journal", S_IFREG, S_IRUSR | S_IWUSR },
	{ ".heartbeat", S_IFREG, S_IRUSR | S_IWUSR },
	{ "inbox", S_IFDIR, S_IRWXU },
	{ "outbox", S_IFDIR, S_IRWXU },
	{ "extra", S_IFDIR, S_IRUSR | S_IXUSR },
	{ "global", S_IFDIR, S_IRUSR | S_IXUSR },
	{ "global/CLAUDE.md", S_IFREG, S_IRUSR },
	{ "agent", S_IFDIR, S_IRWXU },
	{ "agent/container.json", S_IFREG, S_IRUSR },
	{ "group", S_IFDIR, S_IRWXU },
	{ "ipc", S_IFDIR, S_IRWXU },
};

size_t mend_workspace(const char *workspace)
{
	size_t mended = 0;

	for (size_t i = 0; i < ARRAY_LEN(mend_rows); i++) {
		const char *name = mend_rows[i].name;
		mode_t mode = mend_rows[i].mode;
		char path[PATH_MAX];
		struct stat st;

		if (snprintf(path, sizeof(path), "%s%s%s", workspace, name[0] ? "/" : "", name) >=
		    (int)sizeof(path))
			continue;
		if (lstat(path, &st) < 0 || (st.st_mode & S_IFMT) != mend_rows[i].type ||
		    st.st_uid != geteuid() || (st.st_mode & mode) == mode)
			continue;
		/* A link that takes its place now leads to a file of ours: its owner can do the same. */
		if (chmod(path, (st.st_mode & ALLPERMS) | mode) < 0)
			continue;
		log_warning("%s had mode %04o, which locked its owner out: it is %04o again", path,
			    (unsigned int)(st.st_mode & ALLPERMS),
			    (unsigned int)((st.st_mode & ALLPERMS) | mode));
		mended++;
	}
	return mended;
}
