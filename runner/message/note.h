#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the agent is told of things that happened to its messages and tools, each a <system> line of
 * ours. Words of others in it are quoted and escaped, as in a prompt.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/strbuf.h"

/* All append one note without a newline. 0 or -ENOMEM. */

/* An MCP server did not start. status: in the agent CLI's words. */
int note_server_failed(const char *name, const char *status, struct strbuf *out);

/*
 * A question was answered when nobody waited any more: it timed out, its call was cancelled, or the
 * container ended. asked: content of the row that asked; answer:
 * content of the row that answers.
 */
int note_late_answer(const json_t *asked, const json_t *answer, struct strbuf *out);

/*
 * The host could not deliver a message, or do what a system row asks. seq: its number; to: the
 * destination's name, NULL if it has none; content: of its row.
 */
int note_undelivered(int64_t seq, const char *to, const json_t *content, struct strbuf *out);

/*
 * Something that was sent before an attempt broke off, for note_resumed(). to: the destination's
 * name, NULL if it has none; content: of its row.
 */
int note_sent(const char *to, const json_t *content, struct strbuf *out);

/*
 * An attempt at the messages that follow broke off. sent: of note_sent(), NULL if there was none;
 * more: there may have been more before that.
 */
int note_resumed(const char *sent, bool more, struct strbuf *out);

/* Behind those of note_undelivered(): there were more of them before, too many to be told one by one. */
int note_more_undelivered(struct strbuf *out);
