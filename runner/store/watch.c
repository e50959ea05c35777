/* SPDX-License-Identifier: MIT */
#include "runner/store/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

/* https://www.sqlite.org/fileformat.html, "The Database Header" */
#define WATCH_HEADER_SIZE    28
#define WATCH_MAGIC	     "SQLite format 3"
#define WATCH_WRITE_VERSION  18 /* 2: WAL */
#define WATCH_READ_VERSION   19
#define WATCH_CHANGE_COUNTER 24

/*
 * The change counter rises once for each commit. The rest of the stamp tells a file that was
 * replaced, or rolled back and written again, which may bear the same counter.
 */
struct watch_stamp {
	bool valid;
	unsigned char counter[4];
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

struct watch {
	int64_t settle_ms;
	int64_t marked_ms; /* monotonic */
	bool rests;	   /* the file is as marked, and was so when the mark had settled */
	char *path;
	char *journal;
	const char *name; /* path's last component */
	int fd;
	struct watch_stamp mark;
	struct watch_stamp seen; /* by the last watch_changed(), if it had to read */
	int64_t seen_ms;
};

/* Reads the header through a descriptor of its own: a kept one can be stale on network mounts. */
static ssize_t watch_read(const char *path, unsigned char *header, struct stat *st)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	n = pread(fd, header, WATCH_HEADER_SIZE, 0);
	return n < 0 ? -errno : n;
}

static void watch_stamp(const char *path, struct watch_stamp *ret_stamp)
{
	unsigned char header[WATCH_HEADER_SIZE];
	struct stat st;

	*ret_stamp = (struct watch_stamp){ .valid = false };
	if (watch_read(path, header, &st) < WATCH_HEADER_SIZE)
		return;
	memcpy(ret_stamp->counter, header + WATCH_CHANGE_COUNTER, sizeof(ret_stamp->counter));
	ret_stamp->device = st.st_dev;
	ret_stamp->inode = st.st_ino;
	ret_stamp->size = st.st_size;
	ret_stamp->modified = st.st_mtim;
	ret_stamp->valid = true;
}

enum watch_header watch_header(const char *path)
{
	unsigned char header[WATCH_HEADER_SIZE];
	struct stat st;
	ssize_t n = watch_read(path, header, &st);

	if (n == -ENOENT)
		return WATCH_MISSING;
	/*
	 * It could not be opened, so nothing is known of it: whoever owns it may close it, and open
	 * it again, at any time. (-EINVAL, -EIO: of what was opened.)
	 */
	if (n < 0 && n != -EINVAL && n != -EIO) {
		errno = (int)-n;
		return WATCH_CLOSED;
	}
	if (n == 0)
		return WATCH_EMPTY;
	if (n < WATCH_HEADER_SIZE || memcmp(header, WATCH_MAGIC, sizeof(WATCH_MAGIC)) != 0)
		return WATCH_ALIEN;
	if (header[WATCH_WRITE_VERSION] == 2 || header[WATCH_READ_VERSION] == 2)
		return WATCH_WAL;
	return WATCH_DATABASE;
}

/* The folder is watched, not the file: it may be missing, or be replaced by rename. */
static int watch_start_inotify(struct watch *watch)
{
	const uint32_t mask =
		IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_ONLYDIR;
	cleanup_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	cleanup_free char *copy = strdup(watch->path);

	if (fd < 0)
		return -errno;
	if (!copy)
		return -ENOMEM;
	if (inotify_add_watch(fd, dirname(copy), mask) < 0)
		return -errno;
	watch->fd = steal_fd(&fd);
	return 0;
}

int watch_new(const char *path, bool use_inotify, struct watch **ret_watch, struct err *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	const char *slash;
	int r;

	if (!watch)
		return err_sys(err, -ENOMEM, "cannot watch %s", path);
	watch->fd = -1;
	watch->settle_ms = WATCH_SETTLE_MS;
	watch->path = strdup(path);
	if (!watch->path || asprintf(&watch->journal, "%s-journal", path) < 0) {
		watch->journal = NULL;
		watch_free(watch);
		return err_sys(err, -ENOMEM, "cannot watch %s", path);
	}
	slash = strrchr(watch->path, '/');
	watch->name = slash ? slash + 1 : watch->path;
	r = use_inotify ? watch_start_inotify(watch) : 0;
	if (r < 0)
		log_warning(
			"cannot watch %s with inotify (%s): new messages are noticed by polling",
			path, strerror(-r));
	*ret_watch = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch->path);
	free(watch->journal);
	free(watch);
}

