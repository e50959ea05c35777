/* SPDX-License-Identifier: MIT */
#include "runner/shortage.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "runner/memory.h"

struct shortage {
	struct memory *memory; /* NULL: not looked for yet */
	int64_t kills;	       /* as last seen; -1: unknown */
	bool is_told;	       /* in this turn */
};

struct shortage *shortage_new(void)
{
	struct shortage *shortage = calloc(1, sizeof(*shortage));

	if (shortage)
		shortage->kills = -1;
	return shortage;
}

void shortage_free(struct shortage *shortage)
{
	if (!shortage)
		return;
	memory_close(shortage->memory);
	free(shortage);
}

void shortage_begin(struct shortage *shortage)
{
	/* Not at the start: nobody waits for this, but for the first message somebody does. */
	if (!shortage->memory)
		(void)memory_open(&shortage->memory);
	shortage->kills = memory_oom_kills(shortage->memory);
	shortage->is_told = false;
}

/* How many more were killed than when it looked last. */
static int64_t shortage_count(struct shortage *shortage)
{
	int64_t before = shortage->kills;

	if (before < 0)
		return 0;
	shortage->kills = memory_oom_kills(shortage->memory);
	return shortage->kills > before ? shortage->kills - before : 0;
}

/* " (limit 256 MB)", or nothing: without a limit it was the machine's memory. */
static void shortage_limit(const struct shortage *shortage, char text[2 * MEMORY_SIZE_TEXT])
{
	int64_t limit = memory_limit(shortage->memory);
	char size[MEMORY_SIZE_TEXT];

	text[0] = '\0';
	if (limit <= 0)
		return;
	memory_size_text(limit, size);
	(void)snprintf(text, 2 * (size_t)MEMORY_SIZE_TEXT, " (limit %s)", size);
}

bool shortage_struck(struct shortage *shortage, char text[SHORTAGE_TEXT])
{
	int64_t count = shortage_count(shortage);
	bool was_told = shortage->is_told;
	char limit[2 * MEMORY_SIZE_TEXT];

	if (count == 0)
		return false;
	shortage_limit(shortage, limit);
	log_warning("memory ran out%s: the kernel killed %lld process%s of the agent's", limit,
		    (long long)count, count == 1 ? "" : "es");
	(void)snprintf(text, SHORTAGE_TEXT,
		       "Memory ran out in my container%s: the kernel ended a program that I had "
		       "started. I went on without it.",
		       limit);
	shortage->is_told = true;
	return !was_told;
}

bool shortage_ended_agent(struct shortage *shortage, const char *detail, char text[SHORTAGE_TEXT])
{
	char limit[2 * MEMORY_SIZE_TEXT];

	if (shortage_count(shortage) == 0)
		return false;
	shortage_limit(shortage, limit);
	(void)snprintf(text, SHORTAGE_TEXT, "memory ran out%s: %s", limit, detail);
	return true;
}
