#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What agent-runner's own exit codes mean. 64 to 78 follow sysexits(3), 126 and 127 follow the
 * shell (POSIX, "Exit Status for Commands"); 128+n is death by signal n.
 */

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_UNHEALTHY = EXIT_CODE_FAILED,
	EXIT_CODE_NCL_USAGE = 2, /* of ncl, whose callers know no other: or no answer in time */
	EXIT_CODE_USAGE = 64,
	EXIT_CODE_NO_WORKSPACE = 66,
	EXIT_CODE_UNAVAILABLE = 69, /* dependencies cannot be installed */
	EXIT_CODE_INTERNAL = 70,
	EXIT_CODE_CANNOT_CREATE = 73,
	EXIT_CODE_TEMPORARY = 75,
	EXIT_CODE_NO_PERMISSION = 77,
	EXIT_CODE_CONFIG = 78,
	EXIT_CODE_NOT_EXECUTABLE = 126,
	EXIT_CODE_NOT_FOUND = 127,
	EXIT_CODE_SIGNAL_BASE = 128,
};
