#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A file that the agent wants sent, opened with the runner's rights, which are wider than the
 * agent's own: refuses what the agent may not read (the session's databases, their journals, the
 * kernel's view of other processes), and what is no file with an end.
 */
#include "common/err.h"

/* More bytes are not sent: hosts read a file into one buffer of Node.js, which holds no more. */
#define FILE_SOURCE_MAX 2147483647

/*
 * Opens path for reading, waiting for nothing; a relative one begins at folder, the agent's. The
 * descriptor is the caller's. -errno: err is a sentence for the model.
 */
int file_source_open(const char *workspace, const char *folder, const char *path, int *ret_fd,
		     struct err *err);
