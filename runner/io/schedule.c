/* SPDX-License-Identifier: MIT */
#include "runner/io/schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

/* By number: the wrappers want glibc's type of sets. */
static bool schedule_get_cpus(unsigned long cpus[SCHEDULE_WORDS])
{
	memset(cpus, 0, SCHEDULE_CPUS_MAX / CHAR_BIT);
	return syscall(SYS_sched_getaffinity, 0, SCHEDULE_CPUS_MAX / CHAR_BIT, cpus) > 0;
}

void schedule_init(struct schedule *schedule)
{
	*schedule = (struct schedule){ .policy = sched_getscheduler(0) };
	(void)schedule_get_cpus(schedule->cpus);
	if (sched_getparam(0, &schedule->param) < 0)
		schedule->policy = -1;
}

static void schedule_restore_cpus(const struct schedule *schedule)
{
	unsigned long cpus[SCHEDULE_WORDS];
	bool is_lacking = false;

	if (!schedule_get_cpus(cpus))
		return;
	for (size_t i = 0; i < SCHEDULE_WORDS; i++) {
		is_lacking = is_lacking || (schedule->cpus[i] & ~cpus[i]);
		cpus[i] |= schedule->cpus[i];
	}
	/* The kernel leaves out what the container may not have any more. */
	if (is_lacking && syscall(SYS_sched_setaffinity, 0, SCHEDULE_CPUS_MAX / CHAR_BIT, cpus) < 0)
		log_debug("the processors cannot be set again: %s", strerror(errno));
}

static void schedule_restore_policy(const struct schedule *schedule)
{
	int policy = sched_getscheduler(0);

	if (schedule->policy < 0 || policy < 0 || policy == schedule->policy)
		return;
	if (sched_setscheduler(0, schedule->policy, &schedule->param) < 0)
		log_debug("the scheduling policy cannot be set again: %s", strerror(errno));
}

void schedule_restore(const struct schedule *schedule)
{
	schedule_restore_cpus(schedule);
	schedule_restore_policy(schedule);
}
