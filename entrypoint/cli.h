#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The command line: modes, options, environment variables and exit codes as tables, from which it
 * is parsed and --help is printed. Decides what was asked for; does nothing of it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/log.h"
#include "entrypoint/sandbox.h"

enum cli_mode {
	CLI_SESSION,
	CLI_ONCE,
	CLI_COMMAND,
	CLI_KEEP_ALIVE,
	CLI_HEALTHCHECK,
	CLI_PRINT_POLICY,
	CLI_CONFINE,
	CLI_MCP,
	CLI_NCL,
	CLI_COMPACT_INSTRUCTIONS,
	CLI_BUN, /* called bun, for something that is not ours */
	CLI_HELP,
	CLI_VERSION,
	CLI_MODES,
};

enum cli_chown {
	CLI_CHOWN_TOP, /* the workspace and the entries known by name */
	CLI_CHOWN_RECURSIVE,
	CLI_CHOWN_NO,
};

/* No limit: the runtime decides how long an end may take. */
#define CLI_GRACE_NONE (-1)

struct cli {
	enum cli_mode mode;
	const char *workspace; /* absolute path */
	const char *user;      /* UID[:GID] or a name; NULL: found out */
	const char *role;      /* NULL: none was named */
	enum cli_chown chown;
	enum log_level log_level;
	int64_t grace_ms; /* or CLI_GRACE_NONE */
	bool allow_root;
	bool no_mount_check;
	bool to_group; /* signals go to the main child's process group */
	bool json;
	bool install_deps;	/* before the command runs */
	bool complete;		/* of confine: nothing but its words counts */
	bool names_workspace;	/* the words do, not only the environment */
	struct sandbox sandbox; /* what changes about the role */
	char *const *command;	/* or ncl's words, or all of bun's; NULL-terminated; NULL: none */
};

/*
 * Reads the environment, then the words. stdin_fd decides between session and once mode when no
 * other mode is asked for. The result points into argv and the environment.
 * 0, or -EINVAL: err names the option or word, the caller exits with EXIT_CODE_USAGE.
 */
int cli_parse(int argc, char *const *argv, int stdin_fd, struct cli *ret_cli, struct err *err);

/* "session", "command", … for logs. */
const char *cli_mode_name(enum cli_mode mode);

void cli_print_help(FILE *out);
void cli_print_version(FILE *out);
