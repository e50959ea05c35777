#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * `agent-runner mcp`: carries bytes between the agent's end (standard input and output) and the
 * loop's socket. Agents start one for each of their sessions and leave it there, so it is small:
 * two fixed buffers, nothing on the heap, and no idea of what it carries.
 */
#include "common/err.h"

/*
 * Until the socket has ended and all of it is written out. The end of in is passed on, and what the
 * loop still says afterwards is carried. Blocks; fd is non-blocking and stays the caller's. Makes
 * the process ignore SIGPIPE.
 * 0: in ended first, or nobody reads out any more; -ECONNRESET: the loop hung up; or -errno.
 */
int relay_pump(int in, int out, int fd, struct err *err);

/* The same with the socket of the workspace's loop; or what client_connect() returns. */
int relay_run(const char *workspace, int in, int out, struct err *err);
