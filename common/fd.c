/* SPDX-License-Identifier: MIT */
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/strbuf.h"

/* At first; then as much as there is already. Most files that a start reads have less. */
#define FD_READ_STEP (4 * 1024)

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

/*
 * After a failed read or write: shall it be tried again? One end of a pipe or socket can have been
 * made non-blocking by whoever else holds it: then this waits.
 */
static bool fd_wait(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	if (errno == EINTR)
		return true;
	if (errno != EAGAIN)
		return false;
	return poll(&pollfd, 1, -1) >= 0 || errno == EINTR;
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && fd_wait(fd, POLLOUT))
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_len, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (;;) {
		size_t step = text.len > FD_READ_STEP ? text.len : FD_READ_STEP;
		ssize_t n;

		if (strbuf_reserve(&text, step) < 0)
			return err_sys(err, -ENOMEM, "cannot read");
		n = read(fd, text.data + text.len, step);
		if (n < 0 && fd_wait(fd, POLLIN))
			continue;
		if (n < 0)
			return err_sys(err, -errno, "cannot read");
		if (n == 0)
			break;
		text.len += (size_t)n;
		if (text.len > limit)
			return err_set(err, -EFBIG, "longer than %zu bytes", limit);
	}
	*ret_len = text.len;
	*ret_text = strbuf_steal(&text);
	return *ret_text ? 0 : err_sys(err, -ENOMEM, "cannot read");
}

static int fd_check_regular(const struct stat *st, const char *path, struct err *err)
{
	if (S_ISREG(st->st_mode))
		return 0;
	return err_set(err, S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL, "%s: not a regular file",
		       path);
}

int fd_read_regular(int fd, const char *path, size_t limit, char **ret_text, size_t *ret_len,
		    struct err *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	r = fd_check_regular(&st, path, err);
	if (r < 0)
		return r;
	r = fd_read_all(fd, limit, ret_text, ret_len, err);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}

int fd_read_file(const char *path, size_t limit, char **ret_text, size_t *ret_len, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	int r;

	/* To open a device can set it off, and an agent may have put a link to one there. */
	if (stat(path, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	r = fd_check_regular(&st, path, err);
	if (r < 0)
		return r;
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, -errno, "%s", path);
	return fd_read_regular(fd, path, limit, ret_text, ret_len, err);
}

void fd_cloexec_from(int first)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	/* Called by number: glibc before 2.34 and some C libraries lack the wrapper. */
	if (syscall(SYS_close_range, (unsigned int)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	/* Linux before 5.11, gVisor: walk what can be open. */
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = first; fd < (int)limit.rlim_cur; fd++)
		(void)fd_set_cloexec(fd, true);
}

int fd_open_standard(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (fd > STDERR_FILENO) {
			close(fd);
			return 0;
		}
		/* This one stays open on purpose: it now stands for a closed standard stream. */
		(void)fd_set_cloexec(fd, false);
	}
}
