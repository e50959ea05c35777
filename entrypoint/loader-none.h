#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * In place of parts of the loader in the static binary, which loads no code: the linker leads to them
 * whoever calls the ones of the C library (--wrap).
 */

/*
 * SQLite calls it for extensions, which nobody here asks it for. NULL: it then says that the extension
 * cannot be opened.
 */
void *__wrap_dlopen(const char *path, int flags);

/*
 * Where the program lies, for a loader that looks for "$ORIGIN": glibc asks /proc/self/exe at each start,
 * and a first look into /proc costs some 35 us. -1: unknown, as glibc itself has it.
 */
const char *__wrap__dl_get_origin(void);
