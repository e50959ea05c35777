/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-mcp.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "runner/provider/cli-mcp.h"

#define CLAUDE_MCP_PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/*
 * The CLI puts tools behind a search unless their server is to be loaded always, and then waits for
 * that server before it says that it is ready.
 */
static int claude_mcp_extend(json_t *server, bool is_own)
{
	if (!is_own)
		return 0;
	return json_object_set_new(server, "alwaysLoad", json_true()) < 0 ? -ENOMEM : 0;
}

int claude_mcp_write(const struct provider_query *query, char **ret_path, struct err *err)
{
	return cli_mcp_write(query, claude_mcp_extend, ret_path, err);
}

/* As the CLI spells names: each unit of UTF-16 that is not plain becomes a _. */
static void claude_mcp_append_name(const char *name, struct strbuf *out)
{
	for (const char *c = name; *c; c++) {
		unsigned char byte = (unsigned char)*c;

		if (strchr(CLAUDE_MCP_PLAIN, *c))
			strbuf_putc(out, *c);
		else if (byte < 0x80 || byte >= 0xc0)
			strbuf_puts(out, byte >= 0xf0 ? "__" : "_");
	}
}

int claude_mcp_append_patterns(const json_t *servers, struct strbuf *out)
{
	/* jansson iterates over what it does not change, but takes no const. */
	json_t *object = (json_t *)(uintptr_t)servers, *server;
	const char *name;

	json_object_foreach(object, name, server)
	{
		strbuf_puts(out, ",mcp__");
		claude_mcp_append_name(name, out);
		strbuf_puts(out, "__*");
	}
	return out->error;
}
