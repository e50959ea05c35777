#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * How Claude Code is told of MCP servers: by a file, since what a server's environment holds may be
 * secret and an argument is not, and by patterns that allow their tools.
 */
#include "common/err.h"
#include "common/strbuf.h"
#include "runner/provider/provider.h"

/*
 * Writes the file, mode 0600, into the query's config_dir. 0 with its path, a heap string of the
 * caller, NULL if the query names no server; -ENOENT: there is no such folder; or another -errno.
 */
int claude_mcp_write(const struct provider_query *query, char **ret_path, struct err *err);

/* Appends ",mcp__<server>__*" for each server, for --allowedTools. 0 or -ENOMEM. */
int claude_mcp_append_patterns(const json_t *servers, struct strbuf *out);
