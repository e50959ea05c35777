#pragma once
/* SPDX-License-Identifier: MIT */
/* The tools that say something to people: messages, changes of them, reactions, cards. */
#include "runner/mcp/tools.h"

tools_fn tool_message_send;
tools_fn tool_message_edit;
tools_fn tool_message_react;
tools_fn tool_message_card;
