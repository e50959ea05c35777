#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One line on stderr for each call, written with a single write(2), so that lines of several
 * processes never mix. Control characters are shown as '?': logged text cannot forge a line.
 * Message text and secrets are logged at debug level only, if at all.
 * A line that stderr's reader leaves no room for is dropped: nothing waits for a log.
 * The level is the program's only mutable global.
 */

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT,
};

/* The longest line, the newline included; what is longer is cut. */
#define LOG_LINE_MAX 2048

void log_set_level(enum log_level level);

/* Finds the level of this name ("error", "warning", "info", "debug"). 0, or -EINVAL. */
int log_level_from_name(const char *name, enum log_level *ret_level);

/* Usable after fork and in PID 1: no heap, no stdio stream, errno is kept. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
