/* SPDX-License-Identifier: MIT */
#include "entrypoint/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/grant-review.h"
#include "entrypoint/grant.h"
#include "entrypoint/landlock.h"
#include "entrypoint/policy-files.h"
#include "entrypoint/proc.h"
#include "entrypoint/seccomp.h"

#define PRIVILEGES_ENVIRONMENT "AGENT_PROTECTION_"

/*
 * uid 0 has no rights of its own, and none of it can be changed back. no_setuid_fixup also means
 * that setresuid(2) keeps the capabilities: the step after it clears them.
 */
#define PRIVILEGES_SECUREBITS                                                                    \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

struct privileges_context {
	const struct privileges_request *request;
	const struct policy *policy;
	bool has_files;				/* Landlock is in force */
	bool is_asked[POLICY_PROTECTION_COUNT]; /* somebody said "require" */
	enum policy_mode modes[POLICY_PROTECTION_COUNT];
	struct err failures[POLICY_PROTECTION_COUNT]; /* why a protection is missing */
};

static void privileges_free_cap(void *caps)
{
	(void)cap_free(caps);
}

CLEANUP_DEFINE(cap, cap_t, privileges_free_cap);
#define cleanup_cap CLEANUP(cleanup_cap_fn)

/* The environment */

static int privileges_read_environment(enum policy_mode *modes, struct err *err)
{
	size_t prefix = strlen(PRIVILEGES_ENVIRONMENT);

	for (char **v = environ; v && *v; v++) {
		enum policy_protection protection;
		enum policy_mode mode;

		if (strncmp(*v, PRIVILEGES_ENVIRONMENT, prefix) != 0)
			continue;
		if (sandbox_read_mode(PRIVILEGES_ENVIRONMENT, *v + prefix, &protection, &mode,
				      err) < 0)
			return EXIT_CODE_CONFIG;
		modes[protection] = mode;
	}
	return 0;
}

int privileges_check_environment(struct err *err)
{
	enum policy_mode modes[POLICY_PROTECTION_COUNT];

	return privileges_read_environment(modes, err);
}

/* Steps */

static int privileges_close_fds(struct privileges_context *c, struct err *err)
{
	const unsigned int first = STDERR_FILENO + 1, kept = (unsigned int)c->request->notify_fd;

	(void)err;
	if (!c->policy->closes_fds)
		return 0;
	if (kept >= first && fd_set_cloexec(c->request->notify_fd, true) == 0) {
		if ((kept == first || syscall(SYS_close_range, first, kept - 1, 0) == 0) &&
		    syscall(SYS_close_range, kept + 1, ~0U, 0) == 0)
			return 0;
	} else if (syscall(SYS_close_range, first, ~0U, 0) == 0) {
		return 0;
	}
	/* Linux before 5.9, gVisor: nothing is executed that could inherit them later. */
	fd_cloexec_from(STDERR_FILENO + 1);
	return 0;
}

/*
 * Raising one's own needs no right, but the file belongs to root while we are not dumpable. Lowered
 * it is never: somebody meant it.
 */
static int privileges_set_oom_score(struct privileges_context *c, struct err *err)
{
	int r;

	(void)err;
	if (c->policy->oom_score_adj == 0)
		return 0;
	r = proc_raise_oom_score(c->policy->oom_score_adj);
	if (r < 0)
		log_debug("oom_score_adj cannot be raised to %d: %s", c->policy->oom_score_adj,
			  strerror(-r));
	return 0;
}

static int privileges_drop_bounding(struct privileges_context *c, struct err *err)
{
	(void)c;
	for (int cap = 0; cap < (int)cap_max_bits(); cap++) {
		if (cap_get_bound(cap) != 1)
			continue;
		if (cap_drop_bound(cap) == 0)
			continue;
		/*
		 * Not root: it cannot be dropped, and with no_new_privs it cannot be used either.
		 * Whether that is so is confirmed at the end.
		 */
		if (errno == EPERM)
			return 0;
		return err_sys(err, -errno, "bounding set, capability %d", cap);
	}
	return 0;
}

