#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The provider that drives any agent which speaks ACP, the Agent Client Protocol, version 1: one
 * process for many turns, JSON-RPC 2.0 in lines over its stdio. One prompt at a time: what is pushed
 * meanwhile waits here, since agents differ in what they do with a second one.
 *
 * These are the functions of acp-agents.c's rows; struct provider_type says what each has to do. The
 * query's type is one of those rows.
 */
#include "runner/provider/provider.h"

int acp_start(const struct provider_query *query, const struct provider_events *events,
	      void *userdata, struct provider **ret_provider, struct err *err);
int acp_push(struct provider *provider, uint64_t id, const char *text, size_t len, bool is_command);
void acp_interrupt(struct provider *provider);
void acp_stop(struct provider *provider, int64_t kill_after_ms);
bool acp_has_command(const struct provider *provider, const char *word);
bool acp_is_busy(const struct provider *provider);
void acp_free(struct provider *provider);
int acp_probe(const struct provider_query *query, struct err *err);

/* How long it may take to open a known session, so that a test does not wait for it. */
void acp_set_resume_ms(struct provider *provider, int64_t resume_ms);
