#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Who the children are and what they may still do: one ordered table of steps (ids, capabilities,
 * securebits, no_new_privs, …), applied in a freshly forked single-threaded child, according to
 * the role's policy and AGENT_PROTECTION_<NAME>=require|try|off. No NSS anywhere.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"
#include "entrypoint/policy.h"
#include "entrypoint/sandbox.h"

#define PRIVILEGES_GROUPS_MAX 64

struct privileges_user {
	uid_t uid;
	gid_t gid;
	char name[64];	 /* "" without passwd entry */
	char home[4096]; /* likewise */
	gid_t groups[PRIVILEGES_GROUPS_MAX];
	size_t n_groups; /* supplementary ones */
};

/*
 * Finds out who the children shall be. spec is --user (UID, UID:GID, NAME, NAME:GROUP, with or
 * without passwd entry) or NULL: the owner of the workspace, else 1000:1000. Reads /etc/passwd and
 * /etc/group; call it before PID 1's fork. Not started as root: it is who we are, and a spec that
 * names somebody else is an error. Staying root is the caller's decision: it passes no user on.
 * 0, or an exit code with its text: EXIT_CODE_USAGE, EXIT_CODE_NO_PERMISSION.
 */
int privileges_find_user(const char *spec, const char *workspace, struct privileges_user *ret_user,
			 struct err *err);

/*
 * Checks the AGENT_PROTECTION_* variables: 0, or EXIT_CODE_CONFIG with the text naming the one that
 * is unknown or has a wrong value. Call it early; privileges_apply checks again.
 */
int privileges_check_environment(struct err *err);

struct privileges_request {
	enum policy_role role;
	const struct privileges_user *user; /* NULL: stay who we are */
	const char *workspace;
	const struct sandbox *sandbox; /* NULL: the role as it is */
	const char *program;	       /* that is to be executed, as argv[0]; NULL: none */
	/*
	 * A Unix socket: what the filter denies is told to whoever receives from it, if the kernel
	 * can (seccomp.h). It is not closed, but close-on-exec afterwards. 0: nobody is told.
	 */
	int notify_fd;
	/*
	 * No loop has read the host's word about this process, nor named what the kernel lacks: what a
	 * loop lets wait until then waits for privileges_apply_rest(), and the log is told.
	 */
	bool by_hand;
};

/*
 * Makes the calling process user and applies the role. Only in a forked child, before exec. Nothing
 * is switched if we are that user already. With POLICY_ROLE_RUNNER and _AGENT all fds from 3 on are
 * closed first. Afterwards the kernel is asked what holds. A protection that is tried and missing is
 * logged. What the sandbox says about a protection wins over the role, the environment over both.
 * 0, or an exit code with its text: EXIT_CODE_NO_PERMISSION (the user switch failed, a required
 * protection is missing), EXIT_CODE_CONFIG. After a failure the process must exit.
 */
int privileges_apply(const struct privileges_request *request, struct err *err);

/*
 * The rest of a role whose protections depend on what it reads itself (policy.follows), or of a
 * request that is by_hand. ret_has_files: Landlock is in force; may be NULL. As privileges_apply().
 */
int privileges_apply_rest(const struct privileges_request *request, bool *ret_has_files,
			  struct err *err);

/*
 * Of a request of which Landlock is in force: says in the log what that leaves open, and what the
 * agent may miss. It looks at each mount: a start has better things to do first.
 */
void privileges_review(const struct privileges_request *request);

/*
 * Becomes the user for good, and nothing more: groups, gid, uid, in this order, each of them
 * verified. 0 or -errno with its text; after a failure the process must exit.
 */
int privileges_switch_user(const struct privileges_user *user, struct err *err);

/*
 * Runs fn with the rights of the user on files and shared memory, and is who we are again afterwards. user
 * may be NULL: fn runs as we are. 0; or -errno, and then fn has not run.
 */
int privileges_run_as(const struct privileges_user *user, void (*fn)(const void *data),
		      const void *data);

/*
 * Protects PID 1 itself: not dumpable, so that no other process can trace it or read its memory and
 * environment; no_new_privs; and, if it is root, only the capabilities that policy_init_caps() lists. Where
 * CAP_KILL is not among them, its real uid becomes user's, so that it can signal its children; NULL:
 * they stay who we are. After the chown step, before the first fork. 0 or -errno with its text; PID 1
 * may log it and go on.
 */
int privileges_protect_init(const struct privileges_user *user, struct err *err);
