#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Takes back the memory that outlives who filled it: files in /dev/shm, and in /tmp and /var/tmp where
 * these lie on a tmpfs, and System V shared memory. When the kernel has ended an agent for want of
 * memory these still count as the container's, and whoever starts next is ended, too.
 *
 * Only what our user made since a given moment goes, and only in a container: not where we are in the
 * machine's own PID namespace, nor shared memory where that is the machine's (--ipc=host). Follows no
 * link, enters no other file system. Needs no heap: PID 1 may have none to get.
 */
#include <stddef.h>
#include <stdint.h>

/* So long one call takes at most, in milliseconds, but for the file that it is at. */
#define SCRATCH_BUSY_MS 500
/* Folders in folders, so deep; what is deeper stays. */
#define SCRATCH_DEPTH_MAX 32
#define SCRATCH_KEEP_MAX  3

struct scratch_spec {
	int64_t since_ms; /* clock_realtime_ms(); what was changed last before it stays */
	/* Folders that stay, with all that is in them; each may be NULL, and need not exist. */
	const char *keep[SCRATCH_KEEP_MAX];
	/* One that stays, emptied: who comes next may be unable to make it. May be NULL. */
	const char *emptied;
};

/*
 * Clears all of them, once nobody of ours works with them any more. What was removed makes a warning for
 * each place. Returns how many files, links, sockets, … and segments; folders do not count.
 */
size_t scratch_clear(const struct scratch_spec *spec);

/* Of one folder, wherever we are; one that is not on a tmpfs stays as it is. */
size_t scratch_clear_folder(const char *path, const struct scratch_spec *spec);
