#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The text of one failure, owned by the caller. A function that can fail returns 0, a documented
 * positive outcome, or -errno, and writes here what happened, where, and what to do about it.
 * No heap: it cannot leak and works between fork and exec.
 */

#define ERR_TEXT_MAX 512

struct err {
	char text[ERR_TEXT_MAX]; /* empty: nothing was said */
};

/* Writes the formatted text and returns code unchanged. e may be NULL: the text is dropped. */
int err_set(struct err *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4), cold));

/* As err_set, and appends ": " and the system's words for -code. */
int err_sys(struct err *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4), cold));

/* Puts "prefix: " before what e already says, and returns code unchanged. */
int err_prefix(struct err *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4), cold));
