#pragma once
/* SPDX-License-Identifier: MIT */
/* The tool that sends a file: a copy of it in the row's own outbox folder, then the row. */
#include "runner/mcp/tools.h"

tools_fn tool_file_send;
