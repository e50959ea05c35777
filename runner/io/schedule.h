#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How the kernel schedules the loop: on which processors, and by which policy. An agent has its user
 * ID and may change both, and all that is started later inherits them. So they are remembered before
 * the first child and set again around each one.
 *
 * What cannot be undone without a privilege is not tried: a priority that was lowered (nice), and
 * SCHED_IDLE where RLIMIT_NICE does not let go of it. Facts: sched(7), sched_setaffinity(2).
 */
#include <limits.h>
#include <sched.h>

/* The kernel is asked for so many processors; it knows of no more than 8192 on any machine. */
#define SCHEDULE_CPUS_MAX 8192
#define SCHEDULE_WORDS	  (SCHEDULE_CPUS_MAX / (CHAR_BIT * sizeof(unsigned long)))

struct schedule {
	unsigned long cpus[SCHEDULE_WORDS]; /* all zero: not known */
	int policy;			    /* negative: not known */
	struct sched_param param;
};

/* Remembers how the calling process is scheduled. What the kernel does not tell is left alone. */
void schedule_init(struct schedule *schedule);

/*
 * Sets it again where it differs. Processors that were added since, by a wider cpuset for instance,
 * are kept.
 */
void schedule_restore(const struct schedule *schedule);
