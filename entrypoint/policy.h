#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Data only: which protections each role gets, which capabilities PID 1 keeps, each with why; files
 * and limits are in policy-files, system calls in policy-calls. Whoever acts on it is elsewhere
 * (privileges, grant, seccomp); no function here decides anything.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_role {
	POLICY_ROLE_RUNNER,  /* the session loop */
	POLICY_ROLE_AGENT,   /* what the loop starts: agent CLI, scripts */
	POLICY_ROLE_COMMAND, /* the command of command mode, and keep-alive */
	POLICY_ROLE_COUNT
};

enum policy_protection {
	POLICY_PROTECTION_CAPS,
	POLICY_PROTECTION_NO_NEW_PRIVS,
	POLICY_PROTECTION_UNDUMPABLE,
	POLICY_PROTECTION_LANDLOCK,
	POLICY_PROTECTION_SECCOMP,
	POLICY_PROTECTION_COUNT
};

enum policy_mode {
	POLICY_MODE_OFF,     /* not applied */
	POLICY_MODE_TRY,     /* a kernel without it is named in the log */
	POLICY_MODE_REQUIRE, /* no start without it */
	POLICY_MODE_COUNT
};

struct policy {
	const char *name; /* as in confine --role NAME */
	const char *help;
	enum policy_mode modes[POLICY_PROTECTION_COUNT]; /* unless the environment says otherwise */
	bool closes_fds;				 /* from 3 on */
	/* What depends on a configuration that it reads itself: privileges_apply_rest() does it. */
	bool follows[POLICY_PROTECTION_COUNT];
	/* At least this: the higher, the sooner the kernel's OOM killer takes it. 0: as it is. */
	int oom_score_adj;
	bool logs;	    /* names a protection that the kernel lacks */
	bool starts_agents; /* its filter leaves to theirs what filters cannot take back */
};

struct policy_protection_row {
	const char *name; /* as in AGENT_PROTECTION_<NAME>, and in the log */
	const char *help;
};

struct policy_kept_cap {
	int cap;
	const char *why;
};

const struct policy *policy_of(enum policy_role role);

/* 0, or -EINVAL: no role of this name. */
int policy_find_role(const char *name, enum policy_role *ret_role);

const struct policy_protection_row *policy_protection(enum policy_protection protection);

/* By the len bytes of its name. 0, or -EINVAL. */
int policy_find_protection(const char *name, size_t len, enum policy_protection *ret_protection);
int policy_find_mode(const char *name, enum policy_mode *ret_mode);

/* "off", "try", "require"; NULL for no mode. */
const char *policy_mode_name(enum policy_mode mode);

/* What PID 1 keeps when it was started as root; everything else is dropped from it. */
const struct policy_kept_cap *policy_init_caps(size_t *ret_count);
