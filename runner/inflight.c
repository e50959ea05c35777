/* SPDX-License-Identifier: MIT */
#include "runner/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"

/* As many as most agents ever run at once; INFLIGHT_MAX is a power of two times as many. */
#define INFLIGHT_FEW 8

struct inflight {
	struct inflight_tool *tools;
	size_t count, capacity;
};

struct inflight *inflight_new(void)
{
	return calloc(1, sizeof(struct inflight));
}

void inflight_free(struct inflight *inflight)
{
	if (!inflight)
		return;
	free(inflight->tools);
	free(inflight);
}

/* Copies what fits, without cutting a character: the name is stored where the host reads it. */
static void inflight_copy(char copy[INFLIGHT_NAME_MAX], const char *text)
{
	size_t n = utf8_prefix(text, strlen(text), INFLIGHT_NAME_MAX - 1);

	memcpy(copy, text, n);
	copy[n] = '\0';
}

static struct inflight_tool *inflight_find(struct inflight *inflight, const char *id)
{
	char kept[INFLIGHT_NAME_MAX];

	inflight_copy(kept, id);
	for (size_t i = 0; i < inflight->count; i++)
		if (strcmp(inflight->tools[i].id, kept) == 0)
			return &inflight->tools[i];
	return NULL;
}

/* Makes room for one more. 0; -ENOSPC: there are too many; or -ENOMEM. */
static int inflight_grow(struct inflight *inflight)
{
	size_t capacity = inflight->capacity ? inflight->capacity * 2 : INFLIGHT_FEW;
	struct inflight_tool *tools;

	if (inflight->count < inflight->capacity)
		return 0;
	if (inflight->count == INFLIGHT_MAX)
		return -ENOSPC;
	tools = reallocarray(inflight->tools, capacity, sizeof(*tools));
	if (!tools)
		return -ENOMEM;
	inflight->tools = tools;
	inflight->capacity = capacity;
	return 0;
}

void inflight_start(struct inflight *inflight, const char *id, const char *name, int64_t timeout_ms)
{
	struct inflight_tool *tool;

	if (inflight_find(inflight, id) || inflight_grow(inflight) < 0)
		return;
	tool = &inflight->tools[inflight->count++];
	inflight_copy(tool->id, id);
	inflight_copy(tool->name, name);
	tool->timeout_ms = timeout_ms;
	tool->started_ms = clock_realtime_ms();
}

void inflight_end(struct inflight *inflight, const char *id)
{
	struct inflight_tool *tool = inflight_find(inflight, id);
	size_t after;

	if (!tool)
		return;
	after = inflight->count - (size_t)(tool - inflight->tools) - 1;
	memmove(tool, tool + 1, after * sizeof(*tool));
	inflight->count--;
}

void inflight_clear(struct inflight *inflight)
{
	inflight->count = 0;
}

const struct inflight_tool *inflight_published(const struct inflight *inflight)
{
	const struct inflight_tool *best = NULL;

	for (size_t i = 0; i < inflight->count; i++)
		if (!best || inflight->tools[i].timeout_ms > best->timeout_ms)
			best = &inflight->tools[i];
	return best;
}
