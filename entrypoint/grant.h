#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Turns the policy's rows about files, and what the sandbox adds, into Landlock rules and enforces
 * them. A right that is allowed on a folder holds for all below it, and nothing takes it back: where
 * a folder lies above something hidden, the rights are given to its entries instead. No link that an
 * agent could have made is followed.
 */
#include <stdbool.h>

#include "common/err.h"
#include "entrypoint/policy.h"
#include "entrypoint/sandbox.h"

struct grant_request {
	enum policy_role role;
	const char *workspace;	       /* may be missing */
	const struct sandbox *sandbox; /* NULL: the role as it is */
	const char *program;	       /* that is to be executed, as argv[0]; NULL: none */
};

/*
 * Confines the calling process. 0; -ENOSYS: the kernel has no Landlock; -EOPNOTSUPP: it cannot
 * restrict what the sandbox asks for; or -errno: it could not be done, which is no reason to go on
 * without: an agent may have caused it. err says it, in a form that goes on after "protection
 * LANDLOCK is missing: ".
 */
int grant_enforce(const struct grant_request *request, struct err *err);

/* Is the workspace a session's, because the sandbox says so or by what lies there? */
bool grant_has_session(const struct grant_request *request);

/*
 * Opens a path, beginning at folder if it is relative, as O_PATH and through no link: an agent could
 * have made it, now or in an earlier container. The descriptor is the caller's; or -errno, -ELOOP
 * for a link.
 */
int grant_open(int folder, const char *path);
