#pragma once
/* SPDX-License-Identifier: MIT */
/* The tools that ask the host to change what the agent has: other agents, packages, MCP servers. */
#include "runner/mcp/tools.h"

tools_fn tool_host_create_agent;
tools_fn tool_host_install_packages;
tools_fn tool_host_add_mcp_server;
