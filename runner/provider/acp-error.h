#pragma once
/* SPDX-License-Identifier: MIT */
/* What an error of an ACP agent means: its code and its words, sorted into our classes. */
#include <jansson.h>
#include <stdint.h>

#include "common/strbuf.h"
#include "runner/provider/provider.h"

enum acp_error_code {
	ACP_ERROR_METHOD_NOT_FOUND = -32601,
	ACP_ERROR_AUTH_REQUIRED = -32000,
	ACP_ERROR_NOT_FOUND = -32002,
};

/* The agent's words for it: `message` of a JSON-RPC error, and what `data` adds. 0 or -ENOMEM. */
int acp_error_text(const json_t *error, struct strbuf *out);

/* The class. code: of JSON-RPC, 0 for none. */
enum provider_error acp_error_classify(int64_t code, const char *text);

/*
 * The same of the answer to session/load or session/resume: what is no lack of a key or of a network
 * says that this conversation cannot be had.
 */
enum provider_error acp_error_classify_load(int64_t code, const char *text);
