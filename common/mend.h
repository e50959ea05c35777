#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Takes back what an agent took from the session by chmod(2) or setxattr(2). It has the session's
 * uid, so it may change the mode of files that it can neither read nor write (Landlock does not see
 * these calls), or the default ACL of a folder, so that what is made there is made for nobody; and
 * nothing would work any more, now and after each start. Whoever owns a file may undo it.
 */
#include <stddef.h>
#include <sys/types.h>

#define MEND_ROWS 15

/* What the group could do when a process saw the workspace last: all zero at first. */
struct mend {
	mode_t seen[MEND_ROWS];
};

/*
 * Gives back to the owner what a session needs of the folder and of its known entries: of those that
 * are ours, and folders or regular files. Where the owner's rights were gone, also to the group what
 * it had at the last call: the host may be in it. All else may be an operator's will, and stays:
 * rights of the group alone, those of others, and a folder of the agent's that may be entered.
 *
 * mend NULL: before something is started in the folder of the agent: that, and what only we look at.
 *
 * A default ACL goes if it takes rights from the owner of what is made in the folder, or, by its mask,
 * from those whom it gives any. Each that was mended makes a warning. Returns how many.
 */
size_t mend_workspace(const char *workspace, struct mend *mend);
