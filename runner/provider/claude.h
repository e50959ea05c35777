#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The provider that drives Claude Code: one process for many turns, spoken to in newline-delimited
 * JSON over its stdio. The CLI is AGENT_CLAUDE_PATH, else /pnpm/claude, else `claude` in PATH; one
 * that is missing or broken is reported by `exited` like any other end.
 */
#include "runner/provider/provider.h"

extern const struct provider_type claude_provider;

/* How long it may be idle and owe a result, so that a test does not wait for it. */
void claude_set_settle_ms(struct provider *provider, int64_t settle_ms);
