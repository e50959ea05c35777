/* SPDX-License-Identifier: MIT */
#include "runner/io/ndjson.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The size of one read, and what an idle reader keeps. */
#define NDJSON_STEP (16 * 1024)

void ndjson_init(struct ndjson *reader, size_t line_max)
{
	*reader = (struct ndjson){ .line_max = line_max };
}

void ndjson_deinit(struct ndjson *reader)
{
	free(reader->data);
	reader->data = NULL;
}

int ndjson_room(struct ndjson *reader, char **ret_room, size_t *ret_size)
{
	size_t held = reader->end - reader->start;

	if (reader->start > 0) {
		memmove(reader->data, reader->data + reader->start, held);
		reader->scanned -= reader->start;
		reader->start = 0;
		reader->end = held;
	}
	if (held == 0 && reader->capacity > 16 * NDJSON_STEP) {
		/* One huge line must not be paid for ever after. */
		free(reader->data);
		reader->data = NULL;
		reader->capacity = 0;
	}
	if (reader->capacity - held < NDJSON_STEP / 2) {
		size_t capacity = reader->capacity ? 2 * reader->capacity : NDJSON_STEP;
		char *data = realloc(reader->data, capacity);

		if (!data)
			return -ENOMEM;
		reader->data = data;
		reader->capacity = capacity;
	}
	*ret_room = reader->data + reader->end;
	*ret_size = reader->capacity - reader->end;
	return 0;
}

void ndjson_filled(struct ndjson *reader, size_t n)
{
	reader->end += n;
}

/* Gives up the line begun so far, once it is longer than allowed. */
static void ndjson_drop(struct ndjson *reader)
{
	size_t held = reader->end - reader->start;

	if (!reader->dropped && held <= reader->line_max)
		return;
	reader->dropped += held;
	reader->start = reader->scanned = reader->end = 0;
}

int ndjson_next(struct ndjson *reader, char **ret_line, size_t *ret_len)
{
	char *newline = NULL;
	size_t len;

	if (reader->scanned < reader->end)
		newline =
			memchr(reader->data + reader->scanned, '\n', reader->end - reader->scanned);
	if (!newline) {
		reader->scanned = reader->end;
		ndjson_drop(reader);
		return 0;
	}
	*ret_line = reader->data + reader->start;
	len = (size_t)(newline - *ret_line);
	reader->start += len + 1;
	reader->scanned = reader->start;
	if (reader->dropped || len > reader->line_max) {
		*ret_len = reader->dropped + len;
		reader->dropped = 0;
		return -EFBIG;
	}
	*newline = '\0';
	*ret_len = len;
	return 1;
}
