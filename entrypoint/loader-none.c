/* SPDX-License-Identifier: MIT */
#include "entrypoint/loader-none.h"

#include <stddef.h>
#include <stdint.h>

void *__wrap_dlopen(const char *path, int flags)
{
	(void)path;
	(void)flags;
	return NULL;
}

const char *__wrap__dl_get_origin(void)
{
	return (const char *)UINTPTR_MAX;
}
