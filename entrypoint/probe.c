/* SPDX-License-Identifier: MIT */
#include "entrypoint/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"

struct probe_answer {
	int value;
	struct err err;
};

static int probe_read(int fd, struct probe_answer *answer)
{
	char *p = (char *)answer;
	size_t len = 0;

	while (len < sizeof(*answer)) {
		ssize_t n = read(fd, p + len, sizeof(*answer) - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECHILD;
		len += (size_t)n;
	}
	return 0;
}

static _Noreturn void probe_child(const struct privileges_user *user, probe_fn *fn, void *data,
				  int fd)
{
	struct probe_answer answer = { .value = 0 };

	answer.value = privileges_switch_user(user, &answer.err);
	/* While the memory is the parent's, too, nobody else of this user may have it. */
	(void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	if (answer.value == 0)
		answer.value = fn(data, &answer.err);
	/* Less than a pipe holds: nobody is waited for. */
	(void)fd_write_all(fd, &answer, sizeof(answer));
	_exit(0);
}

/*
 * A start asks three times: copies of our memory would cost it half a millisecond. Where the child gets
 * one nevertheless, as under qemu's user mode, all goes on as well. A function of its own: what the
 * caller has in registers is not the child's to change.
 */
static __attribute__((noinline)) pid_t probe_start(const struct privileges_user *user, probe_fn *fn,
						   void *data, int fd)
{
	pid_t pid = vfork();

	if (pid == 0)
		probe_child(user, fn, data, fd);
	return pid < 0 ? -errno : pid;
}

int probe_run(const struct privileges_user *user, probe_fn *fn, void *data, struct err *err)
{
	cleanup_close int reader = -1, writer = -1;
	struct probe_answer answer = { .value = 0 };
	int dumpable = prctl(PR_GET_DUMPABLE), fds[2], r;
	pid_t pid;

	if (!user || geteuid() != 0 || user->uid == geteuid())
		return fn(data, err);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "pipe");
	reader = fds[0];
	writer = fds[1];
	pid = probe_start(user, fn, data, writer);
	if (pid < 0)
		return err_sys(err, pid, "fork");
	close(steal_fd(&writer));
	r = probe_read(reader, &answer);
	/* ECHILD, where SIGCHLD is ignored, is fine: the answer came through the pipe. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* Where the memory was shared, the child has changed this of ours. */
	if (dumpable == 0 || dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, (unsigned long)dumpable, 0L, 0L, 0L);
	if (r < 0)
		return err_sys(err, r, "the probe for uid %u ended without an answer", user->uid);
	if (err)
		*err = answer.err;
	return answer.value;
}
