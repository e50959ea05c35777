#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What was re-parented to this process, a child subreaper: found through /proc, which is the only
 * list of a process's children that does not depend on a kernel option. Reaps nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Sends SIGKILL to each child process that is_known() does not know. Returns how many. The dead
 * leave children of their own behind, so the caller repeats it when it has reaped them.
 */
size_t orphans_kill(bool (*is_known)(void *userdata, pid_t pid), void *userdata);
