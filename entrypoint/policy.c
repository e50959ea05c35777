/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "common/table.h"

/*
 * Every kernel can drop capabilities and set no_new_privs (3.5), and so can gVisor: a start without
 * them is refused. Seccomp is missing in some sandboxes, which confine by other means.
 */
static const struct policy policy_roles[] = {
	[POLICY_ROLE_RUNNER] = {
		.name = "runner",
		.help = "the session loop",
		.modes = {
			[POLICY_PROTECTION_CAPS] = POLICY_MODE_REQUIRE,
			[POLICY_PROTECTION_NO_NEW_PRIVS] = POLICY_MODE_REQUIRE,
			/* The agent has the loop's uid: only this keeps it out of the loop's memory. */
			[POLICY_PROTECTION_UNDUMPABLE] = POLICY_MODE_TRY,
			[POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_TRY,
			[POLICY_PROTECTION_SECCOMP] = POLICY_MODE_TRY,
		},
		.closes_fds = true,
		/* Its rights hold those of its children, which container.json can change. */
		.follows = {
			[POLICY_PROTECTION_LANDLOCK] = true,
			[POLICY_PROTECTION_SECCOMP] = true,
		},
		.logs = true,
		.starts_agents = true,
	},
	[POLICY_ROLE_AGENT] = {
		.name = "agent",
		.help = "what the agent and its tools may do",
		.modes = {
			[POLICY_PROTECTION_CAPS] = POLICY_MODE_REQUIRE,
			[POLICY_PROTECTION_NO_NEW_PRIVS] = POLICY_MODE_REQUIRE,
			/* exec makes a process dumpable again, and debuggers need it. */
			[POLICY_PROTECTION_UNDUMPABLE] = POLICY_MODE_OFF,
			/* Distributions' kernels have it since 2021; some clouds' still do not. */
			[POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_TRY,
			[POLICY_PROTECTION_SECCOMP] = POLICY_MODE_TRY,
		},
		.closes_fds = true,
		/*
		 * As if it used half of the container's memory more than PID 1 and the loop, which
		 * must survive to say what happened. Theirs is not lowered instead: that would put
		 * other containers first when the machine itself runs out.
		 */
		.oom_score_adj = 500,
		/* The loop has named it already; its children's stderr belongs to them. */
		.logs = false,
	},
	[POLICY_ROLE_COMMAND] = {
		.name = "command",
		.help = "a command that the container was started with",
		.modes = {
			[POLICY_PROTECTION_CAPS] = POLICY_MODE_REQUIRE,
			[POLICY_PROTECTION_NO_NEW_PRIVS] = POLICY_MODE_REQUIRE,
			[POLICY_PROTECTION_UNDUMPABLE] = POLICY_MODE_OFF,
			/* Nobody knows its folders. */
			[POLICY_PROTECTION_LANDLOCK] = POLICY_MODE_OFF,
			[POLICY_PROTECTION_SECCOMP] = POLICY_MODE_TRY,
		},
		/* The host passed them on purpose (socket activation). */
		.closes_fds = false,
		.logs = true,
	},
};
TABLE_COVERS(policy_roles, POLICY_ROLE_COUNT);

static const struct policy_protection_row policy_protections[] = {
	[POLICY_PROTECTION_CAPS] = { "CAPS",
				     "no capability; nor, if it can be emptied, the bounding set" },
	[POLICY_PROTECTION_NO_NEW_PRIVS] = { "NO_NEW_PRIVS",
					     "set-user-ID programs give no rights" },
	[POLICY_PROTECTION_UNDUMPABLE] = { "UNDUMPABLE", "nobody traces it or reads its memory" },
	[POLICY_PROTECTION_LANDLOCK] = { "LANDLOCK", "files, signals and TCP ports beyond the "
						     "role's are denied" },
	[POLICY_PROTECTION_SECCOMP] = { "SECCOMP", "dangerous system calls are denied" },
};
TABLE_COVERS(policy_protections, POLICY_PROTECTION_COUNT);

static const char *const policy_modes[] = {
	[POLICY_MODE_OFF] = "off",
	[POLICY_MODE_TRY] = "try",
	[POLICY_MODE_REQUIRE] = "require",
};
TABLE_COVERS(policy_modes, POLICY_MODE_COUNT);

static const struct policy_kept_cap policy_init_kept[] = {
	{ CAP_KILL, "forwards signals to children of another uid" },
	{ CAP_SETUID, "a restarted session loop becomes the user again" },
	{ CAP_SETGID, "likewise, its groups" },
	{ CAP_SETPCAP, "likewise, drops its bounding set" },
};

const struct policy *policy_of(enum policy_role role)
{
	return &policy_roles[role];
}

int policy_find_role(const char *name, enum policy_role *ret_role)
{
	for (size_t i = 0; i < ARRAY_LEN(policy_roles); i++)
		if (strcmp(name, policy_roles[i].name) == 0) {
			*ret_role = (enum policy_role)i;
			return 0;
		}
	return -EINVAL;
}

int policy_find_protection(const char *name, size_t len, enum policy_protection *ret_protection)
{
	for (size_t i = 0; i < ARRAY_LEN(policy_protections); i++)
		if (strlen(policy_protections[i].name) == len &&
		    strncmp(name, policy_protections[i].name, len) == 0) {
			*ret_protection = (enum policy_protection)i;
			return 0;
		}
	return -EINVAL;
}

int policy_find_mode(const char *name, enum policy_mode *ret_mode)
{
	for (size_t i = 0; i < ARRAY_LEN(policy_modes); i++)
		if (strcmp(name, policy_modes[i]) == 0) {
			*ret_mode = (enum policy_mode)i;
			return 0;
		}
	return -EINVAL;
}

const struct policy_protection_row *policy_protection(enum policy_protection protection)
{
	return &policy_protections[protection];
}

const char *policy_mode_name(enum policy_mode mode)
{
	return mode < POLICY_MODE_COUNT ? policy_modes[mode] : NULL;
}

const struct policy_kept_cap *policy_init_caps(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(policy_init_kept);
	return policy_init_kept;
}
