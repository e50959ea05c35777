#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Scoped ownership: a variable marked cleanup_X releases what it holds when it goes out of scope.
 * Acquire into one that starts as NULL or -1; hand the thing out with steal_ptr() or steal_fd().
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP_DEFINE(name, type, call)                \
	static inline void cleanup_##name##_fn(type *p) \
	{                                               \
		if (*p)                                 \
			call(*p);                       \
	}                                               \
	struct cleanup_needs_semicolon

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free_fn(void *p)
{
	/* p is the address of a pointer of any type; memcpy keeps strict aliasing. */
	void *held;

	__builtin_memcpy(&held, p, sizeof(held));
	free(held);
}

static inline void cleanup_close_fn(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

CLEANUP_DEFINE(fclose, FILE *, (void)fclose);
CLEANUP_DEFINE(closedir, DIR *, (void)closedir);

#define cleanup_free	 CLEANUP(cleanup_free_fn)
#define cleanup_close	 CLEANUP(cleanup_close_fn)
#define cleanup_fclose	 CLEANUP(cleanup_fclose_fn)
#define cleanup_closedir CLEANUP(cleanup_closedir_fn)

/* Takes the pointer out of its variable, which becomes NULL. */
#define steal_ptr(p)                         \
	__extension__({                      \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

/* Takes the descriptor out of its variable, which becomes -1. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
