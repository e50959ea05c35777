/* SPDX-License-Identifier: MIT */
#include "entrypoint/loader-none.h"

#include <stddef.h>

void *__wrap_dlopen(const char *path, int flags)
{
	(void)path;
	(void)flags;
	return NULL;
}
