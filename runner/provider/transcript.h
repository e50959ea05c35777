#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Keeps a conversation readable before Claude Code shortens it: its transcript (JSON lines below
 * ~/.claude/projects) becomes a Markdown file with what was said, and nothing else.
 *
 * The agent can write everything that is read here, and the folder that is written to: no link is
 * followed to a file, and none is written through.
 */
#include <stdint.h>

#include "common/err.h"

struct transcript {
	const char *config_dir;	    /* Claude Code's folder: CLAUDE_CONFIG_DIR, or ~/.claude */
	const char *conversation;   /* its id */
	const char *assistant_name; /* NULL: "Assistant" */
	const char *archive_dir;    /* made if it is missing; its parent is not */
	int64_t now_ms;		    /* real time */
};

/*
 * Writes <archive_dir>/<date>-<summary, or conversation-HHMM>.md anew. 0; 1: there is no transcript
 * of this conversation, or nothing in it; <0: -errno, err says what failed.
 */
int transcript_archive(const struct transcript *transcript, struct err *err);
