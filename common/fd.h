#pragma once
/* SPDX-License-Identifier: MIT */
/* Small operations on file descriptors that both halves need. None of them logs. */
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* 0 or -errno. */
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

/* Writes all n bytes; EINTR is retried, and a full non-blocking fd waited for. 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t n);

/*
 * Reads the whole regular file into a heap string owned by the caller, with a NUL behind it.
 * 0; -EFBIG: more than limit bytes; -EISDIR or -EINVAL: no regular file (a FIFO is never waited
 * for, a device never opened); or -errno of open and read.
 */
int fd_read_file(const char *path, size_t limit, char **ret_text, size_t *ret_len, struct err *err);

/* The same of a file that is open already. path is for the error text; fd stays the caller's. */
int fd_read_regular(int fd, const char *path, size_t limit, char **ret_text, size_t *ret_len,
		    struct err *err);

/* Reads from fd to its end, with the same ownership and limit. Blocks. */
int fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_len, struct err *err);

/* Marks every fd from first on close-on-exec (close_range(2), or /proc/self/fd where missing). */
void fd_cloexec_from(int first);

/* Opens /dev/null on those of 0, 1 and 2 that are closed: an fd of ours must never become one. */
int fd_open_standard(void);
