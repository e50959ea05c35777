#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * --healthcheck: a table of checks, a line each on stdout (or one JSON object), within 50 ms, and
 * nothing is written anywhere. The container may be probed by any uid: everything about other
 * processes comes from the world-readable part of /proc.
 */
#include <stdbool.h>

struct healthcheck_spec {
	const char *workspace; /* absolute */
	const char *self;      /* absolute path of this binary */
	bool json;
};

/* EXIT_CODE_OK: healthy; EXIT_CODE_UNHEALTHY: not. */
int healthcheck_run(const struct healthcheck_spec *spec);
