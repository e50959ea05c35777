#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A text that is too long for a prompt becomes a file beside the message's attachments, where the
 * agent can read it: <workspace>/inbox/<id>/text-<hash>.txt. The message's id is not trusted: one
 * that is no plain file name is replaced by its readable part and a hash. No symbolic link is
 * followed below the workspace, and no attachment is overwritten: the file is named by what is in
 * it, so that writing it once more changes nothing.
 */
#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"

/*
 * Writes the file, synced, and appends its absolute path to ret_path. 0, -ENOMEM, or -errno of
 * the file system.
 */
int overflow_write(const char *workspace, const char *id, const char *text, size_t len,
		   struct strbuf *ret_path, struct err *err);
