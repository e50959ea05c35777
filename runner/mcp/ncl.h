#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * `ncl`: has the host carry out a command of its own, through the loop, and prints the answer. Its
 * exit codes are its protocol: 0 done, 1 (EXIT_CODE_FAILED) not done, 2 (EXIT_CODE_NCL_USAGE) wrong
 * usage, or no answer in time.
 */

/*
 * words: what stands behind "ncl", NULL-terminated; NULL: nothing. Prints to standard output and
 * standard error. Returns the exit code.
 */
int ncl_run(const char *workspace, char *const *words);
