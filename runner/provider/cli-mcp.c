/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-mcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "runner/io/rundir.h"

#define CLI_MCP_FILE "mcp-servers.json"

static int cli_mcp_append_servers(const struct provider_query *query, cli_mcp_extend_fn *extend,
				  struct strbuf *out)
{
	cleanup_json json_t *servers = json_deep_copy(query->mcp_servers);
	const char *name;
	json_t *server;

	if (!servers)
		return -ENOMEM;
	json_object_foreach(servers, name, server)
	{
		bool is_own = query->own_server && strcmp(name, query->own_server) == 0;

		if (extend(server, is_own) < 0)
			return -ENOMEM;
	}
	return json_append_compact(out, servers);
}

int cli_mcp_write(const struct provider_query *query, cli_mcp_extend_fn *extend, char **ret_path,
		  struct err *err)
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
	if (asprintf(&path, "%s/" CLI_MCP_FILE, query->config_dir) < 0) {
		path = NULL;
		return err_sys(err, -ENOMEM, "cannot tell the agent of MCP servers");
	}
	strbuf_puts(&text, "{\"mcpServers\":");
	if (cli_mcp_append_servers(query, extend, &text) < 0 || strbuf_puts(&text, "}\n") < 0)
		return err_sys(err, -ENOMEM, "cannot tell the agent of MCP servers");
	r = rundir_write(query->config_dir, CLI_MCP_FILE, text.data, text.len, err);
	if (r == 0)
		*ret_path = steal_ptr(path);
	return r;
}
