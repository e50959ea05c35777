#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The session loop: decides what happens next. It looks at the inbox, has a turn made of what it
 * finds, gives the agent its texts, and leads the agent's events back to the turn. Everything it
 * needs to know more about lives in a module of its own.
 */
#include "runner/runner.h"

/* See runner_session(). */
int session_run(const struct runner_options *options);
