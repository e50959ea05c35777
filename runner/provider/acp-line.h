#pragma once
/* SPDX-License-Identifier: MIT */
/* The lines that an ACP agent reads. Each ends with a newline; a failure is sticky in the strbuf. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/strbuf.h"

void acp_line_initialize(struct strbuf *out, int64_t id);
void acp_line_authenticate(struct strbuf *out, int64_t id, const char *method);

/* How a system prompt is handed over. */
enum acp_line_prompt {
	ACP_LINE_NO_PROMPT,
	ACP_LINE_META_PROMPT,	/* _meta.systemPrompt.append */
	ACP_LINE_SYSTEM_PROMPT, /* systemPrompt, where the agent announces it */
};

/* What opens a session, of one that is there or not. */
struct acp_line_session {
	const char *method;  /* session/new, session/load, session/resume */
	const char *session; /* NULL: a new one */
	const char *cwd;
	const json_t *servers; /* as struct provider_query has them; NULL: none */
	bool has_http;	       /* servers of these types are understood */
	bool has_sse;
	enum acp_line_prompt prompt;
	const char *instructions;
};

void acp_line_session(struct strbuf *out, int64_t id, const struct acp_line_session *spec);
void acp_line_set_mode(struct strbuf *out, int64_t id, const char *session, const char *mode);

/* instructions: put before the text; NULL: none. */
void acp_line_prompt(struct strbuf *out, int64_t id, const char *session, const char *instructions,
		     const char *text, size_t len);
void acp_line_cancel(struct strbuf *out, const char *session);

/* Answers to what the agent asked under this id. option NULL: none of those that it offers. */
void acp_line_permit(struct strbuf *out, const json_t *id, const char *option);
void acp_line_refuse(struct strbuf *out, const json_t *id);
