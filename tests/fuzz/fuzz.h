#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets share: the entry that libFuzzer and replay.c call, what must hold, the parts of
 * an input, and a place for files. A target that needs several texts takes them from one input cut
 * at a character, so that a person can write and read its corpus.
 */
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert(3) it is never compiled out. */
#define fuzz_must(condition)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fuzz_text {
	const char *data;
	size_t len;
};

/* Cuts what stands before the next separator, or all of it, off the front of rest. */
static inline struct fuzz_text fuzz_cut(struct fuzz_text *rest, char separator)
{
	const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	struct fuzz_text part = { rest->data, end ? (size_t)(end - rest->data) : rest->len };
	size_t step = end ? part.len + 1 : part.len;

	rest->data += step;
	rest->len -= step;
	return part;
}

/* A heap copy with a NUL behind it, of just that size: reading beyond it is seen. */
static inline char *fuzz_dup(struct fuzz_text text)
{
	char *copy = malloc(text.len + 1);

	fuzz_must(copy);
	if (text.len)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return copy;
}

/* The log of what is wrong with an input would be all that a run shows. */
static inline void fuzz_quiet(void)
{
	log_set_level(LOG_LEVEL_ERROR);
}

/* Makes the bytes the whole content of fd. */
static inline void fuzz_fill(int fd, const void *data, size_t size)
{
	fuzz_must(ftruncate(fd, 0) == 0);
	fuzz_must(pwrite(fd, data, size, 0) == (ssize_t)size);
}

/* A file in memory with a path, for a parser that opens one: made once, filled for each input. */
static inline const char *fuzz_file(const void *data, size_t size)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		fuzz_must(fd >= 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	fuzz_fill(fd, data, size);
	return path;
}

static inline int fuzz_remove_entry(const char *path, const struct stat *st, int type,
				    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fuzz_remove(const char *path)
{
	(void)nftw(path, fuzz_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static char fuzz_folder_path[256];

static inline void fuzz_folder_remove(void)
{
	fuzz_remove(fuzz_folder_path);
}

/*
 * A private folder in memory, made at the first call and removed at the end. After a crash it stays
 * behind: tests/fuzz/run.py hands out a TMPDIR of its own, and removes that.
 */
static inline const char *fuzz_folder(void)
{
	const char *top = getenv("TMPDIR");

	if (fuzz_folder_path[0])
		return fuzz_folder_path;
	if (!top)
		top = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(fuzz_folder_path, sizeof(fuzz_folder_path), "%s/agent-runner-fuzz-XXXXXX",
		       top);
	fuzz_must(mkdtemp(fuzz_folder_path));
	fuzz_must(atexit(fuzz_folder_remove) == 0);
	return fuzz_folder_path;
}
