/* SPDX-License-Identifier: MIT */
#include "runner/inflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct inflight {
	struct inflight_tool tools[INFLIGHT_MAX];
	size_t count;
};

struct inflight *inflight_new(void)
{
	return calloc(1, sizeof(struct inflight));
}

void inflight_free(struct inflight *inflight)
{
	free(inflight);
}

static struct inflight_tool *inflight_find(struct inflight *inflight, const char *id)
{
	for (size_t i = 0; i < inflight->count; i++)
		if (strncmp(inflight->tools[i].id, id, INFLIGHT_NAME_MAX - 1) == 0)
			return &inflight->tools[i];
	return NULL;
}

void inflight_start(struct inflight *inflight, const char *id, const char *name, int64_t timeout_ms)
{
	struct inflight_tool *tool;

	if (inflight_find(inflight, id) || inflight->count == INFLIGHT_MAX)
		return;
	tool = &inflight->tools[inflight->count++];
	(void)snprintf(tool->id, sizeof(tool->id), "%s", id);
	(void)snprintf(tool->name, sizeof(tool->name), "%s", name);
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
