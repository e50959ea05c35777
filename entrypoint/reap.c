/* SPDX-License-Identifier: MIT */
#include "entrypoint/reap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "common/exit-code.h"

/* waitid() with EINTR retried; si_pid is 0 if nobody was found. */
static int reap_wait(idtype_t type, pid_t pid, int options, siginfo_t *ret_info)
{
	for (;;) {
		/* POSIX leaves si_pid as it was if WNOHANG finds nobody. */
		memset(ret_info, 0, sizeof(*ret_info));
		if (waitid(type, (id_t)pid, ret_info, options | WNOHANG) == 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/*
 * A process made us its tracer: PTRACE_TRACEME asks nobody, and whoever is orphaned afterwards
 * keeps it. It would wait for us for ever. Let go, with the signal that it was about to get; but
 * SIGTRAP only told us of an exec.
 */
static void reap_detach(const siginfo_t *info)
{
	long signo = info->si_status == SIGTRAP ? 0 : info->si_status & 0x7f;

	(void)ptrace(PTRACE_DETACH, info->si_pid, NULL, signo);
}

int reap_next(struct reap *ret_reap)
{
	siginfo_t info;
	int r;

	/* WEXITED alone: a stop is no end. Those of processes that we trace come all the same. */
	r = reap_wait(P_ALL, 0, WEXITED, &info);
	if (r < 0)
		return r;
	if (info.si_pid == 0)
		return 0;
	ret_reap->pid = info.si_pid;
	switch (info.si_code) {
	case CLD_EXITED:
		ret_reap->signo = 0;
		ret_reap->code = info.si_status;
		return 1;
	case CLD_KILLED:
	case CLD_DUMPED:
		ret_reap->signo = info.si_status;
		ret_reap->code = EXIT_CODE_SIGNAL_BASE + info.si_status;
		return 1;
	default:
		reap_detach(&info);
		return REAP_ALIVE;
	}
}

int reap_suspension(pid_t pid)
{
	siginfo_t info;

	if (reap_wait(P_PID, pid, WSTOPPED, &info) < 0 || info.si_pid != pid)
		return 0;
	return info.si_status == SIGTSTP || info.si_status == SIGTTIN || info.si_status == SIGTTOU
		       ? info.si_status
		       : 0;
}
