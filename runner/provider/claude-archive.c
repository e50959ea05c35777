/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "runner/provider/transcript.h"

/* What was said last is in the file after a tenth of that. */
#define CLAUDE_ARCHIVE_DELAY_MS 1000

struct claude_archive {
	struct loop_timer *timer;
	char *config_dir;
	char *folder; /* NULL: nothing is archived */
	char *assistant_name;
	char *conversation; /* to be archived; NULL: none is */
	int64_t compacted_ms;
};

/* Copies text if there is one. */
static int claude_archive_keep(char **ret_copy, const char *text)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

static int claude_archive_keep_config_dir(struct claude_archive *archive)
{
	const char *set = getenv("CLAUDE_CONFIG_DIR"), *home = getenv("HOME");

	if (set)
		return claude_archive_keep(&archive->config_dir, set);
	if (asprintf(&archive->config_dir, "%s/.claude", home ? home : "") >= 0)
		return 0;
	archive->config_dir = NULL;
	return -ENOMEM;
}

static void claude_archive_on_timer(void *userdata)
{
	claude_archive_finish(userdata);
}

int claude_archive_new(const struct provider_query *query, struct claude_archive **ret_archive)
{
	struct claude_archive *archive = calloc(1, sizeof(*archive));
	int r;

	if (!archive)
		return -ENOMEM;
	r = claude_archive_keep_config_dir(archive);
	if (r == 0)
		r = claude_archive_keep(&archive->folder, query->archive_dir);
	if (r == 0)
		r = claude_archive_keep(&archive->assistant_name, query->assistant_name);
	if (r == 0)
		r = loop_timer_new(query->loop, claude_archive_on_timer, archive, &archive->timer);
	if (r < 0) {
		claude_archive_free(archive);
		return r;
	}
	*ret_archive = archive;
	return 0;
}

void claude_archive_free(struct claude_archive *archive)
{
	if (!archive)
		return;
	loop_timer_free(archive->timer);
	free(archive->config_dir);
	free(archive->folder);
	free(archive->assistant_name);
	free(archive->conversation);
	free(archive);
}

void claude_archive_soon(struct claude_archive *archive, const char *conversation)
{
	if (!archive->folder)
		return;
	free(archive->conversation);
	archive->conversation = strdup(conversation);
	archive->compacted_ms = clock_realtime_ms();
	loop_timer_arm(archive->timer, CLAUDE_ARCHIVE_DELAY_MS);
}

void claude_archive_finish(struct claude_archive *archive)
{
	const struct transcript transcript = {
		.config_dir = archive->config_dir,
		.conversation = archive->conversation,
		.assistant_name = archive->assistant_name,
		.archive_dir = archive->folder,
		.now_ms = archive->compacted_ms,
	};
	struct err err;
	int r;

	loop_timer_disarm(archive->timer);
	if (!archive->conversation)
		return;
	r = transcript_archive(&transcript, &err);
	if (r > 0)
		log_warning("the conversation is not archived: it has no transcript in %s",
			    archive->config_dir);
	else if (r < 0)
		log_warning("the conversation is not archived: %s", err.text);
	free(archive->conversation);
	archive->conversation = NULL;
}