static int privileges_clear_ambient(struct privileges_context *c, struct err *err)
{
	(void)c;
	/* Not cap_reset_ambient(3), which asks for each of them first. */
	if (prctl(PR_CAP_AMBIENT, (long)PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) == 0)
		return 0;
	/* EINVAL: Linux before 4.3 and gVisor have no ambient set. */
	return errno == EINVAL ? 0 : err_sys(err, -errno, "ambient set");
}

/* Before the ids change: afterwards CAP_SETPCAP is gone. */
static int privileges_set_securebits(struct privileges_context *c, struct err *err)
{
	(void)c;
	(void)err;
	/* Needs CAP_SETPCAP. Without it there are no capabilities that they would guard. */
	(void)cap_set_secbits(PRIVILEGES_SECUREBITS);
	return 0;
}

static int privileges_become(struct privileges_context *c, struct err *err)
{
	return c->request->user ? privileges_switch_user(c->request->user, err) : 0;
}

static int privileges_clear_caps(struct privileges_context *c, struct err *err)
{
	cleanup_cap cap_t none = cap_init();

	(void)c;
	if (!none || cap_set_proc(none) < 0)
		return err_sys(err, -errno, "capset");
	return 0;
}

/* Lowering a limit is always permitted. */
static int privileges_limit(struct privileges_context *c, struct err *err)
{
	const struct policy_limit *limits;
	size_t n;

	limits = policy_limits(&n);
	for (size_t i = 0; i < n; i++) {
		struct rlimit limit;
		rlim_t most = limits[i].most;

		if (!(limits[i].roles & POLICY_ROLE_BIT(c->request->role)))
			continue;
		if (getrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
			return err_sys(err, -errno, "getrlimit %s", limits[i].name);
		if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur > limits[i].reserve &&
		    limit.rlim_cur - limits[i].reserve < most)
			most = limit.rlim_cur - limits[i].reserve;
		if (limit.rlim_max <= most)
			most = limit.rlim_max;
		limit.rlim_max = most;
		if (limit.rlim_cur > most)
			limit.rlim_cur = most;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
			return err_sys(err, -errno, "setrlimit %s", limits[i].name);
	}
	return 0;
}

static int privileges_set_no_new_privs(struct privileges_context *c, struct err *err)
{
	(void)c;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return err_sys(err, -errno, "no_new_privs");
	return 0;
}

/* After the ids changed: that sets the flag to fs.suid_dumpable. */
static int privileges_set_undumpable(struct privileges_context *c, struct err *err)
{
	(void)c;
	if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
		return err_sys(err, -errno, "dumpable");
	return 0;
}

static struct grant_request privileges_grant_request(const struct privileges_request *request)
{
	return (struct grant_request){
		.role = request->role,
		.workspace = request->workspace,
		.sandbox = request->sandbox,
		.program = request->program,
	};
}

