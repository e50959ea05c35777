#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the user of the chat is told when there is no answer: in words that need no knowledge of
 * what runs behind it, with the agent's own words for those who run it.
 */
#include "common/strbuf.h"
#include "runner/provider/provider.h"

/*
 * Appends the message for an error class. detail: the agent's own words, "" if none; they are cut
 * to a readable length. retry_at_ms: when a limit resets (real time), 0 if unknown. 0 or -ENOMEM.
 */
int notice_compose(enum provider_error error, const char *detail, int64_t retry_at_ms,
		   struct strbuf *out);

/* Appends what is said while an agent that was silent for so long is ended and started again. */
int notice_compose_silence(int64_t silent_ms, struct strbuf *out);

/* The message for one at which all attempts broke off, in this container and before. */
extern const char notice_given_up[];
