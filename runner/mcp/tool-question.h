#pragma once
/* SPDX-License-Identifier: MIT */
/* The tool that asks a person a question and waits for the answer. */
#include "runner/mcp/tools.h"

tools_fn tool_question_ask;
