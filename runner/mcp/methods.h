#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the loop's socket understands besides MCP: JSON-RPC methods of our own clients. "ncl": params
 * {command, args}; the result is the host's frame, an error of code METHODS_TIMED_OUT if none came
 * in time. "compact-instructions": result {text}. "status": result {servers: [{name, status}]}, the
 * MCP servers as the agent last reported them.
 */
#include <jansson.h>

#include "runner/mcp/call.h"

#define METHODS_NCL		     "agent-runner/ncl"
#define METHODS_COMPACT_INSTRUCTIONS "agent-runner/compact-instructions"
#define METHODS_STATUS		     "agent-runner/status"

/* Beyond what JSON-RPC and MCP keep for themselves. */
#define METHODS_TIMED_OUT (-31001)
/* How long the host has for a command. */
#define METHODS_NCL_MS (30 * 1000)

/* Carries out METHODS_NCL. The call's answer is the frame as JSON text. */
void methods_ncl(struct call *call, const json_t *params);
