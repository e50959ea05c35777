#pragma once
/* SPDX-License-Identifier: MIT */
/* JSON values as lines of text, in and out, for the fake agent: it waits as long as it is told to. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What comes in through a descriptor. All zero but fd to begin with. */
struct lines {
	int fd;
	bool ended;
	char *bytes; /* the owner's to free */
	size_t len, start;
};

int64_t lines_now_ms(void);

/* The next line within so much time (<0: for ever); NULL: none came, no JSON, or the end. */
json_t *lines_next(struct lines *lines, int64_t ms);

/* Writes it as a line and frees it. 0 or -1 with errno. */
int lines_write(int fd, json_t *value);
