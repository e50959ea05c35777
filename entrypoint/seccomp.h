#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Installs the filter that tools/compile-filter made of policy_calls() at build time. libseccomp is
 * not needed at run time.
 *
 * Filters add up and never go away: a call has the strictest answer of all, and of those that are
 * equally strict the newest filter's. So a process that starts others with rights of their own
 * (is_for_children) has to leave them what they may be allowed, and who is told of a denied call.
 */
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SECCOMP_ROWS_MAX 1024
/* In the compiled filter, the group of a row (enum policy_group) stands above its errno. */
#define SECCOMP_GROUP_SHIFT 12

struct seccomp_options {
	bool namespaces_allowed; /* POLICY_GROUP_NAMESPACES is not denied */
	bool truncate_denied;	 /* POLICY_GROUP_TRUNCATE is denied, in silence */
	/*
	 * What is denied with EPERM says ENOSYS instead, and a filter that a child installs may say
	 * something else, short of allowing it. Kernels before 5.0, which cannot do that, say EPERM.
	 */
	bool is_for_children;
	/*
	 * A Unix socket: what is denied with EPERM is told to whoever receives from it, who answers
	 * it (runner/io/denied.h). 0: nobody is told, as on kernels before 5.0. It stays the caller's.
	 */
	int notify_fd;
};

/* A call that the filter names, for those who get its number. */
struct seccomp_name {
	uint32_t arch; /* AUDIT_ARCH_* */
	uint32_t number;
	const char *name;
};

/*
 * Installs the filter in the calling thread; children inherit it. Needs no_new_privs. Nothing is
 * done if what is in place already denies as much. 0; -EINVAL or -ENOSYS: the kernel has no
 * filters; or -errno.
 */
int seccomp_install(const struct seccomp_options *options, struct err *err);

/*
 * Asks the filter itself: true only if it is ours that answers, whatever the runtime installed, and
 * denies as much as one with these options would, be it our own or a parent's.
 */
bool seccomp_is_installed(const struct seccomp_options *options);

/*
 * What seccomp_install() gives to the kernel; denied is the action of what is denied with EPERM.
 * Returns its length.
 */
size_t seccomp_program(const struct seccomp_options *options, uint32_t denied,
		       struct sock_filter ret_rows[SECCOMP_ROWS_MAX]);

/* "mount"; NULL: the filter names no such call. */
const char *seccomp_call_name(uint32_t arch, int number);
