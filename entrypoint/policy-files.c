/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-files.h"

#include "common/table.h"

#define AGENT  POLICY_ROLE_BIT(POLICY_ROLE_AGENT)
#define RUNNER POLICY_ROLE_BIT(POLICY_ROLE_RUNNER)
/* The agent's rights end where the runner's do: it lives inside them. */
#define BOTH (AGENT | RUNNER)

#define FILE_ROW(base_, name_, access_, roles_, why_)                                            \
	{                                                                                        \
		.base = POLICY_BASE_##base_, .name = (name_), .access = POLICY_ACCESS_##access_, \
		.roles = (roles_), .why = (why_)                                                 \
	}
#define FILE_ROW_IF(base_, name_, access_, when_, roles_, why_)                                  \
	{                                                                                        \
		.base = POLICY_BASE_##base_, .name = (name_), .access = POLICY_ACCESS_##access_, \
		.when = POLICY_WHEN_##when_, .roles = (roles_), .why = (why_)                    \
	}
#define SYSTEM(name_) \
	FILE_ROW_IF(ROOT, name_, READ, READ_NAMED, AGENT, "programs and what they need")

static const struct policy_file policy_file_rows[] = {
	FILE_ROW(ROOT, "/", READ, RUNNER, "it starts programs, and hands the agent its rights"),
	FILE_ROW_IF(ROOT, "/", READ, READ_ALL, AGENT, "programs, and what the host mounted"),
	FILE_ROW(ROOT, "/", LIST, AGENT, "names tell little, and many tools want them"),

	/* Of root's user ID it would be the machine's disks that can be read. */
	FILE_ROW(ROOT, "/dev", NONE, AGENT, "the devices that it needs have rows of their own"),

	SYSTEM("/usr"),
	SYSTEM("/bin"),
	SYSTEM("/sbin"),
	SYSTEM("/lib"),
	SYSTEM("/lib32"),
	SYSTEM("/lib64"),
	SYSTEM("/libx32"),
	SYSTEM("/etc"),
	SYSTEM("/opt"),
	SYSTEM("/nix"),
	SYSTEM("/pnpm"),
	SYSTEM("/app"),
	SYSTEM("/proc"),
	SYSTEM("/sys"),
	FILE_ROW_IF(SELF, "", READ, READ_NAMED, AGENT, "it is the agent's MCP server, too"),
	FILE_ROW_IF(PROGRAM, "", READ, READ_NAMED, AGENT,
		    "what is started, and what lies beside it"),
	FILE_ROW_IF(WORKSPACE, "inbox", READ, READ_NAMED, AGENT, "what users attached"),
	FILE_ROW_IF(WORKSPACE, "outbox", READ, READ_NAMED, AGENT, "what it sent"),
	FILE_ROW_IF(WORKSPACE, "global", READ, READ_NAMED, AGENT, "what all groups share"),

	FILE_ROW(WORKSPACE, "", WRITE, RUNNER, "databases, outbox, the folders of the agent"),
	FILE_ROW(WORKSPACE, "agent", WRITE, AGENT, "the working folder"),
	FILE_ROW(WORKSPACE, "group", WRITE, AGENT, "the working folder of a v1 host"),
	FILE_ROW(WORKSPACE, "ipc", WRITE, AGENT, "how agents of a v1 host reach it"),
	{ POLICY_BASE_WORKSPACE, "extra", POLICY_ACCESS_WRITE, .each = true, .roles = AGENT,
	  .why = "further folders that the host mounted" },
	FILE_ROW_IF(WORKSPACE, "", WRITE, NO_SESSION, AGENT,
		    "the working folder of a container without a session"),
	FILE_ROW(WORKSPACE, ".home", WRITE, AGENT, "HOME, where the host's holds the workspace"),
	FILE_ROW(VARIABLE, "HOME", WRITE, BOTH, "settings, caches and transcripts of tools"),
	FILE_ROW(VARIABLE, "RUNNER_HOST_HOME", WRITE, BOTH,
		 "the host's HOME, where another is taken that has links into it"),
	FILE_ROW(VARIABLE, "CLAUDE_CONFIG_DIR", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "XDG_CACHE_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "XDG_CONFIG_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "XDG_DATA_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "XDG_STATE_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "XDG_RUNTIME_DIR", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "GOPATH", WRITE, BOTH, "what the host set up for a tool to write"),
	FILE_ROW(VARIABLE, "GOCACHE", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "CARGO_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "RUSTUP_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "VIRTUAL_ENV", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "npm_config_cache", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "NPM_CONFIG_PREFIX", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "npm_config_prefix", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "BUN_INSTALL", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "DENO_DIR", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "PIP_CACHE_DIR", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "UV_CACHE_DIR", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "GRADLE_USER_HOME", WRITE, BOTH, "likewise"),
	FILE_ROW(VARIABLE, "TMPDIR", WRITE, BOTH, "temporary files"),
	FILE_ROW(ROOT, "/tmp", WRITE, BOTH, "temporary files; the runner's socket"),
	FILE_ROW(ROOT, "/var/tmp", WRITE, BOTH, "temporary files"),
	FILE_ROW(ROOT, "/dev/shm", WRITE, BOTH, "shared memory"),
	FILE_ROW(ROOT, "/run", WRITE, RUNNER, "the socket, where nothing else takes it"),

	FILE_ROW(ROOT, "/dev/null", DEVICE, BOTH, "everybody's"),
	FILE_ROW(ROOT, "/dev/zero", DEVICE, BOTH, "everybody's"),
	FILE_ROW(ROOT, "/dev/full", DEVICE, BOTH, "everybody's"),
	FILE_ROW(ROOT, "/dev/random", READ, AGENT, "everybody's"),
	FILE_ROW(ROOT, "/dev/urandom", READ, AGENT, "everybody's"),
	FILE_ROW(ROOT, "/dev/tty", DEVICE, BOTH, "its own terminal"),
	FILE_ROW(ROOT, "/dev/ptmx", DEVICE, BOTH, "new terminals"),
	FILE_ROW(ROOT, "/dev/pts", DEVICE, BOTH, "new terminals"),
	FILE_ROW_IF(ROOT, "/proc", UPDATE, NAMESPACES, AGENT, "uid_map of its namespaces"),
	/* Without a capability it is its owner's files only, its children's for instance. */
	FILE_ROW(ROOT, "/proc", UPDATE, RUNNER, "the agent's oom_score_adj"),
};

