#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The name "bun". Hosts that were made for NanoClaw's own runner start its scripts with bun, and so
 * do settings files that they wrote: in an image where bun is this program they get what they mean.
 * Everything else that is called by that name is meant for the real bun.
 */
#include <stdbool.h>

#include "entrypoint/cli.h"

/* Are we called bun? name: argv[0], with or without a folder. */
bool dropin_is_bun(const char *name);

/*
 * What a command line of bun's means: "bun [run] SCRIPT WORD...". The mode, and *ret_index is that
 * of the first word behind the script; CLI_MODES: it is no script of ours. Looks at nothing else.
 */
enum cli_mode dropin_mode(int argc, char *const *argv, int *ret_index);

/*
 * Becomes the real bun: AGENT_REAL_BUN, else the first one in PATH that is another program. argv is
 * handed on as it is. Returns only if there is none, the exit code; has logged why.
 */
int dropin_exec(char *const *argv);
