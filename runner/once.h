#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One JSON request from a descriptor, its answer framed on stdout: the test invocation, and the way
 * of NanoClaw v1 hosts. One query; no database is touched.
 */
#include "runner/runner.h"

/* The longest request in bytes. */
#define ONCE_REQUEST_MAX (16 * 1024 * 1024)

/* See runner_once(). */
int once_run(const struct runner_options *options, int fd);
