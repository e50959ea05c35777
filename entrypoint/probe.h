#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Looking at the world as another user: root's rights would hide what that user cannot do, and
 * guessing from mode bits misses ACLs, read-only mounts and user namespaces.
 */
#include "common/err.h"
#include "entrypoint/privileges.h"

/*
 * May run in a child that borrows our memory (vfork(2)), or has a copy of it: nobody may rely on
 * whether what it changes there stays. Descriptors and whatever else belongs to a process are the
 * child's.
 */
typedef int probe_fn(void *data, struct err *err);

/*
 * Calls fn as user: directly if that is who we are or user is NULL, else in a short-lived child
 * that has become this user. Returns what fn returned, with its text; or -errno with a text if it
 * could not be run.
 */
int probe_run(const struct privileges_user *user, probe_fn *fn, void *data, struct err *err);
