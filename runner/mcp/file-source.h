#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A file that the agent wants sent, opened with the runner's rights, which are wider than the
 * agent's own: refuses what the agent may not read (the session's databases, their journals, the
 * kernel's view of other processes), what is kept secret (the runtime directory, stores of
 * credentials), and what is no file with an end. What is judged is the open file, by its inode and
 * its real place: no link and no change of a name in the meantime leads elsewhere.
 */
#include "common/err.h"

/* More bytes are not sent: hosts read a file into one buffer of Node.js, which holds no more. */
#define FILE_SOURCE_MAX 2147483647

/* All paths are absolute. */
struct file_source {
	const char *workspace; /* the session's */
	const char *folder;    /* the agent's: relative paths begin there */
	const char *runtime;   /* the runtime directory; NULL: there is none */
	/* Real paths of folders, NULL at the end: nothing else; NULL: everything. */
	const char *const *readable;
};

/*
 * Opens path for reading, waiting for nothing. The descriptor is the caller's. -errno: err is a
 * sentence for the model.
 */
int file_source_open(const struct file_source *source, const char *path, int *ret_fd,
		     struct err *err);
