/* SPDX-License-Identifier: MIT */
#include "runner/message/overflow.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/fd.h"

#define OVERFLOW_NAME_MAX 128
/* What is kept of an id that is no plain name. */
#define OVERFLOW_READABLE_MAX 64

/* FNV-1a: tells names apart, protects nothing. */
static uint64_t overflow_hash(const char *bytes, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return hash;
}

static bool overflow_is_plain(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.:@+", c);
}

/* The folder's name: the id itself wherever it is a plain name, as hosts name it too. */
static void overflow_folder(const char *id, char *name, size_t size)
{
	char readable[OVERFLOW_READABLE_MAX + 1];
	size_t n = strlen(id), i;
	bool plain = n > 0 && n <= OVERFLOW_NAME_MAX && id[0] != '.';

	for (i = 0; plain && i < n; i++)
		plain = overflow_is_plain(id[i]);
	if (plain) {
		snprintf(name, size, "%s", id);
		return;
	}
	for (i = 0; id[i] && i < OVERFLOW_READABLE_MAX; i++)
		readable[i] = id[i] != '.' && overflow_is_plain(id[i]) ? id[i] : '_';
	readable[i] = '\0';
	snprintf(name, size, "%s-%016llx", readable, (unsigned long long)overflow_hash(id, n));
}

/* Opens the folder name below parent and creates it if it is missing. An fd or -errno. */
static int overflow_open_folder(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Writes through a temporary name: the final one never holds half a text. */
static int overflow_put(int folder, const char *name, const char *text, size_t len)
{
	char temporary[OVERFLOW_NAME_MAX];
	cleanup_close int fd = -1;
	int r;

	snprintf(temporary, sizeof(temporary), ".%s.tmp", name);
	/* One is left behind if we were killed here. */
	if (unlinkat(folder, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(folder, temporary, folder, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(folder, temporary, 0);
	return r;
}

int overflow_write(const char *workspace, const char *id, const char *text, size_t len,
		   struct strbuf *ret_path, struct err *err)
{
	char folder_name[OVERFLOW_NAME_MAX + 1], file_name[64];
	cleanup_close int root = -1, inbox = -1, folder = -1;
	int r;

	overflow_folder(id, folder_name, sizeof(folder_name));
	snprintf(file_name, sizeof(file_name), "text-%016llx.txt",
		 (unsigned long long)overflow_hash(text, len));
	root = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, -errno, "%s", workspace);
	inbox = overflow_open_folder(root, "inbox");
	if (inbox < 0)
		return err_sys(err, inbox, "%s/inbox", workspace);
	folder = overflow_open_folder(inbox, folder_name);
	if (folder < 0)
		return err_sys(err, folder, "%s/inbox/%s", workspace, folder_name);
	r = overflow_put(folder, file_name, text, len);
	if (r < 0)
		return err_sys(err, r, "%s/inbox/%s/%s", workspace, folder_name, file_name);
	return strbuf_printf(ret_path, "%s/inbox/%s/%s", workspace, folder_name, file_name);
}
