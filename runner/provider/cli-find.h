#pragma once
/* SPDX-License-Identifier: MIT */
/* Where the program of an agent CLI is. */

/* 0: it can be executed; -ENOENT; -EACCES: something is there that cannot. */
int cli_find_check(const char *path);

/*
 * Looks for a program in the folders of PATH. 0 and *ret_path, a heap string of the caller; -ENOENT
 * or -ENOMEM.
 */
int cli_find_in_path(const char *name, char **ret_path);
