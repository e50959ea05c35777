/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/table.h"

/* For a reader that is slow, not gone. Of one that is gone each line costs this. */
#define LOG_PATIENCE_MS 20

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line could block");

static enum log_level log_threshold = LOG_LEVEL_INFO;

static const struct {
	const char *name;
	const char *prefix;
} log_levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "agent-runner: error: " },
	[LOG_LEVEL_WARNING] = { "warning", "agent-runner: warning: " },
	[LOG_LEVEL_INFO] = { "info", "agent-runner: " },
	[LOG_LEVEL_DEBUG] = { "debug", "agent-runner: debug: " },
};
TABLE_COVERS(log_levels, LOG_LEVEL_COUNT);

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

int log_level_from_name(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LEN(log_levels); i++)
		if (strcmp(name, log_levels[i].name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

/*
 * A pipe that nobody empties would hold PID 1, and with it every signal and the container's end,
 * for ever. A line is shorter than PIPE_BUF: where one fits at all it does not block.
 */
static bool log_is_stuck(void)
{
	struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&pollfd, 1, LOG_PATIENCE_MS) == 0;
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t used;
	va_list args;
	int n;

	if (level > log_threshold)
		return;
	used = strlen(log_levels[level].prefix);
	memcpy(line, log_levels[level].prefix, used);
	va_start(args, format);
	n = vsnprintf(line + used, sizeof(line) - used, format, args);
	va_end(args);
	if (n > 0)
		used += (size_t)n;
	if (used > sizeof(line) - 1)
		used = sizeof(line) - 1;
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	if (!log_is_stuck())
		(void)!write(STDERR_FILENO, line, used);
	errno = saved;
}
