#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Bytes in, lines out: the buffer of a newline-delimited protocol. Grows with the longest line up
 * to a limit; a longer line is dropped to its newline and reported. Knows nothing of JSON.
 */
#include <stdbool.h>
#include <stddef.h>

struct ndjson {
	char *data;
	size_t capacity;
	size_t start;	/* first byte not handed out yet */
	size_t scanned; /* no newline between start and here */
	size_t end;
	size_t line_max;
	size_t dropped; /* bytes of the line that is being dropped; 0: none is */
};

void ndjson_init(struct ndjson *reader, size_t line_max);
void ndjson_deinit(struct ndjson *reader);

/* Where to read the next bytes to: at least one byte of room. 0 or -ENOMEM. */
int ndjson_room(struct ndjson *reader, char **ret_room, size_t *ret_size);

/* n bytes were read to where ndjson_room() said. */
void ndjson_filled(struct ndjson *reader, size_t n);

/*
 * The next complete line, NUL-terminated in place, valid until the next call of any function here.
 * 1: a line; 0: none yet; -EFBIG: a line of *ret_len bytes was dropped, go on.
 */
int ndjson_next(struct ndjson *reader, char **ret_line, size_t *ret_len);
