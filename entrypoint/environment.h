#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The environment that the agent and commands find: HOME that exists and can be written, USER,
 * SHELL, PATH, LANG, tools that ask no questions and call nobody, git that trusts the workspace.
 * What the host set wins.
 */
#include "common/err.h"
#include "entrypoint/privileges.h"

/*
 * Adds to environ what is missing there. user is who the children will be, NULL: who we are.
 * Before any child is started (it uses the heap); logs when HOME has to be another one.
 * 0 or -errno with its text.
 */
int environment_prepare(const struct privileges_user *user, const char *workspace, struct err *err);
