/* SPDX-License-Identifier: MIT */
#include "runner/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mend.h"
#include "common/table.h"
#include "runner/store/outbound-lookup.h"

/*
 * SQLite's locks end at 0x40000200 (https://www.sqlite.org/fileformat2.html#the_lock_byte_page). This
 * byte lies behind the largest file that a host could make of the session.
 */
#define LEASE_BYTE	    (INT64_C(1) << 40)

#define LEASE_LOCK_STEP_MS  5
#define LEASE_WATCH_STEP_MS 100

/* The file may be replaced between the open and the lock; once more is rare enough. */
#define LEASE_OPENS_MAX 3

/*
 * File systems (statfs(2)) of one kernel, so that all who could hold a lock are seen. Behind all others
 * (FUSE, VirtioFS, 9P, gVisor, NFS, SMB, shared folders of a hypervisor) there may be another one. By
 * number: the names stand in headers that come and go.
 */
static const uint32_t lease_local[] = {
	0xef53,	    /* ext2 to ext4 */
	0x58465342, /* XFS */
	0x9123683e, /* Btrfs */
	0x01021994, /* tmpfs */
	0x794c7630, /* overlayfs */
	0x2fc12fc1, /* ZFS */
	0xf2f52010, /* F2FS */
	0xca451a4e, /* bcachefs */
	0x858458f6, /* ramfs */
	0x0000f15f, /* eCryptfs */
	0x3153464a, /* JFS */
	0x52654973, /* ReiserFS */
	0x00003434, /* NILFS2 */
};

struct lease {
	int fd;
	bool is_certain;
	int error; /* <0: the file could not be opened */
};

static void lease_sleep(int64_t ms)
{
	const struct timespec span = { ms / 1000, (ms % 1000) * 1000000 };

	/* A signal ends the process: the loop has not begun to handle them. */
	(void)nanosleep(&span, NULL);
}

static int lease_busy(const struct lease_options *options, struct err *err)
{
	return err_set(
		err, -EBUSY,
		"another agent-runner works on %s: stop it, or give this one a folder of its "
		"own",
		options->workspace);
}

/* The lock */

/* 0; 1: somebody holds it; or -errno: there are no locks here. */
static int lease_try_lock(int fd)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LEASE_BYTE,
		.l_len = 1,
	};

	while (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		if (errno != EINTR)
			return errno == EAGAIN || errno == EACCES ? 1 : -errno;
	return 0;
}

/* As lease_try_lock(), and waits for one who is dying. */
static int lease_lock(int fd, int64_t patience_ms)
{
	int64_t end_ms = clock_monotonic_ms() + patience_ms;
	int r;

	while ((r = lease_try_lock(fd)) > 0 && clock_monotonic_ms() < end_ms)
		lease_sleep(LEASE_LOCK_STEP_MS);
	return r;
}

/*
 * Is this descriptor's file still the one that has the name? 1; 0: no; -errno: it may not be looked
 * at, which says nothing.
 */
static int lease_is_current(int fd, const char *path)
{
	struct stat ours, named;

	if (fstat(fd, &ours) < 0)
		return -errno;
	if (stat(path, &named) < 0)
		return errno == ENOENT ? 0 : -errno;
	return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

static bool lease_is_local(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(lease_local); i++)
		if (lease_local[i] == type)
			return true;
	return false;
}

int lease_error(const struct lease *lease)
{
	return lease->error;
}

/* Opens and locks it. 0; -EBUSY with a text; what cannot be had is left out. */
static int lease_hold(const struct lease_options *options, struct lease *lease, struct err *err)
{
	struct statfs fs = { .f_type = 0 };
	int r = 1, is_current = 0;

	for (int i = 0; i < LEASE_OPENS_MAX; i++) {
		cleanup_close int fd = open(options->outbound_path,
					    O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);

		lease->error = fd < 0 ? -errno : 0;
		/* What an agent that is not gone yet has closed. */
		if (lease->error == -EACCES && options->mend &&
		    mend_workspace(options->workspace, options->mend) > 0)
			continue;
		if (fd < 0)
			return 0;
		r = lease_lock(fd, options->lock_ms);
		if (r > 0)
			return lease_busy(options, err);
		is_current = lease_is_current(fd, options->outbound_path);
		if (is_current != 0) {
			lease->fd = steal_fd(&fd);
			break;
		}
	}
	if (lease->fd < 0)
		return 0;
	(void)fstatfs(lease->fd, &fs);
	lease->is_certain = r == 0 && is_current > 0 && lease_is_local((uint32_t)fs.f_type);
	if (r < 0)
		log_debug("no lock on %s: %s", options->outbound_path, strerror(-r));
	else if (!lease->is_certain)
		log_debug("a lock on %s may not tell all: its file system has type 0x%x",
			  options->outbound_path, (uint32_t)fs.f_type);
	return 0;
}

/* The heartbeat */

/* Opened anew each time: what network file systems know of a name may be seconds old. */
static bool lease_read_heartbeat(const char *path, struct timespec *ret_time)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	*ret_time = st.st_mtim;
	return true;
}

static int64_t lease_age_ms(const struct timespec *time)
{
	return clock_realtime_ms() - ((int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000);
}

/* Has somebody claimed messages? Unknown is yes: a journal is there, so somebody was writing. */
static bool lease_has_claims(const struct lease_options *options)
{
	struct outbound_claim_age claims = { .count = 0 };
	int r = outbound_oldest_claim(options->outbound_path, &claims, NULL);

	return r == -EAGAIN || (r == 0 && claims.count > 0);
}

/* Does somebody beat it? One in the future is fresh: the other's clock is ahead of ours. */
static bool lease_is_beating(const struct lease_options *options)
{
	int64_t end_ms = clock_monotonic_ms() + options->watch_ms;
	struct timespec first, now;

	if (!lease_read_heartbeat(options->heartbeat_path, &first) ||
	    lease_age_ms(&first) >= options->fresh_ms)
		return false;
	log_info("messages are claimed, and the heartbeat is fresh: waiting whether it goes on");
	while (clock_monotonic_ms() < end_ms) {
		lease_sleep(LEASE_WATCH_STEP_MS);
		if (lease_read_heartbeat(options->heartbeat_path, &now) &&
		    (now.tv_sec != first.tv_sec || now.tv_nsec != first.tv_nsec))
			return true;
	}
	return false;
}

int lease_take(const struct lease_options *options, struct lease **ret_lease, struct err *err)
{
	struct lease *lease = calloc(1, sizeof(*lease));
	int r;

	if (!lease)
		return err_sys(err, -ENOMEM, "cannot start the session");
	lease->fd = -1;
	r = lease_hold(options, lease, err);
	/* No claims, no turn: an idle loop that is there has lost by the time that it wants to write. */
	if (r == 0 && !lease->is_certain && lease_has_claims(options) && lease_is_beating(options))
		r = lease_busy(options, err);
	if (r < 0) {
		lease_free(lease);
		return r;
	}
	*ret_lease = lease;
	return 0;
}

bool lease_is_certain(const struct lease *lease)
{
	return lease->is_certain;
}

void lease_free(struct lease *lease)
{
	if (!lease)
		return;
	if (lease->fd >= 0)
		close(lease->fd);
	free(lease);
}
