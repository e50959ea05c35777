#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The provider without an agent: it answers each chat message of a prompt with
 * <message to="FROM">echo: TEXT</message>, and each task with "echo: PROMPT" to the first
 * destination. For demos, tests and measuring; it needs no environment and starts no process.
 *
 * AGENT_MOCK_DELAY_MS  how long an answer takes
 * AGENT_MOCK_RESULT    the literal result text, instead of the echo
 * AGENT_MOCK_ERROR     an error class (provider_error_name); "invalid_session" and "too_long" are
 *                      raised only while an earlier conversation is resumed
 */
#include "runner/provider/provider.h"

extern const struct provider_type mock_provider;
