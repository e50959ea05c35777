#pragma once
/* SPDX-License-Identifier: MIT */
/* What a failed result of Claude Code means: its status, names and words, sorted into our classes. */
#include <stdbool.h>
#include <stdint.h>

#include "runner/provider/provider.h"

/* What was said about a failure. Strings may be NULL. */
struct claude_failure {
	int64_t status;		     /* api_error_status; 0: none */
	const char *kind;	     /* member `error` of the assistant line that came before */
	const char *terminal_reason; /* of the result */
	const char *text;	     /* in the CLI's words */
	bool is_limited;	     /* a rate_limit_event said "rejected" */
	int64_t resets_at_ms;	     /* said there, real time; 0: nothing said */
};

/*
 * The class. *ret_retry_at_ms: when a usage limit resets, 0 if that is not known or so near that it
 * is no reason to give up.
 */
enum provider_error claude_error_classify(const struct claude_failure *failure, int64_t now_ms,
					  int64_t *ret_retry_at_ms);

/* Do these words say that a conversation to be resumed is not there? */
bool claude_error_is_unknown_session(const char *text);
