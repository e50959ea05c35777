/* SPDX-License-Identifier: MIT */
#include "entrypoint/reap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
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

int reap_next(struct reap *ret_reap)
{
	siginfo_t info;
	/*
	 * WEXITED alone: waitpid(2) would also report the stops of a child that we happen to trace
	 * or that is traced in our name, which is no end.
	 */
	int r = reap_wait(P_ALL, 0, WEXITED, &info);

	if (r < 0)
		return r;
	if (info.si_pid == 0)
		return 0;
	ret_reap->pid = info.si_pid;
	ret_reap->signo = info.si_code == CLD_EXITED ? 0 : info.si_status;
	ret_reap->code = ret_reap->signo ? EXIT_CODE_SIGNAL_BASE + ret_reap->signo : info.si_status;
	return 1;
}

bool reap_is_suspended(pid_t pid)
{
	siginfo_t info;

	return reap_wait(P_PID, pid, WSTOPPED, &info) == 0 && info.si_pid == pid &&
	       info.si_status == SIGTSTP;
}
