#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The runtime directory: a private folder (0700) of one workspace's loop on a file system of the
 * container, never on the mount, where sockets would not work. Holds the loop's socket and what an
 * agent CLI has to read. Its name follows from the workspace, so that a client without our
 * environment ("docker exec") finds it.
 *
 * It lies where the agent may write, with our uid: the agent can move it away, remove it, and put
 * anything in its place or in the place of what is in it. Nothing of that is followed or written
 * into, and what is needed is made anew.
 */
#include <stddef.h>

#include "common/err.h"

/* The environment variable that tells clients the socket's path. */
#define RUNDIR_SOCKET_VARIABLE "AGENT_SOCKET"
/* Holds what TMPDIR is if PID 1 has set that (entrypoint/environment.h): then it says nothing. */
#define RUNDIR_TMPDIR_VARIABLE "RUNNER_TMPDIR"

/*
 * Binds the socket of a folder that was made: some file systems (VirtioFS, 9p) refuse it. 0;
 * -EADDRINUSE: another loop serves there, so no other folder is tried; or -errno: one is. After 0
 * the string is what rundir_make() returns.
 */
typedef int rundir_use_fn(void *userdata, const char *rundir, struct err *err);

/*
 * Makes the folder in the first of TMPDIR, /tmp, /dev/shm and /run that takes it, or takes over one
 * that an earlier loop left, with what is in it. One of another owner is not used, nor one below the
 * workspace, nor one that use() fails with, nor one whose socket's path would be too long for an
 * address. What is no folder but ours, a link above all, is removed.
 * 0 with its path, a heap string of the caller; -EADDRINUSE, with the text of use(); or -errno, and
 * err says what was tried.
 */
int rundir_make(const char *workspace, rundir_use_fn *use, void *userdata, char **ret_path,
		struct err *err);

/* The path of the socket in the folder: a heap string of the caller, NULL out of memory. */
char *rundir_socket(const char *rundir);

/*
 * While the loop runs: makes what rundir_make() made, if it is not there any more. 0 or -errno. Of
 * what was in it nothing comes back.
 */
int rundir_renew(const char *rundir, struct err *err);

/*
 * Writes a file of the folder anew, for our user's eyes only; whatever has its name is put aside.
 * Makes the folder if that is missing. 0 or -errno.
 */
int rundir_write(const char *rundir, const char *name, const void *bytes, size_t n,
		 struct err *err);

/*
 * At the loop's end: removes the folder with its files, so that no client waits at the socket and no
 * secret stays behind. What somebody else made a folder of stays. Accepts NULL.
 */
void rundir_remove(const char *rundir);

/*
 * For clients: the socket of the workspace's loop, by RUNDIR_SOCKET_VARIABLE, else by the folder's
 * name. Only one that belongs to our user or, for root, to any. 0 with a heap string of the caller,
 * which fits into an address; -ENOENT: there is none, and err says what to do about it; -EACCES:
 * there is one of another user; or another -errno.
 */
int rundir_find_socket(const char *workspace, char **ret_path, struct err *err);
