#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * When a conversation is archived: a moment after its compaction, because the CLI writes its
 * transcript late, and at the latest when it ends.
 */
#include "runner/provider/provider.h"

struct claude_archive;

/* The CLI's transcripts are looked for below CLAUDE_CONFIG_DIR, else below ~/.claude. */
int claude_archive_new(const struct provider_query *query, struct claude_archive **ret_archive);
void claude_archive_free(struct claude_archive *archive);

/* conversation was compacted. Without a folder for archives nothing happens, ever. */
void claude_archive_soon(struct claude_archive *archive, const char *conversation);

/* Archives now what is still to be archived. */
void claude_archive_finish(struct claude_archive *archive);