static int privileges_set_landlock(struct privileges_context *c, struct err *err)
{
	const struct grant_request request = privileges_grant_request(c->request);
	int r = grant_enforce(&request, err);

	c->has_files = r == 0;
	/* Tried is what a kernel may lack. What fails otherwise an agent may have brought about. */
	if (r < 0 && r != -ENOSYS && r != -EOPNOTSUPP && r != -EPERM)
		c->modes[POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_REQUIRE;
	return r;
}

static struct seccomp_options privileges_seccomp_options(const struct privileges_context *c)
{
	const struct sandbox *sandbox = c->request->sandbox;

	return (struct seccomp_options){
		.namespaces_allowed = sandbox && sandbox->allows_namespaces,
		/* truncate(2) by path goes past an older Landlock. */
		.truncate_denied = c->has_files && landlock_version() < LANDLOCK_VERSION_TRUNCATE,
		.is_for_children = c->policy->starts_agents,
		.notify_fd = c->request->notify_fd,
	};
}

static int privileges_set_seccomp(struct privileges_context *c, struct err *err)
{
	const struct seccomp_options options = privileges_seccomp_options(c);

	return seccomp_install(&options, err);
}

/* A step that belongs to no protection is always done, and its failure is fatal. */
#define ALWAYS POLICY_PROTECTION_COUNT

/* The order matters: design of each step's neighbours is in the comments above. */
static const struct {
	enum policy_protection protection;
	int (*apply)(struct privileges_context *c, struct err *err);
} privileges_steps[] = {
	{ ALWAYS, privileges_close_fds },
	/* A new user id makes the process undumpable. */
	{ ALWAYS, privileges_set_oom_score },
	{ POLICY_PROTECTION_CAPS, privileges_drop_bounding },
	{ POLICY_PROTECTION_CAPS, privileges_clear_ambient },
	{ POLICY_PROTECTION_CAPS, privileges_set_securebits },
	{ ALWAYS, privileges_become },
	{ POLICY_PROTECTION_CAPS, privileges_clear_caps },
	{ ALWAYS, privileges_limit },
	{ POLICY_PROTECTION_NO_NEW_PRIVS, privileges_set_no_new_privs },
	{ POLICY_PROTECTION_UNDUMPABLE, privileges_set_undumpable },
	{ POLICY_PROTECTION_LANDLOCK, privileges_set_landlock },
	/* Last: the filter may deny what the others need. */
	{ POLICY_PROTECTION_SECCOMP, privileges_set_seccomp },
};

/* Reading back */

static bool privileges_has_no_new_privs(const struct privileges_context *c)
{
	(void)c;
	return prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1;
}

/* The ambient set holds nothing that is not both permitted and inheritable (capabilities(7)). */
static bool privileges_has_no_caps(const struct privileges_context *c)
{
	cleanup_cap cap_t now = cap_get_proc();
	cleanup_cap cap_t none = cap_init();

	if (!now || !none || cap_compare(now, none) != 0)
		return false;
	/* The bounding set only matters when a program may give capabilities. */
	if (privileges_has_no_new_privs(c))
		return true;
	for (int cap = 0; cap < (int)cap_max_bits(); cap++)
		if (cap_get_bound(cap) == 1)
			return false;
	return true;
}

static bool privileges_is_undumpable(const struct privileges_context *c)
{
	(void)c;
	return prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) == 0;
}

static bool privileges_has_seccomp(const struct privileges_context *c)
{
	const struct seccomp_options options = privileges_seccomp_options(c);

	return seccomp_is_installed(&options);
}

/* The kernel tells nobody: what it answered has to do. */
static bool privileges_has_landlock(const struct privileges_context *c)
{
	return c->has_files;
}

/*
 * The kernel is asked by system calls. /proc/self/status says the same, but it may not be there, and
 * its first use alone costs a start 0.2 ms.
 */
static bool (*const privileges_holds[])(const struct privileges_context *c) = {
	[POLICY_PROTECTION_CAPS] = privileges_has_no_caps,
	[POLICY_PROTECTION_NO_NEW_PRIVS] = privileges_has_no_new_privs,
	[POLICY_PROTECTION_UNDUMPABLE] = privileges_is_undumpable,
	[POLICY_PROTECTION_LANDLOCK] = privileges_has_landlock,
	[POLICY_PROTECTION_SECCOMP] = privileges_has_seccomp,
};
TABLE_COVERS(privileges_holds, POLICY_PROTECTION_COUNT);

/* Why there is no start, and what to do about it. */
static int privileges_refuse(const struct privileges_context *c, enum policy_protection protection,
			     const char *why, struct err *err)
{
	const char *name = policy_protection(protection)->name;

	if (c->is_asked[protection])
		return err_set(err, EXIT_CODE_NO_PERMISSION,
			       "protection %s is required and missing: %s; " PRIVILEGES_ENVIRONMENT
			       "%s=try goes on without it",
			       name, why, name);
	if (c->request->sandbox && sandbox_narrows(c->request->sandbox))
		return err_set(
			err, EXIT_CODE_NO_PERMISSION,
			"the sandbox limits what is read, or TCP ports, which only %s can do: "
			"%s; leave the limits out to go on without them",
			name, why);
	return err_set(err, EXIT_CODE_NO_PERMISSION, "protection %s cannot be put in place: %s",
		       name, why);
}

