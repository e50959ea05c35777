#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The way to a session with an ACP agent, step by step: initialize, then a new session or the one
 * that is known, a key if it asks for one, the mode without permissions. Composes what is sent and
 * judges what is answered; owns no process, and waits for nothing itself.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/strbuf.h"
#include "runner/provider/acp-agents.h"
#include "runner/provider/provider.h"

struct acp_open;

enum acp_open_outcome {
	ACP_OPEN_ASKS,	  /* a line was appended, whose answer is awaited */
	ACP_OPEN_LISTENS, /* the conversation is being repeated: acp_open_settled() once it is not */
	ACP_OPEN_DONE,
	ACP_OPEN_FAILED, /* error and words are set */
};

struct acp_open_failure {
	enum provider_error error;
	struct err words;
};

/* Copies what it needs of the query. 0 or -ENOMEM. */
int acp_open_new(const struct acp_agent *agent, const struct provider_query *query,
		 struct acp_open **ret_open);
void acp_open_free(struct acp_open *open);

/* Appends the first line. */
void acp_open_begin(struct acp_open *open, int64_t id, struct strbuf *out);

/* What was asked last is answered; error: NULL, or a JSON-RPC error. id: for the next line. */
enum acp_open_outcome acp_open_answer(struct acp_open *open, const json_t *result,
				      const json_t *error, int64_t id, struct strbuf *out,
				      struct acp_open_failure *ret_failure);
enum acp_open_outcome acp_open_settled(struct acp_open *open, int64_t id, struct strbuf *out);

/* Is the known session being opened? An agent may never answer that. */
bool acp_open_is_resuming(const struct acp_open *open);

/* Its id; NULL before there is one. */
const char *acp_open_session(const struct acp_open *open);

/* The instructions, if the agent takes no system prompt and they have to be said; else NULL. */
const char *acp_open_unsaid(const struct acp_open *open);
/* They were. */
void acp_open_said(struct acp_open *open);
