/* SPDX-License-Identifier: MIT */
#include "entrypoint/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
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

static int signals_wait_for(uint64_t set, int timeout_ms, siginfo_t *ret_info)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L,
	};

	if (syscall(SYS_rt_sigtimedwait, &set, ret_info, timeout_ms < 0 ? NULL : &timeout,
		    SIGNALS_SET_SIZE) > 0)
		return 1;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int signals_wait(int timeout_ms, siginfo_t *ret_info)
{
	/* Not the constant: PID 1 waits for hours, and its page would be there for that alone. */
	return signals_wait_for(~UINT64_C(0), timeout_ms, ret_info);
}

int signals_look_for_end(siginfo_t *ret_info)
{
	uint64_t set = 0;

	for (int signo = 1; signo <= SIGNALS_LAST; signo++)
		if (signals_kinds[signo] == SIGNALS_END)
			set |= UINT64_C(1) << (signo - 1);
	return signals_wait_for(set, 0, ret_info);
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

enum signals_kind signals_kind(int signo)
{
	return signo > 0 && signo <= SIGNALS_LAST ? signals_kinds[signo] : SIGNALS_FORWARD;
}

bool signals_is_own(const siginfo_t *info, pid_t self)
{
	return info->si_code == SI_USER && info->si_pid == self;
}

int signals_forward(const siginfo_t *info, pid_t pid)
{
	if (info->si_code == SI_QUEUE) {
		if (syscall(SYS_rt_sigqueueinfo, pid, info->si_signo, info) == 0)
			return 0;
		if (errno == ESRCH)
			return -ESRCH;
		log_warning("signal %d is passed on without its value: %s", info->si_signo,
			    strerror(errno));
	}
	return kill(pid, info->si_signo) < 0 ? -errno : 0;
}