static int privileges_confirm(const struct privileges_context *c, struct err *err)
{
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++) {
		const char *name = policy_protection((enum policy_protection)i)->name;
		const char *why = c->failures[i].text;

		if (c->modes[i] == POLICY_MODE_OFF || privileges_holds[i](c))
			continue;
		if (why[0] == '\0')
			why = "the kernel took it, but does not show it";
		if (c->modes[i] == POLICY_MODE_REQUIRE)
			return privileges_refuse(c, (enum policy_protection)i, why, err);
		if (c->policy->logs || c->request->by_hand)
			log_warning("protection %s is missing: %s", name, why);
	}
	return 0;
}

/* Is it for privileges_apply_rest()? */
static bool privileges_follows(const struct privileges_context *c, int protection)
{
	return c->policy->follows[protection] ||
	       (c->request->by_hand && policy_of(POLICY_ROLE_RUNNER)->follows[protection]);
}

/*
 * Whose word counts: the role's, then the sandbox's, then the environment's. follows: of those that
 * come later, else of the others. 0 or an exit code.
 */
static int privileges_find_modes(struct privileges_context *c, bool follows, struct err *err)
{
	const struct sandbox *sandbox = c->request->sandbox;
	int r;

	memcpy(c->modes, c->policy->modes, sizeof(c->modes));
	for (int i = 0; sandbox && i < POLICY_PROTECTION_COUNT; i++)
		if (sandbox->has_mode[i])
			c->modes[i] = sandbox->modes[i];
	r = privileges_read_environment(c->modes, err);
	if (r != 0)
		return r;
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++)
		c->is_asked[i] = c->modes[i] == POLICY_MODE_REQUIRE;
	/* To leave out in silence what the host asked for would be worse than no start. */
	if (sandbox && sandbox_narrows(sandbox) &&
	    c->policy->modes[POLICY_PROTECTION_LANDLOCK] != POLICY_MODE_OFF) {
		if (c->modes[POLICY_PROTECTION_LANDLOCK] == POLICY_MODE_OFF)
			return err_set(err, EXIT_CODE_CONFIG,
				       "the sandbox limits what is read, or TCP ports, which only "
				       "LANDLOCK can do, and that is off: leave one of them out");
		c->modes[POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_REQUIRE;
	}
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++)
		/* What a role never gets, nobody can ask for. */
		if (c->policy->modes[i] == POLICY_MODE_OFF || privileges_follows(c, i) != follows)
			c->modes[i] = POLICY_MODE_OFF;
	return r;
}

/* The steps of what is not off, or always done. 0 or an exit code. */
static int privileges_run_steps(struct privileges_context *c, bool follows, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(privileges_steps); i++) {
		enum policy_protection protection = privileges_steps[i].protection;

		if (protection == ALWAYS) {
			if (!follows && privileges_steps[i].apply(c, err) < 0)
				return EXIT_CODE_NO_PERMISSION;
		} else if (c->modes[protection] != POLICY_MODE_OFF) {
			/* Whether it matters is decided when all is read back. */
			(void)privileges_steps[i].apply(c, &c->failures[protection]);
		}
	}
	return 0;
}

static int privileges_run(struct privileges_context *c, bool follows, struct err *err)
{
	int r = privileges_find_modes(c, follows, err);

	if (r == 0)
		r = privileges_run_steps(c, follows, err);
	return r != 0 ? r : privileges_confirm(c, err);
}

int privileges_apply(const struct privileges_request *request, struct err *err)
{
	struct privileges_context c = { .request = request, .policy = policy_of(request->role) };

	return privileges_run(&c, false, err);
}

static void privileges_say(enum log_level level, const char *text)
{
	log_write(level, "%s", text);
}

int privileges_apply_rest(const struct privileges_request *request, bool *ret_has_files,
			  struct err *err)
{
	struct privileges_context c = { .request = request, .policy = policy_of(request->role) };
	int r = privileges_run(&c, true, err);

	if (ret_has_files)
		*ret_has_files = r == 0 && c.has_files;
	return r;
}

