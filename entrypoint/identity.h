#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * /etc/passwd and /etc/group, read without NSS: getpwuid(3) would load libraries into PID 1 and may
 * ask the network. Files larger than IDENTITY_FILE_MAX are refused; malformed lines are skipped.
 */
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

#define IDENTITY_FILE_MAX (4 * 1024 * 1024)

struct identity {
	uid_t uid;
	gid_t gid;
	char name[64];
	char home[4096];
};

/* 0; -ENOENT: no such entry, or no such file; or -errno of reading it. */
int identity_by_name(const char *passwd, const char *name, struct identity *ret, struct err *err);
int identity_by_uid(const char *passwd, uid_t uid, struct identity *ret, struct err *err);
int identity_group(const char *group, const char *name, gid_t *ret_gid, struct err *err);

/*
 * The groups that list the user as a member, primary not among them; at most max.
 * 0; -E2BIG: there are more; -errno. A missing file means no groups.
 */
int identity_groups(const char *group, const char *name, gid_t primary, gid_t *ret_groups,
		    size_t max, size_t *ret_count, struct err *err);
