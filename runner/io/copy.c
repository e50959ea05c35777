/* SPDX-License-Identifier: MIT */
#include "runner/io/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/table.h"

/* A copy that is under way is called this, and a random number of so many digits. */
#define COPY_PREFIX ".copy-"
#define COPY_DIGITS (2 * sizeof(uint64_t))

/* A folder of ours holds nothing besides the copy: in one that is full of files nobody searches. */
#define COPY_SWEEP_MAX 16

/* Where the kernel cannot copy by itself. */
#define COPY_BUFFER (128 * 1024)

/* Where the kernel cannot write out a part of a file: all of it, each time so much was added. */
#define COPY_FLUSH (16 * COPY_CHUNK)

enum copy_step {
	COPY_CHUNKS,  /* the bytes */
	COPY_SYNC,    /* is it what it was, and on disk? */
	COPY_PUBLISH, /* the name */
	COPY_STEPS,
};

struct copy {
	struct loop_timer *timer;
	struct copy_events events;
	void *userdata;
	int source;
	int folder;
	int file; /* the copy */
	struct stat before;
	int64_t bytes;	 /* copied */
	int64_t flushed; /* the disk is done with what is before it */
	char *buffer;	 /* NULL: the kernel copies */
	bool no_range;	 /* sync_file_range(2) does not work here */
	enum copy_step step;
	char *name;
	char temporary[sizeof(COPY_PREFIX) + COPY_DIGITS]; /* "": there is none */
};

/* What copy_file_range(2) says where it does not work, by kernel and file system. */
static const int copy_cannot[] = { ENOSYS, EXDEV, EINVAL, EOPNOTSUPP, EPERM };

static bool copy_is_unable(int error)
{
	for (size_t i = 0; i < ARRAY_LEN(copy_cannot); i++)
		if (copy_cannot[i] == error)
			return true;
	return false;
}

static void copy_remove(struct copy *copy)
{
	if (copy->temporary[0])
		(void)unlinkat(copy->folder, copy->temporary, 0);
	copy->temporary[0] = '\0';
}

void copy_free(struct copy *copy)
{
	if (!copy)
		return;
	copy_remove(copy);
	loop_timer_free(copy->timer);
	if (copy->file >= 0)
		close(copy->file);
	free(copy->buffer);
	free(copy->name);
	free(copy);
}

CLEANUP_DEFINE(copy, struct copy *, copy_free);
#define cleanup_copy CLEANUP(cleanup_copy_fn)

/* Bytes by way of our own memory: up to a chunk. How many, or -errno. */
static int64_t copy_through_buffer(struct copy *copy, int64_t wanted, struct err *err)
{
	int64_t done = 0;
	ssize_t n;
	int r;

	if (!copy->buffer)
		copy->buffer = malloc(COPY_BUFFER);
	if (!copy->buffer)
		return err_sys(err, -ENOMEM, "cannot copy");
	while (done < wanted) {
		size_t part = wanted - done < COPY_BUFFER ? (size_t)(wanted - done) : COPY_BUFFER;

		n = pread(copy->source, copy->buffer, part, copy->bytes + done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, -errno, "cannot read the file");
		if (n == 0)
			break;
		r = fd_write_all(copy->file, copy->buffer, (size_t)n);
		if (r < 0)
			return err_sys(err, r, "cannot write the copy");
		done += n;
	}
	return done;
}

static int64_t copy_bytes(struct copy *copy, int64_t wanted, struct err *err)
{
	loff_t from = copy->bytes, to = copy->bytes;
	ssize_t n = -1;

	if (copy->buffer)
		return copy_through_buffer(copy, wanted, err);
	do
		n = copy_file_range(copy->source, &from, copy->file, &to, (size_t)wanted, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && !copy_is_unable(errno))
		return err_sys(err, -errno, "cannot copy");
	/* 0 is the end, or a file system that only read(2) knows. */
	if (lseek(copy->file, copy->bytes, SEEK_SET) < 0)
		return err_sys(err, -errno, "cannot write the copy");
	return copy_through_buffer(copy, wanted, err);
}

/*
 * Lets the disk begin with the newest chunk, and waits for those before: the last fsync(2) finds
 * little to do, and memory holds no more than two chunks of what is not written yet.
 */
static int copy_flush(struct copy *copy, int64_t start, struct err *err)
{
	const unsigned int all =
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	int r = 0;

	if (!copy->no_range) {
		r = sync_file_range(copy->file, start, copy->bytes - start, SYNC_FILE_RANGE_WRITE);
		if (r == 0 && start > copy->flushed)
			r = sync_file_range(copy->file, copy->flushed, start - copy->flushed, all);
		if (r == 0)
			copy->flushed = start;
		copy->no_range = r < 0 && (errno == ENOSYS || errno == EINVAL || errno == ESPIPE);
	}
	if (copy->no_range) {
		r = 0;
		if (copy->bytes - copy->flushed >= COPY_FLUSH) {
			r = fdatasync(copy->file);
			copy->flushed = copy->bytes;
		}
	}
	return r < 0 ? err_sys(err, -errno, "cannot write the copy to disk") : 0;
}

static int copy_chunk(struct copy *copy, struct err *err)
{
	int64_t left = copy->before.st_size - copy->bytes, start = copy->bytes, n;

	if (left == 0) {
		copy->step = COPY_SYNC;
		return 0;
	}
	n = copy_bytes(copy, left < COPY_CHUNK ? left : COPY_CHUNK, err);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return err_set(err, -EIO, "the file ended after %" PRId64 " of %" PRId64 " bytes",
			       copy->bytes, (int64_t)copy->before.st_size);
	copy->bytes += n;
	return copy_flush(copy, start, err);
}