int watch_fd(const struct watch *watch)
{
	return watch->fd;
}

/* Does the event name the database or its journal? */
static bool watch_concerns(const struct watch *watch, const struct inotify_event *event)
{
	size_t len = strlen(watch->name);

	if (event->mask & IN_Q_OVERFLOW)
		return true;
	return event->len > 0 && strncmp(event->name, watch->name, len) == 0 &&
	       (event->name[len] == '\0' || strcmp(event->name + len, "-journal") == 0);
}

bool watch_drain(struct watch *watch)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool concerns = false;
	struct stat st;
	ssize_t n;

	while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0)
		for (const char *p = buffer; p < buffer + n;) {
			const struct inotify_event *event = (const void *)p;

			concerns |= watch_concerns(watch, event);
			p += sizeof(*event) + event->len;
		}
	/*
	 * In DELETE mode the end of a commit is the end of its journal. While there is one, a
	 * reader would only wait for the lock. (A journal that a dead host left behind is dealt
	 * with by the poll.)
	 */
	return concerns && !(stat(watch->journal, &st) == 0 && st.st_size > 0);
}

/*
 * Is it the file of the mark, as far as its attributes tell? Asked of the server where the file lies
 * on one: what the kernel remembers of a network mount may be a minute old (statx(2)).
 */
static bool watch_looks_unchanged(const struct watch *watch)
{
	const struct watch_stamp *mark = &watch->mark;
	struct statx now;

	return statx(AT_FDCWD, watch->path, AT_STATX_FORCE_SYNC,
		     STATX_INO | STATX_SIZE | STATX_MTIME, &now) == 0 &&
	       makedev(now.stx_dev_major, now.stx_dev_minor) == mark->device &&
	       now.stx_ino == mark->inode && now.stx_size == (uint64_t)mark->size &&
	       now.stx_mtime.tv_sec == mark->modified.tv_sec &&
	       now.stx_mtime.tv_nsec == mark->modified.tv_nsec;
}

bool watch_changed(struct watch *watch)
{
	const struct watch_stamp *mark = &watch->mark;
	struct watch_stamp now;
	bool has_settled;

	watch->seen.valid = false;
	if (!mark->valid)
		return true;
	if (watch->rests && watch_looks_unchanged(watch))
		return false;
	/*
	 * Asked before the file is read: a commit after that has another time than the mark. One of
	 * the same time as the mark shows by its counter now, however late this is.
	 */
	has_settled = clock_monotonic_ms() - watch->marked_ms >= watch->settle_ms;
	watch_stamp(watch->path, &now);
	watch->seen = now;
	/* As for a mark, afterwards: from then on the file has to have rested. */
	watch->seen_ms = clock_monotonic_ms();
	if (!now.valid || memcmp(now.counter, mark->counter, sizeof(now.counter)) != 0 ||
	    now.device != mark->device || now.inode != mark->inode || now.size != mark->size ||
	    now.modified.tv_sec != mark->modified.tv_sec ||
	    now.modified.tv_nsec != mark->modified.tv_nsec)
		return true;
	watch->rests = has_settled;
	return false;
}

void watch_mark(struct watch *watch)
{
	watch_stamp(watch->path, &watch->mark);
	watch->marked_ms = clock_monotonic_ms();
	watch->rests = false;
}

void watch_mark_seen(struct watch *watch)
{
	if (!watch->seen.valid) {
		watch_mark(watch);
		return;
	}
	watch->mark = watch->seen;
	watch->marked_ms = watch->seen_ms;
	watch->rests = false;
}

void watch_set_settle_ms(struct watch *watch, int64_t settle_ms)
{
	watch->settle_ms = settle_ms;
}

void watch_unmark(struct watch *watch)
{
	watch->mark.valid = false;
}
