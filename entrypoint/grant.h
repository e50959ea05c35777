#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Turns the policy's rows about files, and what the sandbox adds, into Landlock rules and enforces
 * them. A right that is allowed on a folder holds for all below it, and nothing takes it back: where
 * a folder lies above the session's own files, the rights are given to its entries instead.
 */
#include "common/err.h"
#include "entrypoint/policy.h"
#include "entrypoint/sandbox.h"

/*
 * Confines the calling process. workspace may be missing; sandbox may be NULL. 0; -ENOSYS: the kernel
 * has no Landlock; -EOPNOTSUPP: it cannot restrict what the sandbox asks for; or -errno of what
 * failed. err says it, in a form that goes on after "protection LANDLOCK is missing: ".
 */
int grant_enforce(enum policy_role role, const char *workspace, const struct sandbox *sandbox,
		  struct err *err);

/*
 * What is not as one would expect it, and need not stop a start: called with each such line. What the
 * kernel's version of Landlock leaves open; paths of the sandbox that are not there; the folder
 * for temporary files, if the workspace lies in it and so nothing new can be made there.
 */
void grant_review(const char *workspace, const struct sandbox *sandbox,
		  void (*say)(const char *text));
