/* SPDX-License-Identifier: MIT */
#include "common/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/table.h"

/* One entry at least fits. There is one such buffer for each level, and little stack to be had. */
#define SCRATCH_ENTRIES_BYTES 512
/* The unit of st_blocks. */
#define SCRATCH_BLOCK 512

/* The machine's own namespaces have fixed numbers: linux/nsfs.h, enum init_ns_ino. */
#define SCRATCH_MACHINES_IPC 0xEFFFFFFFU
#define SCRATCH_MACHINES_PID 0xEFFFFFFCU

static const struct {
	const char *path;
	bool is_ipc; /* "--ipc=host" makes it the machine's */
} scratch_folders[] = {
	{ "/dev/shm", true },
	{ "/tmp", false },
	{ "/var/tmp", false },
};

struct scratch_id {
	dev_t device;
	ino_t inode; /* 0: none */
};

struct scratch {
	int64_t since_ms, end_ms;
	uid_t owner;
	dev_t device;
	struct scratch_id keep[SCRATCH_KEEP_MAX];
	struct scratch_id emptied;
	size_t files;
	uint64_t bytes;
};

static bool scratch_is_ours(const struct scratch *s, const struct stat *st)
{
	return st->st_uid == s->owner &&
	       (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000 >= s->since_ms;
}

static bool scratch_is(const struct scratch_id *id, const struct stat *st)
{
	return id->inode == st->st_ino && id->device == st->st_dev;
}

static bool scratch_is_kept(const struct scratch *s, const struct stat *st)
{
	for (size_t i = 0; i < ARRAY_LEN(s->keep); i++)
		if (scratch_is(&s->keep[i], st))
			return true;
	return false;
}

/* Opens it to be read if it still is what st says. Its owner may have locked himself out. */
static int scratch_open(int parent, const char *name, const struct stat *st)
{
	cleanup_close int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat now;
	char path[32];

	if (fd < 0 || fstat(fd, &now) < 0 || now.st_dev != st->st_dev || now.st_ino != st->st_ino)
		return -1;
	if ((now.st_mode & S_IRWXU) != S_IRWXU) {
		/* fchmod(2) refuses O_PATH. Of another's folder it fails. */
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		(void)chmod(path, (now.st_mode & ALLPERMS) | S_IRWXU);
	}
	return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void scratch_walk(struct scratch *s, int folder, int depth);

static void scratch_remove_folder(struct scratch *s, int parent, const char *name,
				  const struct stat *st, int depth)
{
	cleanup_close int fd = -1;

	if (scratch_is_kept(s, st) || depth >= SCRATCH_DEPTH_MAX)
		return;
	fd = scratch_open(parent, name, st);
	if (fd >= 0)
		scratch_walk(s, fd, depth + 1);
	/* One that is not empty stays. */
	if (scratch_is_ours(s, st) && !scratch_is(&s->emptied, st))
		(void)unlinkat(parent, name, AT_REMOVEDIR);
}

static void scratch_remove(struct scratch *s, int parent, const char *name, int depth)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != s->device)
		return;
	if (S_ISDIR(st.st_mode)) {
		scratch_remove_folder(s, parent, name, &st, depth);
		return;
	}
	if (!scratch_is_ours(s, &st) || unlinkat(parent, name, 0) < 0)
		return;
	s->files++;
	/* The memory goes with its last name. */
	if (st.st_nlink == 1)
		s->bytes += (uint64_t)st.st_blocks * SCRATCH_BLOCK;
}

static void scratch_walk(struct scratch *s, int folder, int depth)
{
	_Alignas(struct dirent64) char buffer[SCRATCH_ENTRIES_BYTES];
	ssize_t n;

	/* opendir(3) would take heap. */
	while (clock_monotonic_ms() < s->end_ms &&
	       (n = getdents64(folder, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			scratch_remove(s, folder, entry->d_name, depth);
		}
}

/* False: it is there, or may be, and cannot be looked at. */
static bool scratch_identify(const char *path, struct scratch_id *ret_id)
{
	struct stat st;

	*ret_id = (struct scratch_id){ .inode = 0 };
	/* Also one that is named through a link: what counts is where it leads. */
	if (path && stat(path, &st) == 0)
		*ret_id = (struct scratch_id){ st.st_dev, st.st_ino };
	else if (path && errno != ENOENT && errno != ENOTDIR)
		return false;
	return true;
}

/* False: what shall stay cannot be told from the rest. */
static bool scratch_begin(const struct scratch_spec *spec, struct scratch *ret_scratch)
{
	*ret_scratch = (struct scratch){
		.since_ms = spec->since_ms,
		.end_ms = clock_monotonic_ms() + SCRATCH_BUSY_MS,
		.owner = geteuid(),
	};
	for (size_t i = 0; i < ARRAY_LEN(ret_scratch->keep); i++)
		if (!scratch_identify(spec->keep[i], &ret_scratch->keep[i]))
			return false;
	return scratch_identify(spec->emptied, &ret_scratch->emptied);
}

static void scratch_tell(const struct scratch *s, size_t files, uint64_t bytes, const char *what,
			 const char *where)
{
	if (s->files > files)
		log_warning("removed %zu %s%s of %llu bytes from %s: what an agent leaves there "
			    "stays the container's memory",
			    s->files - files, what, s->files - files == 1 ? "" : "s",
			    (unsigned long long)(s->bytes - bytes), where);
}

static void scratch_empty(struct scratch *s, const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const size_t files = s->files;
	const uint64_t bytes = s->bytes;
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC || fstat(fd, &st) < 0 ||
	    scratch_is_kept(s, &st))
		return;
	s->device = st.st_dev;
	scratch_walk(s, fd, 0);
	scratch_tell(s, files, bytes, "file", path);
}

size_t scratch_clear_folder(const char *path, const struct scratch_spec *spec)
{
	struct scratch s;

	if (!scratch_begin(spec, &s))
		return 0;
	scratch_empty(&s, path);
	return s.files;
}

/* Shared memory of the System V kind (sysvipc(7)) has no name, but stays like a file. */
static void scratch_remove_segments(struct scratch *s)
{
	const size_t files = s->files;
	const uint64_t bytes = s->bytes;
	struct shm_info info;
	struct shmid_ds segment;
	/* As shmctl(2) has it: an answer of another type than its parameter's. */
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	for (int i = 0; i <= last && clock_monotonic_ms() < s->end_ms; i++) {
		int id = shmctl(i, SHM_STAT, &segment);

		if (id < 0 || segment.shm_perm.uid != s->owner ||
		    segment.shm_ctime < s->since_ms / 1000 || shmctl(id, IPC_RMID, NULL) < 0)
			continue;
		s->files++;
		s->bytes += segment.shm_segsz;
	}
	scratch_tell(s, files, bytes, "segment", "shared memory");
}

/* False, too, where that cannot be told: then nothing is touched. */
static bool scratch_is_containers(const char *namespace, ino_t machines)
{
	struct stat st;

	return stat(namespace, &st) == 0 && st.st_ino != machines;
}

size_t scratch_clear(const struct scratch_spec *spec)
{
	bool has_ipc = scratch_is_containers("/proc/self/ns/ipc", SCRATCH_MACHINES_IPC);
	struct scratch s;

	if (!scratch_is_containers("/proc/self/ns/pid", SCRATCH_MACHINES_PID) ||
	    !scratch_begin(spec, &s))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(scratch_folders); i++)
		if (has_ipc || !scratch_folders[i].is_ipc)
			scratch_empty(&s, scratch_folders[i].path);
	if (has_ipc)
		scratch_remove_segments(&s);
	return s.files;
}
