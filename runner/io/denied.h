#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Answers and counts the system calls that the filter of a confined child denies with EPERM, where
 * the kernel asks (SECCOMP_RET_USER_NOTIF, Linux 5.0). The child gets one end of a socket and sends
 * the filter's listener through it: entrypoint/seccomp.h.
 *
 * It decides nothing: every call is answered with EPERM, none is ever let through, and nothing is
 * read of what the caller points to. Each call is logged once by its name, with the totals at the
 * end of the agent. What one thread has asked waits for this loop; once it is gone, the kernel says
 * ENOSYS. Only so many calls are answered at a time, so that one who asks all the time is slowed
 * down and not the loop.
 */
#include <stdint.h>

#include "common/err.h"
#include "runner/io/loop.h"

/* So many calls of one child are answered within DENIED_PAUSE_MS; the others wait for its end. */
#define DENIED_BURST	32
#define DENIED_PAUSE_MS 10

struct denied;	      /* the counts of all children */
struct denied_source; /* those under one filter */

/* The name of a call, NULL if it has none; AUDIT_ARCH_* and number. */
typedef const char *denied_name_fn(uint32_t arch, int number);

/* 0; -ENOSYS: the kernel asks nobody; or -errno. */
int denied_new(struct loop *loop, denied_name_fn *name, struct denied **ret_denied,
	       struct err *err);
/* After all of its sources. */
void denied_free(struct denied *denied);

/* 0 with the end for a child, close-on-exec and the caller's; or -errno. */
int denied_watch(struct denied *denied, struct denied_source **ret_source, int *ret_child_end);
/* From now on the kernel answers: ENOSYS. Accepts NULL. */
void denied_source_free(struct denied_source *source);

/* Logs how often which call was denied since it was asked last, if any was. Accepts NULL. */
void denied_report(struct denied *denied);