static bool copy_is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Is the source what it was, all of it copied, and does it end where it says? */
static int copy_verify(struct copy *copy, struct err *err)
{
	struct stat now, written;
	char byte;

	if (fstat(copy->source, &now) < 0 || fstat(copy->file, &written) < 0)
		return err_sys(err, -errno, "cannot look at the file");
	if (now.st_size != copy->before.st_size ||
	    !copy_is_same_time(&now.st_mtim, &copy->before.st_mtim))
		return err_set(err, -EBUSY, "the file changed while it was copied");
	if (written.st_size != now.st_size)
		return err_set(err, -EIO, "the copy has %" PRId64 " of %" PRId64 " bytes",
			       (int64_t)written.st_size, (int64_t)now.st_size);
	/* Files of /proc and their like have contents, but no size. */
	if (pread(copy->source, &byte, 1, now.st_size) > 0)
		return err_set(err, -EBUSY, "the file holds more than its size says");
	return 0;
}

static int copy_sync(struct copy *copy, struct err *err)
{
	int r = copy_verify(copy, err);

	if (r < 0)
		return r;
	if (fsync(copy->file) < 0)
		return err_sys(err, -errno, "cannot write the copy to disk");
	copy->step = COPY_PUBLISH;
	return 0;
}

static int copy_publish(struct copy *copy, struct err *err)
{
	if (renameat(copy->folder, copy->temporary, copy->folder, copy->name) < 0)
		return err_sys(err, -errno, "cannot give the copy its name");
	copy->temporary[0] = '\0';
	/* Some file systems have nothing to write for a folder, and say so. */
	if (fsync(copy->folder) < 0 && errno != EINVAL && errno != ENOTSUP) {
		int r = err_sys(err, -errno, "cannot write the copy's folder to disk");

		(void)unlinkat(copy->folder, copy->name, 0);
		return r;
	}
	copy->step = COPY_STEPS;
	return 0;
}

static int (*const copy_steps[])(struct copy *copy, struct err *err) = {
	[COPY_CHUNKS] = copy_chunk,
	[COPY_SYNC] = copy_sync,
	[COPY_PUBLISH] = copy_publish,
};
TABLE_COVERS(copy_steps, COPY_STEPS);

static void copy_on_turn(void *userdata)
{
	struct copy *copy = userdata;
	struct err err = { "" };
	int64_t before = copy->bytes;
	int r = copy_steps[copy->step](copy, &err);

	/* Whoever is told may free the copy. */
	if (r < 0 || copy->step == COPY_STEPS) {
		copy_remove(copy);
		copy->events.done(copy->userdata, r, &err);
		return;
	}
	loop_timer_arm(copy->timer, 0);
	if (copy->events.progress && copy->bytes > before)
		copy->events.progress(copy->userdata, copy->bytes, copy->before.st_size);
}

static int copy_create(struct copy *copy, mode_t mode, struct err *err)
{
	char name[sizeof(copy->temporary)];
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = (uintptr_t)copy;
	(void)snprintf(name, sizeof(name), COPY_PREFIX "%016" PRIx64, random);
	copy->file = openat(copy->folder, name,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);
	if (copy->file < 0)
		return err_sys(err, -errno, "cannot make the copy");
	/* For copy_sweep(). The kernel lets go of it with us, however we end. */
	(void)flock(copy->file, LOCK_EX | LOCK_NB);
	(void)strcpy(copy->temporary, name);
	return 0;
}

int copy_start(struct loop *loop, const struct copy_job *job, const struct copy_events *events,
	       void *userdata, struct copy **ret_copy, struct err *err)
{
	cleanup_copy struct copy *copy = calloc(1, sizeof(*copy));
	int r;

	if (!copy)
		return err_sys(err, -ENOMEM, "cannot copy");
	copy->file = -1;
	copy->source = job->source;
	copy->folder = job->folder;
	copy->events = *events;
	copy->userdata = userdata;
	copy->name = strdup(job->name);
	r = loop_timer_new(loop, copy_on_turn, copy, &copy->timer);
	if (!copy->name || r < 0)
		return err_sys(err, -ENOMEM, "cannot copy");
	if (fstat(copy->source, &copy->before) < 0)
		return err_sys(err, -errno, "cannot look at the file");
	if (!S_ISREG(copy->before.st_mode))
		return err_set(err, -EINVAL, "it is no regular file");
	r = copy_create(copy, job->mode, err);
	if (r < 0)
		return r;
	loop_timer_arm(copy->timer, 0);
	*ret_copy = steal_ptr(copy);
	return 0;
}

bool copy_is_temporary(const char *name)
{
	if (strncmp(name, COPY_PREFIX, strlen(COPY_PREFIX)) != 0)
		return false;
	name += strlen(COPY_PREFIX);
	return strspn(name, "0123456789abcdef") == COPY_DIGITS && !name[COPY_DIGITS];
}

/* Nobody holds it any more: the one who made it was killed. */
static bool copy_is_left_behind(int folder, const char *name)
{
	cleanup_close int file = -1;
	struct stat st;

	if (!copy_is_temporary(name) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	/* For writing: NFS has no exclusive lock for those who only read. */
	file = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0;
}

size_t copy_sweep(int folder)
{
	cleanup_closedir DIR *entries = NULL;
	cleanup_close int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	size_t removed = 0;

	entries = fd >= 0 ? fdopendir(fd) : NULL;
	if (!entries)
		return 0;
	(void)steal_fd(&fd);
	for (int i = 0; i < COPY_SWEEP_MAX && (entry = readdir(entries)); i++)
		if (copy_is_left_behind(folder, entry->d_name) &&
		    unlinkat(folder, entry->d_name, 0) == 0)
			removed++;
	return removed;
}
