#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The kernel's Landlock by its system calls: rulesets that only grant. Knows no role and no path.
 * What a kernel cannot restrict is left out, what it could restrict beyond version 7 is left alone.
 * Facts: https://docs.kernel.org/userspace-api/landlock.html, include/uapi/linux/landlock.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Rights to files; the header of Debian 12 stops at REFER. */
#define LANDLOCK_EXECUTE     (UINT64_C(1) << 0)
#define LANDLOCK_WRITE_FILE  (UINT64_C(1) << 1)
#define LANDLOCK_READ_FILE   (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR    (UINT64_C(1) << 3)
#define LANDLOCK_REMOVE_DIR  (UINT64_C(1) << 4)
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_CHAR   (UINT64_C(1) << 6)
#define LANDLOCK_MAKE_DIR    (UINT64_C(1) << 7)
#define LANDLOCK_MAKE_REG    (UINT64_C(1) << 8)
#define LANDLOCK_MAKE_SOCK   (UINT64_C(1) << 9)
#define LANDLOCK_MAKE_FIFO   (UINT64_C(1) << 10)
#define LANDLOCK_MAKE_BLOCK  (UINT64_C(1) << 11)
#define LANDLOCK_MAKE_SYM    (UINT64_C(1) << 12)
#define LANDLOCK_REFER	     (UINT64_C(1) << 13) /* version 2 */
#define LANDLOCK_TRUNCATE    (UINT64_C(1) << 14) /* version 3 */
#define LANDLOCK_IOCTL_DEV   (UINT64_C(1) << 15) /* version 5 */

/* Those that a file can have that is no folder. */
#define LANDLOCK_FILE_RIGHTS                                                               \
	(LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE | \
	 LANDLOCK_IOCTL_DEV)

/* TCP, version 4. */
#define LANDLOCK_BIND_TCP    (UINT64_C(1) << 0)
#define LANDLOCK_CONNECT_TCP (UINT64_C(1) << 1)

/* From which version on the kernel knows what. */
#define LANDLOCK_VERSION_REFER	  2
#define LANDLOCK_VERSION_TRUNCATE 3
#define LANDLOCK_VERSION_TCP	  4
#define LANDLOCK_VERSION_IOCTL	  5
#define LANDLOCK_VERSION_SCOPES	  6

struct landlock_spec {
	int version;  /* of the kernel; a lower one leaves out what it does not know */
	uint64_t tcp; /* LANDLOCK_BIND_TCP, _CONNECT_TCP: denied but for ports that are allowed */
};

/* The version that the kernel has; 0: none (not built in, not switched on, or filtered). */
int landlock_version(void);

/* All rights to files that this version knows: what a ruleset of it denies unless allowed. */
uint64_t landlock_rights(int version);

/*
 * A new ruleset that denies what the spec says, and signals and abstract sockets to and of whoever
 * is not confined by it. The descriptor is the caller's. -errno.
 */
int landlock_open(const struct landlock_spec *spec, struct err *err);

/* Allows rights below the folder, or to the file, that an O_PATH descriptor is. 0 or -errno. */
int landlock_allow_file(int ruleset, int file, uint64_t rights);

/* Allows LANDLOCK_BIND_TCP or _CONNECT_TCP, or both, for a port. 0 or -errno. */
int landlock_allow_port(int ruleset, uint16_t port, uint64_t rights);

/*
 * Confines the calling thread, and what it starts, for good. Needs no_new_privs. 0; -E2BIG: it is
 * within 16 rulesets already; or -errno.
 */
int landlock_enforce(int ruleset, struct err *err);
