#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Where programs keep what they prove themselves with: files that nobody means to have sent into a
 * chat. A guard against a mistake and against a model that was talked into it; an agent that may read
 * such a file can copy it, so what it must not have, it must not be able to read.
 */
#include <stddef.h>
#include <sys/stat.h>

/*
 * Does the open file with this real path, and this state, belong to a store, by its place or as
 * another name of a store's only file? Says in name which one it is, as people write it
 * ("~/.ssh"), cut at size. 1; 0: to none; -errno: it cannot be said.
 */
int credentials_find(const char *real_path, const struct stat *st, char *name, size_t size);