static const char *const policy_hidden_names[] = { "inbound.db", "outbound.db", ".heartbeat" };

static const struct policy_limit policy_limit_rows[] = {
	{ RLIMIT_CORE, "core", 0, 0, BOTH, "a dump would put secrets into the workspace" },
	{ RLIMIT_NPROC, "nproc", RLIM_INFINITY, 16, AGENT,
	  "a fork bomb leaves the runner some processes, where they are limited by user" },
	{ RLIMIT_RTPRIO, "rtprio", 0, 0, AGENT, "it must not keep the runner from the processor" },
	{ RLIMIT_NICE, "nice", 20, 0, AGENT, "likewise: no priority above the usual" },
};

static const char *const policy_access_names[] = {
	[POLICY_ACCESS_NONE] = "none",	   [POLICY_ACCESS_LIST] = "list",
	[POLICY_ACCESS_READ] = "read",	   [POLICY_ACCESS_UPDATE] = "update",
	[POLICY_ACCESS_DEVICE] = "device", [POLICY_ACCESS_WRITE] = "write",
};
TABLE_COVERS(policy_access_names, POLICY_ACCESS_COUNT);

const struct policy_file *policy_files(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(policy_file_rows);
	return policy_file_rows;
}

const char *const *policy_hidden(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(policy_hidden_names);
	return policy_hidden_names;
}

const struct policy_limit *policy_limits(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(policy_limit_rows);
	return policy_limit_rows;
}

const char *policy_access_name(enum policy_access access)
{
	return policy_access_names[access];
}
