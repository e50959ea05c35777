#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The session's health checks, a row each. They run in a process of their own beside the session
 * loop, so they look at what it leaves on disk. They write nothing and wait for next to nothing.
 */
#include "runner/runner.h"

/*
 * A claim that is older than this, with no heartbeat since, is a wedged loop: the host takes the
 * container for dead after the same time.
 */
#define HEALTH_CLAIM_MAX_S 60

/* See runner_checks(). */
const struct runner_check *health_checks(size_t *ret_count);
