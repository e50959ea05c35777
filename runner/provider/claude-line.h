#pragma once
/* SPDX-License-Identifier: MIT */
/* The lines that Claude Code reads. Each ends with a newline; a failure is sticky in the strbuf. */
#include <stddef.h>

#include "common/strbuf.h"

/* instructions go behind the CLI's own system prompt; NULL: none. */
void claude_line_initialize(struct strbuf *out, const char *id, const char *instructions);
void claude_line_interrupt(struct strbuf *out, const char *id);
/* Asks what became of the MCP servers. */
void claude_line_mcp_status(struct strbuf *out, const char *id);
/* Takes back the text of this UUID, if it was not begun yet. */
void claude_line_cancel(struct strbuf *out, const char *id, const char *uuid);
void claude_line_user(struct strbuf *out, const char *uuid, const char *text, size_t len);
/* "No" to what the CLI asked under this id. */
void claude_line_refuse(struct strbuf *out, const char *id);
