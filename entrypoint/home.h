#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A HOME that works: the host's, else the one from /etc/passwd, else a private folder under /tmp
 * into which the settings and credentials of the first one are linked, so that a read-only root
 * file system or a uid without home folder loses none of them.
 */
#include "common/err.h"
#include "entrypoint/privileges.h"

#define HOME_PATH_MAX 4096

/*
 * 0: ret_home exists and user (NULL: who we are) can write there; 1: likewise, but it is the
 * fallback, and err says why the other one was not taken; or -errno with a text: there is none.
 */
int home_find(const struct privileges_user *user, char ret_home[HOME_PATH_MAX], struct err *err);
