/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-error.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"

/* First match wins. */
static const struct {
	const char *words;
	enum provider_error error;
} acp_error_words[] = {
	{ "prompt is too long", PROVIDER_TOO_LONG },
	{ "context length", PROVIDER_TOO_LONG },
	{ "context window", PROVIDER_TOO_LONG },
	{ "context_length_exceeded", PROVIDER_TOO_LONG },
	{ "input token count", PROVIDER_TOO_LONG },
	{ "request too large", PROVIDER_TOO_LONG },
	{ "api key not valid", PROVIDER_AUTH },
	{ "invalid api key", PROVIDER_AUTH },
	{ "incorrect api key", PROVIDER_AUTH },
	{ "authentication", PROVIDER_AUTH },
	{ "unauthorized", PROVIDER_AUTH },
	{ "not logged in", PROVIDER_AUTH },
	{ "credit balance", PROVIDER_QUOTA },
	{ "insufficient_quota", PROVIDER_QUOTA },
	{ "quota", PROVIDER_QUOTA },
	{ "usage limit", PROVIDER_QUOTA },
	{ "overloaded", PROVIDER_TRANSIENT },
	{ "rate limit", PROVIDER_TRANSIENT },
	{ "rate_limit", PROVIDER_TRANSIENT },
	{ "too many requests", PROVIDER_TRANSIENT },
	{ "timed out", PROVIDER_TRANSIENT },
	{ "fetch failed", PROVIDER_TRANSIENT },
	{ "econnrefused", PROVIDER_TRANSIENT },
	{ "econnreset", PROVIDER_TRANSIENT },
	{ "enotfound", PROVIDER_TRANSIENT },
	{ "stream disconnected", PROVIDER_TRANSIENT },
	{ "connection error", PROVIDER_TRANSIENT },
	{ "service unavailable", PROVIDER_TRANSIENT },
	{ "internal server error", PROVIDER_TRANSIENT },
};

/* HTTP's, which agents only say as a part of their words. */
static const struct {
	long status;
	enum provider_error error;
} acp_error_statuses[] = {
	{ 401, PROVIDER_AUTH },	     { 402, PROVIDER_QUOTA },	  { 403, PROVIDER_AUTH },
	{ 408, PROVIDER_TRANSIENT }, { 413, PROVIDER_TOO_LONG },  { 429, PROVIDER_TRANSIENT },
	{ 500, PROVIDER_TRANSIENT }, { 502, PROVIDER_TRANSIENT }, { 503, PROVIDER_TRANSIENT },
	{ 504, PROVIDER_TRANSIENT }, { 529, PROVIDER_TRANSIENT },
};

/* Where the words that a person can use stand in `data`, which each agent fills as it likes. */
static const char *const acp_error_details[] = { "details", "message", "error" };

int acp_error_text(const json_t *error, struct strbuf *out)
{
	const json_t *data = json_member(error, "data");
	const char *message = json_member_string(error, "message");
	const char *detail = json_string_value(data);

	for (size_t i = 0; !detail && i < ARRAY_LEN(acp_error_details); i++)
		detail = json_member_string(data, acp_error_details[i]);
	strbuf_puts(out, message ? message : "an error without words");
	if (detail && *detail && !(message && strstr(message, detail)))
		strbuf_printf(out, ": %s", detail);
	return out->error;
}

static enum provider_error acp_error_by_words(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(acp_error_words); i++)
		if (strcasestr(text, acp_error_words[i].words))
			return acp_error_words[i].error;
	return PROVIDER_OK;
}

/* The first number in the text that stands alone and is a status that we know. */
static enum provider_error acp_error_by_status(const char *text)
{
	while (*text) {
		size_t len = 0;

		while (isalnum((unsigned char)text[len]))
			len++;
		for (size_t i = 0; len == 3 && i < ARRAY_LEN(acp_error_statuses); i++)
			if (strtol(text, NULL, 10) == acp_error_statuses[i].status)
				return acp_error_statuses[i].error;
		text += len > 0 ? len : 1;
	}
	return PROVIDER_OK;
}

enum provider_error acp_error_classify(int64_t code, const char *text)
{
	enum provider_error error = acp_error_by_words(text);

	if (error == PROVIDER_OK)
		error = acp_error_by_status(text);
	if (error == PROVIDER_OK && code == ACP_ERROR_AUTH_REQUIRED)
		error = PROVIDER_AUTH;
	return error == PROVIDER_OK ? PROVIDER_OTHER : error;
}

enum provider_error acp_error_classify_load(int64_t code, const char *text)
{
	enum provider_error error = acp_error_classify(code, text);

	return error == PROVIDER_AUTH || error == PROVIDER_TRANSIENT || error == PROVIDER_QUOTA
		       ? error
		       : PROVIDER_INVALID_SESSION;
}
