/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-mcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "runner/io/json.h"
#include "runner/io/rundir.h"

#define CLAUDE_MCP_FILE	 "mcp-servers.json"
#define CLAUDE_MCP_PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/*
 * The CLI puts tools behind a search unless their server is to be loaded always, and then waits for
 * that server before it says that it is ready. 0 or -ENOMEM.
 */
static int claude_mcp_append_servers(const struct provider_query *query, struct strbuf *out)
{
	cleanup_json json_t *servers = json_deep_copy(query->mcp_servers);
	json_t *own = query->own_server ? json_object_get(servers, query->own_server) : NULL;

	if (!servers || (own && json_object_set_new(own, "alwaysLoad", json_true()) < 0))
		return -ENOMEM;
	return json_append_compact(out, servers);
}

int claude_mcp_write(const struct provider_query *query, char **ret_path, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_free char *path = NULL;
	int r;

	if (json_object_size(query->mcp_servers) == 0) {
		*ret_path = NULL;
		return 0;
	}
	if (!query->config_dir)
		return err_set(err, -ENOENT,
			       "there is no private folder for the list of MCP servers");
	if (asprintf(&path, "%s/" CLAUDE_MCP_FILE, query->config_dir) < 0) {
		path = NULL;
		return err_sys(err, -ENOMEM, "cannot tell Claude Code of MCP servers");
	}
	strbuf_puts(&text, "{\"mcpServers\":");
	if (claude_mcp_append_servers(query, &text) < 0 || strbuf_puts(&text, "}\n") < 0)
		return err_sys(err, -ENOMEM, "cannot tell Claude Code of MCP servers");
	r = rundir_write(query->config_dir, CLAUDE_MCP_FILE, text.data, text.len, err);
	if (r == 0)
		*ret_path = steal_ptr(path);
	return r;
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
