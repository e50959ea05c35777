#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the loop's socket understands besides MCP: JSON-RPC methods of our own clients, a line each.
 * "ncl": params {command, args}; the result is the host's frame, an error of code
 * METHODS_TIMED_OUT if none came in time. "compact-instructions": result {text}. "status": result
 * {servers: [{name, status}]}, the MCP servers as the agent last reported them.
 */
#define METHODS_NCL		     "agent-runner/ncl"
#define METHODS_COMPACT_INSTRUCTIONS "agent-runner/compact-instructions"
#define METHODS_STATUS		     "agent-runner/status"

#define METHODS_TIMED_OUT	     (-32001)
