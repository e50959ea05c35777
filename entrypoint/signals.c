/* SPDX-License-Identifier: MIT */
#include "entrypoint/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

/*
 * The kernel's own sigset: glibc leaves 32 and 33 out of every set that goes through its wrappers,
 * since its threads use them. We have no threads, and a container may be sent them.
 */
#define SIGNALS_SET_SIZE sizeof(uint64_t)

static const uint64_t signals_all = ~UINT64_C(0);
static const uint64_t signals_none = 0;

/* Those that are not simply passed on. */
static const enum signals_kind signals_kinds[SIGNALS_LAST + 1] = {
	[SIGCHLD] = SIGNALS_CHILD,    [SIGTERM] = SIGNALS_END,	   [SIGINT] = SIGNALS_END,
	[SIGTSTP] = SIGNALS_SUSPEND,  [SIGTTIN] = SIGNALS_SUSPEND, [SIGTTOU] = SIGNALS_SUSPEND,
	[SIGCONT] = SIGNALS_CONTINUE,
};

static int signals_set_mask(const uint64_t *mask)
{
	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, SIGNALS_SET_SIZE) < 0 ? -errno
											  : 0;
}

int signals_take(void)
{
	/* All zero is SIG_DFL without flags in the kernel's struct sigaction of every CPU. */
	static const unsigned char defaults[64];
	int r = signals_set_mask(&signals_all);

	if (r < 0)
		return r;
	for (int signo = 1; signo <= SIGNALS_LAST; signo++)
		if (signo != SIGKILL && signo != SIGSTOP &&
		    syscall(SYS_rt_sigaction, signo, defaults, NULL, SIGNALS_SET_SIZE) < 0)
			return -errno;
	return 0;
}

int signals_release(void)
{
	return signals_set_mask(&signals_none);
}

int signals_open(int *ret_fd)
{
	long fd = syscall(SYS_signalfd4, -1, &signals_all, SIGNALS_SET_SIZE,
			  SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

int signals_read(int fd, struct signalfd_siginfo *ret_info)
{
	for (;;) {
		ssize_t n = read(fd, ret_info, sizeof(*ret_info));

		if (n == (ssize_t)sizeof(*ret_info))
			return 1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		/* The kernel gives whole records only. */
		return -EIO;
	}
}

enum signals_kind signals_kind(unsigned int signo)
{
	return signo <= SIGNALS_LAST ? signals_kinds[signo] : SIGNALS_FORWARD;
}

bool signals_is_own(const struct signalfd_siginfo *info)
{
	return info->ssi_code == SI_USER && info->ssi_pid == (uint32_t)getpid();
}

int signals_forward(const struct signalfd_siginfo *info, pid_t pid)
{
	siginfo_t copy;

	if (info->ssi_code == SI_QUEUE) {
		memset(&copy, 0, sizeof(copy));
		copy.si_signo = (int)info->ssi_signo;
		copy.si_code = SI_QUEUE;
		copy.si_pid = (pid_t)info->ssi_pid;
		copy.si_uid = info->ssi_uid;
		copy.si_value.sival_ptr = (void *)(uintptr_t)info->ssi_ptr;
		if (syscall(SYS_rt_sigqueueinfo, pid, copy.si_signo, &copy) == 0)
			return 0;
		if (errno == ESRCH)
			return -ESRCH;
		log_warning("signal %u is passed on without its value: %s", info->ssi_signo,
			    strerror(errno));
	}
	return kill(pid, (int)info->ssi_signo) < 0 ? -errno : 0;
}
