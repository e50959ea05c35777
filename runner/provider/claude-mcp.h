#pragma once
/* SPDX-License-Identifier: MIT */
/* How Claude Code is told of MCP servers: by a file, and by patterns that allow their tools. */
#include "common/err.h"
#include "common/strbuf.h"
#include "runner/provider/provider.h"

/* As cli_mcp_write(), in the form that it wants. */
int claude_mcp_write(const struct provider_query *query, char **ret_path, struct err *err);

/* Appends ",mcp__<server>__*" for each server, for --allowedTools. 0 or -ENOMEM. */
int claude_mcp_append_patterns(const json_t *servers, struct strbuf *out);
