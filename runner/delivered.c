/* SPDX-License-Identifier: MIT */
#include "runner/delivered.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct delivered_block {
	char *to;
	char *body;
	char *thread;  /* of what a tool sent; NULL: none */
	bool expected; /* a repetition of it may come */
	bool is_sent;  /* by a tool */
};

struct delivered {
	struct delivered_block *blocks;
	size_t count;
};

struct delivered *delivered_new(void)
{
	return calloc(1, sizeof(struct delivered));
}

static void delivered_block_deinit(struct delivered_block *block)
{
	free(block->to);
	free(block->body);
	free(block->thread);
}

void delivered_clear(struct delivered *delivered)
{
	for (size_t i = 0; i < delivered->count; i++)
		delivered_block_deinit(&delivered->blocks[i]);
	free(delivered->blocks);
	*delivered = (struct delivered){ .blocks = NULL };
}

void delivered_free(struct delivered *delivered)
{
	if (!delivered)
		return;
	delivered_clear(delivered);
	free(delivered);
}

static void delivered_append(struct delivered *delivered, const char *to, const char *thread,
			     const char *body, bool is_sent)
{
	struct delivered_block *blocks, block = {
		.to = strdup(to),
		.body = strdup(body),
		.thread = thread ? strdup(thread) : NULL,
		.is_sent = is_sent,
	};

	blocks = reallocarray(delivered->blocks, delivered->count + 1, sizeof(*blocks));
	if (blocks)
		delivered->blocks = blocks;
	if (!blocks || !block.to || !block.body || (thread && !block.thread)) {
		free(block.to);
		free(block.body);
		free(block.thread);
		return;
	}
	blocks[delivered->count++] = block;
}

void delivered_add(struct delivered *delivered, const char *to, const char *body)
{
	delivered_append(delivered, to, NULL, body, false);
}

void delivered_add_sent(struct delivered *delivered, const char *to, const char *thread,
			const char *body)
{
	delivered_append(delivered, to, thread, body, true);
}

/* NULL and "" are no thread. */
static bool delivered_same_thread(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static struct delivered_block *delivered_find_sent(const struct delivered *delivered,
						   const char *to, const char *thread,
						   const char *body)
{
	for (size_t i = 0; i < delivered->count; i++) {
		struct delivered_block *block = &delivered->blocks[i];

		if (block->is_sent && strcmp(block->to, to) == 0 &&
		    strcmp(block->body, body) == 0 && delivered_same_thread(block->thread, thread))
			return block;
	}
	return NULL;
}

bool delivered_was_sent(const struct delivered *delivered, const char *to, const char *thread,
			const char *body)
{
	return delivered_find_sent(delivered, to, thread, body) != NULL;
}

bool delivered_take_sent(struct delivered *delivered, const char *to, const char *thread,
			 const char *body)
{
	struct delivered_block *block = delivered_find_sent(delivered, to, thread, body);

	if (!block)
		return false;
	delivered_block_deinit(block);
	*block = delivered->blocks[--delivered->count];
	return true;
}

void delivered_expect(struct delivered *delivered)
{
	for (size_t i = 0; i < delivered->count; i++)
		delivered->blocks[i].expected = true;
}

void delivered_expect_none(struct delivered *delivered)
{
	for (size_t i = 0; i < delivered->count; i++)
		delivered->blocks[i].expected = false;
}

bool delivered_repeats(struct delivered *delivered, const char *to, const char *body)
{
	for (size_t i = 0; i < delivered->count; i++) {
		struct delivered_block *block = &delivered->blocks[i];

		if (block->expected && !block->is_sent && strcmp(block->to, to) == 0 &&
		    strcmp(block->body, body) == 0) {
			block->expected = false;
			return true;
		}
	}
	return false;
}
