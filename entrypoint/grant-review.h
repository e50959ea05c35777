#pragma once
/* SPDX-License-Identifier: MIT */
/* What an operator should know about the files that an agent will get. Grants nothing. */
#include "common/log.h"
#include "entrypoint/grant.h"

/*
 * What is not as one would expect it, and need not stop a start: say is called with each such line.
 * What the kernel's version of Landlock leaves open; paths of the sandbox that are not there, or
 * links; a folder for temporary files, or HOME, in which nothing new can be made since the workspace
 * lies in it; mounts that the user may write and the agent may not.
 */
typedef void grant_review_fn(enum log_level level, const char *text);

void grant_review(const struct grant_request *request, grant_review_fn *say);
