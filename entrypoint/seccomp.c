/* SPDX-License-Identifier: MIT */
#include "entrypoint/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/table.h"
#include "entrypoint/policy.h"
#include "entrypoint/seccomp-filter.h"

bool seccomp_is_installed(void)
{
	/*
	 * Of several filters that answer with an errno the one installed last wins: the runtime's,
	 * installed before, cannot answer for ours.
	 */
	return syscall(SYS_nfsservctl, 0, NULL, NULL) < 0 && errno == POLICY_MARKER_ERRNO;
}

int seccomp_install(struct err *err)
{
	/* The kernel only reads it; its type knows no const. */
	struct sock_fprog program = {
		.len = ARRAY_LEN(seccomp_filter),
		.filter = (struct sock_filter *)(uintptr_t)seccomp_filter,
	};

	if (seccomp_is_installed())
		return 0;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return 0;
	if (errno != ENOSYS)
		return err_sys(err, -errno, "seccomp filter");
	/* Linux before 3.17 */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		return err_sys(err, -errno, "seccomp filter");
	return 0;
}
