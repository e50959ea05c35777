#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Installs the filter that tools/compile-filter made of policy_calls() at build time. libseccomp is
 * not needed at run time.
 */
#include <stdbool.h>

#include "common/err.h"

/*
 * Installs the filter in the calling thread; children inherit it. Needs no_new_privs. Nothing is
 * done if it is in place already. 0; -EINVAL or -ENOSYS: the kernel has no filters; or -errno.
 */
int seccomp_install(struct err *err);

/* Asks the filter itself: true only if it is ours that answers, whatever the runtime installed. */
bool seccomp_is_installed(void);
