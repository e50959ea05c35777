#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Takes back what an agent took from the session by chmod(2). It has the session's uid, so it may
 * change the mode of files that it can neither read nor write (Landlock does not see that call), and
 * nothing would work any more, now and after each start. Whoever owns a file may undo it.
 */
#include <stddef.h>
#include <sys/types.h>

#define MEND_ROWS 15

/* What a process has seen of the workspace: all zero at first. */
struct mend {
	mode_t seen[MEND_ROWS];
};

/*
 * Gives back to the owner what a session needs of the folder and of its known entries: of those that
 * are ours, and folders or regular files. With mend also to group and others what they had at an
 * earlier call: the host may be one of them. Each that was mended makes a warning. Returns how many.
 */
size_t mend_workspace(const char *workspace, struct mend *mend);
