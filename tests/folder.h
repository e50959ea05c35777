#pragma once
/* SPDX-License-Identifier: MIT */
/* A private folder for one test, made by mkdtemp(3) and removed with all that is in it. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

struct folder {
	char path[64];
	char file[256]; /* what folder_file() said last */
};

static inline void folder_make(struct folder *folder)
{
	strcpy(folder->path, "/tmp/agent-runner-test-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
}

static inline int folder_remove_entry(const char *path, const struct stat *st, int type,
				      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void folder_remove(struct folder *folder)
{
	assert_int_equal(nftw(folder->path, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The path of something in it; valid until the next call. */
static inline const char *folder_file(struct folder *folder, const char *name)
{
	(void)snprintf(folder->file, sizeof(folder->file), "%s/%s", folder->path, name);
	return folder->file;
}

static inline void folder_mkdir(struct folder *folder, const char *name)
{
	assert_int_equal(mkdir(folder_file(folder, name), 0755), 0);
}

static inline void folder_write(struct folder *folder, const char *name, const char *text)
{
	FILE *file = fopen(folder_file(folder, name), "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}
