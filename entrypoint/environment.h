#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The environment that the agent and commands find: HOME that exists and can be written, USER,
 * SHELL, PATH, LANG, tools that ask no questions and call nobody, git that trusts the workspace.
 * What the host set wins.
 */
#include <stdbool.h>

#include "common/err.h"
#include "entrypoint/privileges.h"

/*
 * What PID 1 tells the processes below it, and nobody else: whatever was there before is gone. The
 * HOME that the host meant, where another had to be made (home.h), and a TMPDIR that we have set.
 */
#define ENVIRONMENT_HOST_HOME "RUNNER_HOST_HOME"
#define ENVIRONMENT_TMPDIR    "RUNNER_TMPDIR"

struct environment_spec {
	const struct privileges_user *user; /* who the children will be, NULL: who we are */
	const char *workspace;
	/* An agent is driven there: what it needs must lie where it may make something. */
	bool is_session;
};

/*
 * Adds to environ what is missing there. Before any child is started (it uses the heap); logs when
 * HOME or TMPDIR has to be another one. 0 or -errno with its text.
 */
int environment_prepare(const struct environment_spec *spec, struct err *err);
