#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Data only: what each role may do with which files, and the limits it gets, each with why. Landlock
 * only grants: what no row names cannot be reached. Whoever acts on it is grant and privileges.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "entrypoint/policy.h"

enum policy_access {
	POLICY_ACCESS_NONE,   /* what a row gives to all above it does not hold for it */
	POLICY_ACCESS_LIST,   /* names in folders, no contents */
	POLICY_ACCESS_READ,   /* and contents; programs run */
	POLICY_ACCESS_UPDATE, /* and contents change; nothing is made or removed */
	POLICY_ACCESS_DEVICE, /* as UPDATE, with ioctl(2) */
	POLICY_ACCESS_WRITE,  /* and anything is made, renamed and removed */
	POLICY_ACCESS_COUNT
};

enum policy_base {
	POLICY_BASE_ROOT,      /* name is an absolute path */
	POLICY_BASE_WORKSPACE, /* name is below the workspace; "": itself */
	POLICY_BASE_VARIABLE,  /* name is an environment variable that holds a path */
	POLICY_BASE_SELF,      /* this program's own file */
	POLICY_BASE_PROGRAM,   /* the folder of the program that is started */
	POLICY_BASE_COUNT
};

enum policy_when {
	POLICY_WHEN_ALWAYS,
	POLICY_WHEN_READ_ALL,	/* unless the sandbox names what is read */
	POLICY_WHEN_READ_NAMED, /* if it does */
	POLICY_WHEN_NAMESPACES, /* if it may make user namespaces */
	POLICY_WHEN_NO_SESSION, /* no session and no group works in the workspace: all of it is */
	POLICY_WHEN_COUNT
};

struct policy_file {
	enum policy_base base;
	const char *name;
	enum policy_access access;
	bool each; /* each entry of the folder instead of the folder */
	enum policy_when when;
	unsigned int roles; /* bits of POLICY_ROLE_BIT() */
	const char *why;
};

#define POLICY_ROLE_BIT(role) (1U << (role))

/* A resource limit; both of setrlimit(2)'s values become it. */
struct policy_limit {
	int resource;
	const char *name;
	rlim_t most;	/* at most this */
	rlim_t reserve; /* and so much below what the process has, if that is no infinity */
	unsigned int roles;
	const char *why;
};

const struct policy_file *policy_files(size_t *ret_count);

/*
 * Names in the workspace that role agent must not reach: each of them, and whatever begins with it
 * (SQLite's journals, and what a host makes before it gives it the name).
 */
const char *const *policy_hidden(size_t *ret_count);

const struct policy_limit *policy_limits(size_t *ret_count);

/* "list", "read", … */
const char *policy_access_name(enum policy_access access);
