#pragma once
/* SPDX-License-Identifier: MIT */
/* The tools for work that the host wakes the agent for later. The host keeps the tasks. */
#include "runner/mcp/tools.h"

tools_fn tool_task_schedule;
tools_fn tool_task_list;
tools_fn tool_task_cancel;
tools_fn tool_task_pause;
tools_fn tool_task_resume;
tools_fn tool_task_update;
