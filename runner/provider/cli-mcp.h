#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How an agent CLI is told of MCP servers on its command line: by a file, since what a server's
 * environment holds may be secret and an argument is not. Its form, {"mcpServers": {NAME: {…}}}, is
 * that of the CLIs' own settings.
 */
#include <stdbool.h>

#include "common/err.h"
#include "runner/io/json.h"
#include "runner/provider/provider.h"

/* Adds what the CLI wants of a server beside; is_own: it is query->own_server. 0 or -ENOMEM. */
typedef int cli_mcp_extend_fn(json_t *server, bool is_own);

/*
 * Writes the file, mode 0600, into the query's config_dir. 0 with its path, a heap string of the
 * caller, NULL if the query names no server; -ENOENT: there is no such folder; or another -errno.
 */
int cli_mcp_write(const struct provider_query *query, cli_mcp_extend_fn *extend, char **ret_path,
		  struct err *err);
