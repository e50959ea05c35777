/* SPDX-License-Identifier: MIT */
#include "tests/faults/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINES_READ 65536

int64_t lines_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is there something to be read, or an end? */
static bool lines_wait(int fd, int64_t ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, ms < 0 ? -1 : (int)ms) > 0;
}

static void lines_fill(struct lines *lines)
{
	char *bytes;
	ssize_t n;

	if (lines->start > 0) {
		memmove(lines->bytes, lines->bytes + lines->start, lines->len - lines->start);
		lines->len -= lines->start;
		lines->start = 0;
	}
	bytes = realloc(lines->bytes, lines->len + LINES_READ);
	if (!bytes) {
		lines->ended = true;
		return;
	}
	lines->bytes = bytes;
	n = read(lines->fd, bytes + lines->len, LINES_READ);
	if (n > 0)
		lines->len += (size_t)n;
	else if (n == 0 || errno != EINTR)
		lines->ended = true;
}

json_t *lines_next(struct lines *lines, int64_t ms)
{
	int64_t deadline = lines_now_ms() + ms;

	for (;;) {
		char *start = lines->bytes ? lines->bytes + lines->start : NULL;
		char *end = start ? memchr(start, '\n', lines->len - lines->start) : NULL;
		int64_t left = ms < 0 ? -1 : deadline - lines_now_ms();

		if (end) {
			lines->start += (size_t)(end - start) + 1;
			return json_loadb(start, (size_t)(end - start), 0, NULL);
		}
		if (lines->ended || (ms >= 0 && left < 0) || !lines_wait(lines->fd, left))
			return NULL;
		lines_fill(lines);
	}
}

int lines_write(int fd, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0, done = 0;

	json_decref(value);
	if (!text)
		return -1;
	text[len++] = '\n';
	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n > 0)
			done += (size_t)n;
	}
	free(text);
	return done == len ? 0 : -1;
}
