#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's memory controller says of the container: its limit, and how many of its processes
 * the OOM killer has taken. Both of cgroup v1 and v2; where neither can be read, nothing is known, and
 * nothing is said about it.
 */
#include <stddef.h>
#include <stdint.h>

struct memory;

/* Finds the container's files, which costs some reading of /proc. 0 or -ENOMEM. */
int memory_open(struct memory **ret_memory);
void memory_close(struct memory *memory);

/* How many processes were killed since the container began; -1: unknown. memory may be NULL. */
int64_t memory_oom_kills(const struct memory *memory);

/* In bytes; -1: unknown, or there is none. memory may be NULL. */
int64_t memory_limit(const struct memory *memory);

/* Room for "16777215 TB". */
#define MEMORY_SIZE_TEXT 32

/* As operators write it: "256 MB" for 268435456 bytes. */
void memory_size_text(int64_t bytes, char text[MEMORY_SIZE_TEXT]);

/* Pure parts */

enum memory_version {
	MEMORY_V1,
	MEMORY_V2,
	MEMORY_VERSIONS,
};

/*
 * The folder of the memory controller, from the texts of /proc/self/cgroup and /proc/self/mountinfo.
 * 0, and *ret_folder is the caller's; -ENOENT: it is mounted nowhere; -ENOMEM.
 */
int memory_find(const char *cgroups, const char *mounts, enum memory_version *ret_version,
		char **ret_folder);

/* The number behind "oom_kill " in memory.events (v2) or memory.oom_control (v1); -1: none. */
int64_t memory_parse_kills(const char *text);

/* memory.max (v2) or memory.limit_in_bytes (v1); -1: there is no limit. */
int64_t memory_parse_limit(const char *text);