void privileges_review(const struct privileges_request *request)
{
	const struct grant_request files = privileges_grant_request(request);

	grant_review(&files, privileges_say);
}

int privileges_switch_user(const struct privileges_user *user, struct err *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;
	const char *call;

	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
		return err_sys(err, -errno, "getresuid");
	/* Started as this user: the groups that the runtime gave it stay. */
	if (euid != 0 && ruid == user->uid && euid == user->uid && suid == user->uid &&
	    rgid == user->gid && egid == user->gid && sgid == user->gid)
		return 0;
	call = "setgroups";
	if (setgroups(user->n_groups, user->groups) == 0) {
		call = "setresgid";
		if (setresgid(user->gid, user->gid, user->gid) == 0) {
			call = "setresuid";
			if (setresuid(user->uid, user->uid, user->uid) == 0)
				call = NULL;
		}
	}
	if (call)
		return err_sys(err, -errno,
			       "cannot become %u:%u (start the container with --user "
			       "%u:%u, or give it CAP_SETUID and CAP_SETGID): %s",
			       user->uid, user->gid, user->uid, user->gid, call);
	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0 ||
	    ruid != user->uid || euid != user->uid || suid != user->uid || rgid != user->gid ||
	    egid != user->gid || sgid != user->gid)
		return err_set(err, -EPERM,
			       "cannot become %u:%u: the kernel agreed and did not do it",
			       user->uid, user->gid);
	return 0;
}

/*
 * Without CAP_KILL, root reaches nobody else. A process may signal those of its real uid, too: that
 * is all that changes, and the user still gets nothing of ours, which goes by the effective one.
 */
static int privileges_stay_in_touch(const struct privileges_user *user, cap_t have, struct err *err)
{
	cap_flag_value_t has = CAP_CLEAR;

	if (cap_get_flag(have, CAP_KILL, CAP_EFFECTIVE, &has) == 0 && has == CAP_SET)
		return 0;
	if (setresuid(user->uid, (uid_t)-1, (uid_t)-1) < 0)
		return err_sys(err, -errno,
			       "without CAP_KILL it cannot pass on signals to uid %u: setresuid",
			       user->uid);
	return 0;
}

int privileges_protect_init(const struct privileges_user *user, struct err *err)
{
	enum policy_mode modes[POLICY_PROTECTION_COUNT];
	const struct policy_kept_cap *kept;
	size_t n;
	int r;

	memcpy(modes, policy_of(POLICY_ROLE_RUNNER)->modes, sizeof(modes));
	if (privileges_read_environment(modes, err) != 0)
		return -EINVAL;
	if (modes[POLICY_PROTECTION_UNDUMPABLE] != POLICY_MODE_OFF &&
	    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
		return err_sys(err, -errno, "dumpable");
	/* It executes nothing itself, and its children shall have it in any case. */
	if (modes[POLICY_PROTECTION_NO_NEW_PRIVS] != POLICY_MODE_OFF &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return err_sys(err, -errno, "no_new_privs");
	if (geteuid() != 0)
		return 0;
	cleanup_cap cap_t have = cap_get_proc();
	cleanup_cap cap_t want = cap_init();

	if (!have || !want)
		return err_sys(err, -errno, "capget");
	r = user ? privileges_stay_in_touch(user, have, err) : 0;
	/* CAPS=off means that a child may need what PID 1 would drop here. */
	if (r < 0 || modes[POLICY_PROTECTION_CAPS] == POLICY_MODE_OFF)
		return r;
	kept = policy_init_caps(&n);
	for (size_t i = 0; i < n; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(have, kept[i].cap, CAP_PERMITTED, &has) < 0 || has != CAP_SET)
			continue;
		(void)cap_set_flag(want, CAP_PERMITTED, 1, &kept[i].cap, CAP_SET);
		(void)cap_set_flag(want, CAP_EFFECTIVE, 1, &kept[i].cap, CAP_SET);
	}
	if (cap_set_proc(want) < 0)
		return err_sys(err, -errno, "capset");
	return 0;
}
