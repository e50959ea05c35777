#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The command line of another agent-runner, as /proc shows it to any uid. Its environment nobody
 * else can read: where its words say nothing, the result has what our own environment says.
 */
#include <sys/types.h>

#include "entrypoint/cli.h"

/* Options stand before a command: what is cut off of a longer command line does not matter. */
#define CLI_PROCESS_LINE_MAX 8192

struct cli_process {
	char line[CLI_PROCESS_LINE_MAX + 1]; /* cli points into it */
	struct cli cli;
};

/*
 * 0; -EINVAL: it runs in no mode that an init has, or its words make no sense; or -errno: no such
 * process, or it has no command line. The result must not be moved.
 */
int cli_process_read(pid_t pid, struct cli_process *ret);

/* The same for PID 1, if it is an agent-runner; else -ENOENT. */
int cli_process_read_init(struct cli_process *ret);
