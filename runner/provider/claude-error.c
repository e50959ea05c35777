/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-error.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/table.h"

/* A limit that is over by then is waited for, as any overload is. */
#define CLAUDE_ERROR_SHORT_LIMIT_MS (60 * 1000)

/* First match wins: words are the most precise, then the status, then the CLI's own name for it. */
static const struct {
	const char *words;
	enum provider_error error;
} claude_error_words[] = {
	{ "prompt is too long", PROVIDER_TOO_LONG },
	{ "exceeds the maximum size", PROVIDER_TOO_LONG },
	{ "request too large", PROVIDER_TOO_LONG },
	{ "credit balance is too low", PROVIDER_QUOTA },
	{ "invalid api key", PROVIDER_AUTH },
	{ "please run /login", PROVIDER_AUTH },
	{ "not logged in", PROVIDER_AUTH },
};

static const struct {
	int64_t status;
	enum provider_error error;
} claude_error_statuses[] = {
	{ 401, PROVIDER_AUTH },	     { 402, PROVIDER_QUOTA },	  { 403, PROVIDER_AUTH },
	{ 408, PROVIDER_TRANSIENT }, { 409, PROVIDER_TRANSIENT }, { 413, PROVIDER_TOO_LONG },
	{ 429, PROVIDER_TRANSIENT },
};

static const struct {
	const char *name;
	enum provider_error error;
} claude_error_kinds[] = {
	{ "authentication_failed", PROVIDER_AUTH }, { "oauth_org_not_allowed", PROVIDER_AUTH },
	{ "billing_error", PROVIDER_QUOTA },	    { "rate_limit", PROVIDER_TRANSIENT },
	{ "overloaded", PROVIDER_TRANSIENT },	    { "server_error", PROVIDER_TRANSIENT },
};

static enum provider_error claude_error_by_words(const char *text)
{
	for (size_t i = 0; text && i < ARRAY_LEN(claude_error_words); i++)
		if (strcasestr(text, claude_error_words[i].words))
			return claude_error_words[i].error;
	return PROVIDER_OK;
}

static enum provider_error claude_error_by_status(int64_t status)
{
	for (size_t i = 0; i < ARRAY_LEN(claude_error_statuses); i++)
		if (claude_error_statuses[i].status == status)
			return claude_error_statuses[i].error;
	return status >= 500 ? PROVIDER_TRANSIENT : PROVIDER_OK;
}

static enum provider_error claude_error_by_kind(const char *kind)
{
	for (size_t i = 0; kind && i < ARRAY_LEN(claude_error_kinds); i++)
		if (strcmp(kind, claude_error_kinds[i].name) == 0)
			return claude_error_kinds[i].error;
	return PROVIDER_OK;
}

enum provider_error claude_error_classify(const struct claude_failure *failure, int64_t now_ms,
					  int64_t *ret_retry_at_ms)
{
	enum provider_error error = claude_error_by_words(failure->text);

	*ret_retry_at_ms = 0;
	if (failure->is_limited && failure->resets_at_ms > now_ms + CLAUDE_ERROR_SHORT_LIMIT_MS) {
		*ret_retry_at_ms = failure->resets_at_ms;
		return PROVIDER_QUOTA;
	}
	if (error == PROVIDER_OK && failure->terminal_reason &&
	    strcmp(failure->terminal_reason, "prompt_too_long") == 0)
		error = PROVIDER_TOO_LONG;
	if (error == PROVIDER_OK)
		error = claude_error_by_status(failure->status);
	if (error == PROVIDER_OK)
		error = claude_error_by_kind(failure->kind);
	/* "API Error: …" without a status: the API was not reached, or broke off. */
	if (error == PROVIDER_OK && failure->status == 0 && failure->kind && failure->text &&
	    strncmp(failure->text, "API Error", strlen("API Error")) == 0)
		error = PROVIDER_TRANSIENT;
	return error == PROVIDER_OK ? PROVIDER_OTHER : error;
}

bool claude_error_is_unknown_session(const char *text)
{
	return strstr(text, "No conversation found with session ID") ||
	       strstr(text, "--resume requires a valid session ID");
}
