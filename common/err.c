/* SPDX-License-Identifier: MIT */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list args;

	if (!e)
		return code;
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return code;
}

int err_sys(struct err *e, int code, const char *format, ...)
{
	va_list args;
	size_t used;
	int n;

	if (!e)
		return code;
	va_start(args, format);
	n = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	used = n < 0 ? 0 : (size_t)n;
	if (used < sizeof(e->text))
		(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(-code));
	return code;
}

int err_prefix(struct err *e, int code, const char *format, ...)
{
	char old[ERR_TEXT_MAX];
	va_list args;
	size_t used;
	int n;

	if (!e)
		return code;
	memcpy(old, e->text, sizeof(old));
	va_start(args, format);
	n = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	used = n < 0 ? 0 : (size_t)n;
	if (used < sizeof(e->text))
		(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", old);
	return code;
}
