#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Takes back what an agent took from the session by chmod(2). It has the session's uid, so it may
 * change the mode of files that it can neither read nor write (Landlock does not see that call), and
 * nothing would work any more, now and after each start. Whoever owns a file may undo it.
 */
#include <stddef.h>

/*
 * Gives back to the owner what a session needs of the folder and of its known entries: of those that
 * are ours, and folders or regular files. Each that was mended makes a warning. Returns how many.
 */
size_t mend_workspace(const char *workspace);
