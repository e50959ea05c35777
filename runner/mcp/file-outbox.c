/* SPDX-License-Identifier: MIT */
#include "runner/mcp/file-outbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/quote.h"
#include "common/utf8.h"
#include "runner/io/copy.h"

/* Of the ids of rows that send a file. */
#define FILE_OUTBOX_PREFIX   "msg-"

#define FILE_OUTBOX_NAME_MAX (FILE_OUTBOX_NAME_SIZE - 1)

/* A longer extension, dot included, is none, and is cut with the name. */
#define FILE_OUTBOX_EXTENSION_MAX 32

static bool file_outbox_has_control(const char *name)
{
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			return true;
	return false;
}

/* What is wrong with a name; NULL: nothing. Hosts do without a file whose name they refuse. */
static const char *file_outbox_fault(const char *name)
{
	if (!name[0])
		return "it is empty";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "it stands for a folder";
	if (strpbrk(name, "/\\"))
		return "it contains / or \\";
	if (file_outbox_has_control(name))
		return "it contains control characters";
	if (copy_is_temporary(name))
		return "unfinished copies are called so";
	if (!utf8_is_valid(name, strlen(name)))
		return "it is not UTF-8";
	return NULL;
}

int file_outbox_name(const char *given, char name[FILE_OUTBOX_NAME_SIZE], struct err *err)
{
	const char *fault = file_outbox_fault(given), *extension = strrchr(given, '.');
	size_t len = strlen(given), tail = extension ? strlen(extension) : 0, head;
	char quoted[QUOTE_SIZE];

	if (fault)
		return err_set(err, -EINVAL, "%s cannot be the name of a file that is sent: %s.",
			       quote(quoted, given, len), fault);
	if (len <= FILE_OUTBOX_NAME_MAX) {
		memcpy(name, given, len + 1);
		return 0;
	}
	if (tail > FILE_OUTBOX_EXTENSION_MAX)
		tail = 0;
	head = utf8_prefix(given, len, FILE_OUTBOX_NAME_MAX - tail);
	memcpy(name, given, head);
	memcpy(name + head, given + len - tail, tail);
	name[head + tail] = '\0';
	return 0;
}

/* Makes a folder if it is missing, and opens it. */
static int file_outbox_enter(int parent, const char *name, bool may_exist, int *ret_fd,
			     struct err *err)
{
	bool is_made = mkdirat(parent, name, 0755) == 0;
	int fd;

	if (!is_made && (errno != EEXIST || !may_exist))
		return err_sys(err, -errno, "cannot make the folder %s", name);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* What is made has to be there after a crash. Some file systems have nothing to write. */
	if (fd >= 0 && is_made && fsync(parent) < 0 && errno != EINVAL && errno != ENOTSUP) {
		int r = -errno;

		close(fd);
		errno = -r;
		fd = -1;
	}
	if (fd < 0) {
		int r = err_sys(err, -errno, "cannot use the folder %s", name);

		if (is_made)
			(void)unlinkat(parent, name, AT_REMOVEDIR);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int file_outbox_make(const char *workspace, const char *id, struct file_outbox *ret_outbox,
		     struct err *err)
{
	cleanup_close int base = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC), outbox = -1,
			  folder = -1;
	int r;

	if (base < 0)
		return err_sys(err, -errno, "cannot use the folder %s", workspace);
	r = file_outbox_enter(base, "outbox", true, &outbox, err);
	if (r == 0)
		r = file_outbox_enter(outbox, id, false, &folder, err);
	if (r < 0)
		return r;
	*ret_outbox = (struct file_outbox){ steal_fd(&outbox), steal_fd(&folder), id };
	return 0;
}

void file_outbox_remove(const struct file_outbox *outbox, const char *name)
{
	if (outbox->folder < 0)
		return;
	(void)unlinkat(outbox->folder, name, 0);
	(void)unlinkat(outbox->outbox, outbox->id, AT_REMOVEDIR);
}

void file_outbox_close(struct file_outbox *outbox)
{
	if (outbox->folder >= 0)
		close(outbox->folder);
	if (outbox->outbox >= 0)
		close(outbox->outbox);
	*outbox = FILE_OUTBOX_NONE;
}

/* When an id of ours was made ("msg-<unix ms>-<6 characters>"); -1: it is none. */
static int64_t file_outbox_time(const char *id)
{
	size_t digits;

	if (strncmp(id, FILE_OUTBOX_PREFIX, strlen(FILE_OUTBOX_PREFIX)) != 0)
		return -1;
	id += strlen(FILE_OUTBOX_PREFIX);
	digits = strspn(id, "0123456789");
	/* Of so few digits nothing overflows. */
	if (digits == 0 || digits > 15 || id[digits] != '-' || strlen(id + digits + 1) != 6)
		return -1;
	return strtoll(id, NULL, 10);
}

static bool file_outbox_is_left(const struct file_outbox_rows *rows, const char *id)
{
	int64_t made_ms = file_outbox_time(id);

	return rows && made_ms >= 0 && made_ms < rows->before_ms &&
	       rows->has(rows->userdata, id) == 0;
}

/* Removes the files: how many that were. Of what else there may be nothing is ours. */
static size_t file_outbox_empty(int folder)
{
	cleanup_closedir DIR *entries = NULL;
	cleanup_close int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	size_t removed = 0;

	entries = fd >= 0 ? fdopendir(fd) : NULL;
	if (!entries)
		return 0;
	(void)steal_fd(&fd);
	for (int i = 0; i < FILE_OUTBOX_SWEEP_MAX && (entry = readdir(entries)); i++)
		if (unlinkat(folder, entry->d_name, 0) == 0)
			removed++;
	return removed;
}

/* What was left in this folder, and then the folder: how many copies that were. */
static size_t file_outbox_sweep_folder(int outbox, const char *id,
				       const struct file_outbox_rows *rows)
{
	cleanup_close int folder =
		openat(outbox, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t removed = folder >= 0 ? copy_sweep(folder) : 0;
	bool is_left = folder >= 0 && file_outbox_is_left(rows, id);

	if (is_left)
		removed += file_outbox_empty(folder);
	/* If it is not empty it stays. */
	if (removed > 0 || is_left)
		(void)unlinkat(outbox, id, AT_REMOVEDIR);
	return removed;
}

size_t file_outbox_sweep(const char *workspace, const struct file_outbox_rows *rows)
{
	cleanup_close int base = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC), outbox = -1;
	cleanup_closedir DIR *folders = NULL;
	const struct dirent *entry;
	size_t removed = 0;

	if (base >= 0)
		outbox = openat(base, "outbox", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	folders = outbox >= 0 ? fdopendir(outbox) : NULL;
	if (!folders)
		return 0;
	(void)steal_fd(&outbox);
	for (int i = 0; i < FILE_OUTBOX_SWEEP_MAX && (entry = readdir(folders)); i++)
		/* No id of ours begins so; above all "." and ".." do. */
		if (entry->d_name[0] != '.')
			removed += file_outbox_sweep_folder(dirfd(folders), entry->d_name, rows);
	return removed;
}
