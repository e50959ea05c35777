#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Takes back what an agent took from the session by chmod(2) or setxattr(2). It has the session's
 * uid, so it may change the mode of files that it can neither read nor write (Landlock does not see
 * these calls), or the default ACL of a folder, so that what is made there is made for nobody; and
 * nothing would work any more, now and after each start. Whoever owns a file may undo it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MEND_ROWS 15

/* What a process has seen of the workspace: all zero at first. */
struct mend {
	mode_t seen[MEND_ROWS];
	bool is_plain[MEND_ROWS]; /* the folder was seen without a default ACL */
};

/*
 * Gives back to the owner what a session needs of the folder and of its known entries: of those that
 * are ours, and folders or regular files. With mend also to group and others what they had at an
 * earlier call: the host may be one of them. A default ACL that locks the owner out is removed, or, with
 * mend, one that was not there earlier. Each that was mended makes a warning. Returns how many.
 */
size_t mend_workspace(const char *workspace, struct mend *mend);
