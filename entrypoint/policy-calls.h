#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Data only: the system calls that the filter denies, each with why. tools/compile-filter makes a
 * BPF program of it at build time, which seccomp installs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Calls that are denied or not together. */
enum policy_group {
	POLICY_GROUP_ALWAYS,
	POLICY_GROUP_NAMESPACES, /* what a sandbox of the agent's own needs */
	POLICY_GROUP_TRUNCATE,	 /* what Landlock does not see before its version 3 */
	POLICY_GROUP_LISTENER,	 /* what lets a filter answer for another */
	POLICY_GROUP_COUNT
};

/* (argument & mask) == value; or the opposite. */
struct policy_condition {
	unsigned int argument;
	bool is_unequal;
	uint64_t mask, value;
};

#define POLICY_CONDITIONS_MAX 2

/* One denied system call, of any architecture; conditions on arguments narrow it. */
struct policy_call {
	const char *name;
	int number; /* for names that libseccomp may not know yet; 0: only the name counts */
	int answer; /* errno; never a kill: a denied call is no reason to die */
	enum policy_group group;
	unsigned int n_conditions; /* deny only if all of them hold */
	struct policy_condition conditions[POLICY_CONDITIONS_MAX];
	const char *why;
};

const struct policy_call *policy_calls(size_t *ret_count);

/*
 * What the filter answers to the marker call nfsservctl(2), so that it can be recognised: this, and
 * in the low bits what it denies (seccomp.c). No kernel has an error of this number.
 */
#define POLICY_MARKER_ERRNO 0x800
