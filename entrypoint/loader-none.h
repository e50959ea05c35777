#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * In place of dlopen(3) in the static binary, which loads no code: the linker leads to it whoever
 * calls dlopen (--wrap). That is SQLite, for extensions, which nobody here asks it for.
 */

/* NULL: SQLite then says that the extension cannot be opened. */
void *__wrap_dlopen(const char *path, int flags);
