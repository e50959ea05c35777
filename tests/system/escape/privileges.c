/* SPDX-License-Identifier: MIT */
/* More rights than it was given: user ids, capabilities, limits, and a way out of its confinement. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#define RUNNER "/usr/local/bin/agent-runner"

/* One that is neither root nor anybody. */
#define OTHER_ID 4321

static struct outcome become_root(const struct scene *scene)
{
	(void)scene;
	if (setresuid(0, 0, 0) < 0)
		return outcome_failed("setresuid");
	/* Who was root already has won nothing by this; it shows who else it can be. */
	return outcome_of(setresuid(OTHER_ID, OTHER_ID, OTHER_ID), "it was root");
}

static struct outcome become_other(const struct scene *scene)
{
	(void)scene;
	return outcome_of(setresuid(OTHER_ID, OTHER_ID, OTHER_ID), "it was another user");
}

static struct outcome join_group(const struct scene *scene)
{
	(void)scene;
	return outcome_of(setresgid(OTHER_ID, OTHER_ID, OTHER_ID), "it was of another group");
}

static struct outcome join_groups(const struct scene *scene)
{
	const gid_t groups[] = { 0, OTHER_ID };

	(void)scene;
	return outcome_of(setgroups(2, groups), "setgroups");
}

static struct outcome raise_capabilities(const struct scene *scene)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = 1U << CAP_SYS_ADMIN, .permitted = 1U << CAP_SYS_ADMIN },
	};

	(void)scene;
	return outcome_of(syscall(SYS_capset, &header, data), "CAP_SYS_ADMIN");
}

static struct outcome raise_ambient(const struct scene *scene)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)scene;
	if (syscall(SYS_capget, &header, data) < 0)
		return outcome_failed("capget");
	data[0].inheritable |= 1U << CAP_CHOWN;
	if (syscall(SYS_capset, &header, data) < 0)
		return outcome_failed("capset");
	return outcome_of(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0),
			  "CAP_CHOWN");
}

static struct outcome drop_bounding(const struct scene *scene)
{
	(void)scene;
	return outcome_of(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0), "PR_CAPBSET_DROP");
}

static struct outcome set_securebits(const struct scene *scene)
{
	(void)scene;
	return outcome_of(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0),
			  "PR_SET_SECUREBITS");
}

/* Beside this program lie copies of it, one set-user-ID root, one with a file capability. */
static struct outcome run_copy(const struct scene *scene, const char *name)
{
	char path[256], argument[] = "--who";
	char *const argv[] = { path, argument, NULL };

	(void)snprintf(path, sizeof(path), "%.*s/%s",
		       (int)(strrchr(scene->self, '/') - scene->self), scene->self, name);
	if (access(path, X_OK) < 0)
		return outcome_failed("%s", path);
	return attempt_by_program(argv);
}

static struct outcome set_user_id(const struct scene *scene)
{
	return run_copy(scene, "agent-setuid");
}

static struct outcome file_capability(const struct scene *scene)
{
	return run_copy(scene, "agent-capable");
}

/* Its own rights on a file that runs with the rights of who owns it. */
static struct outcome make_set_user_id(const struct scene *scene)
{
	const char *path = ATTEMPT_OWN "/escape-setuid";
	struct outcome outcome;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	(void)scene;
	if (fd < 0 || fchown(fd, 0, 0) < 0 || fchmod(fd, 04755) < 0)
		outcome = outcome_failed("fchown");
	else
		outcome = outcome_succeeded("a set-user-ID file of root's");
	(void)unlink(path);
	return outcome;
}

/* Below what it was, and up again. */
static struct outcome raise_limit(const struct scene *scene)
{
	struct rlimit limit;

	(void)scene;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return outcome_failed("getrlimit");
	limit.rlim_cur = --limit.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return outcome_failed("setrlimit, lower");
	limit.rlim_max++;
	return outcome_of(setrlimit(RLIMIT_MEMLOCK, &limit), "RLIMIT_MEMLOCK");
}

static struct outcome core_limit(const struct scene *scene)
{
	const struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };

	(void)scene;
	return outcome_of(setrlimit(RLIMIT_CORE, &limit), "RLIMIT_CORE");
}

static struct outcome raise_priority(const struct scene *scene)
{
	(void)scene;
	return outcome_of(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1), "nice");
}

static struct outcome real_time_io(const struct scene *scene)
{
	(void)scene;
	/* Class 1, level 4. */
	return outcome_of(syscall(SYS_ioprio_set, 1, 0, 1 << 13 | 4), "ioprio_set");
}

static struct outcome no_randomization(const struct scene *scene)
{
	(void)scene;
	return outcome_of(personality(ADDR_NO_RANDOMIZE), "personality");
}

/* Ways out of what binds it */

/* Reads a database in this program once more, started by another path. */
static struct outcome read_by(char *const *prefix, const struct scene *scene)
{
	char attempt[] = "--attempt", name[] = "read-inbound", self[256];
	char *argv[16];
	int n = 0;

	(void)snprintf(self, sizeof(self), "%s", scene->self);
	for (; prefix && prefix[n]; n++)
		argv[n] = prefix[n];
	argv[n++] = self;
	argv[n++] = attempt;
	argv[n++] = name;
	argv[n] = NULL;
	return attempt_by_program(argv);
}

static struct outcome exec_again(const struct scene *scene)
{
	return read_by(NULL, scene);
}

/* The runner's own program, told to protect nothing. */
static void protect_nothing(void)
{
	static const char *const names[] = { "LANDLOCK", "SECCOMP", "UNDUMPABLE", "CAPS",
					     "NO_NEW_PRIVS" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char variable[64];

		(void)snprintf(variable, sizeof(variable), "AGENT_PROTECTION_%s", names[i]);
		(void)setenv(variable, "off", 1);
	}
}

static struct outcome run_confine(const struct scene *scene)
{
	char self[] = RUNNER, confine[] = "confine", role[] = "--role=agent", end[] = "--";
	char option[] = "--protection=LANDLOCK=off";
	char *const prefix[] = { self, confine, role, option, end, NULL };

	if (access(RUNNER, X_OK) < 0)
		return outcome_failed("access");
	protect_nothing();
	return read_by(prefix, scene);
}

static struct outcome run_command(const struct scene *scene)
{
	char self[] = RUNNER, end[] = "--";
	char *const prefix[] = { self, end, NULL };

	if (access(RUNNER, X_OK) < 0)
		return outcome_failed("access");
	protect_nothing();
	return read_by(prefix, scene);
}

static struct outcome in_memory(const struct scene *scene)
{
	char path[64];
	struct scene copy = *scene;
	static char bytes[65536];
	int from = open(scene->self, O_RDONLY | O_CLOEXEC), to = memfd_create("escape", 0);
	ssize_t n;

	if (from < 0 || to < 0)
		return outcome_failed("memfd_create");
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)n) != n)
			return outcome_failed("write");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	copy.self = path;
	return read_by(NULL, &copy);
}

static struct outcome by_loader(const struct scene *scene)
{
	char loader[] = "/lib64/ld-linux-x86-64.so.2", cat[] = "/bin/cat", path[] = ATTEMPT_INBOUND;
	char *const argv[] = { loader, cat, path, NULL };
	struct outcome outcome;

	(void)scene;
	if (access(loader, X_OK) < 0)
		return outcome_failed("%s", loader);
	/* The database's first bytes are what that program says then. */
	outcome = attempt_by_program(argv);
	if (strstr(outcome.detail, ATTEMPT_SQLITE))
		return outcome_succeeded("read");
	return outcome;
}

static struct outcome keep_privileges(const struct scene *scene)
{
	(void)scene;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
		errno = 0;
		return outcome_denied("no_new_privs is set");
	}
	return outcome_succeeded("no_new_privs is not set");
}

const struct attempt attempts_privileges[] = {
	{ "become-root", "become root by setresuid", become_root },
	{ "become-other", "become another user by setresuid", become_other },
	{ "join-group", "join another group by setresgid", join_group },
	{ "join-groups", "join groups by setgroups", join_groups },
	{ "raise-capabilities", "raise CAP_SYS_ADMIN by capset", raise_capabilities },
	{ "raise-ambient", "raise an ambient capability", raise_ambient },
	{ "drop-bounding", "change the bounding set", drop_bounding },
	{ "set-securebits", "change the securebits", set_securebits },
	{ "set-user-id", "run a set-user-ID program of root's", set_user_id },
	{ "file-capability", "run a program that has a file capability", file_capability },
	{ "make-set-user-id", "make a set-user-ID program of root's", make_set_user_id },
	{ "no-new-privs", "be without no_new_privs", keep_privileges },
	{ "raise-limit", "raise a hard limit", raise_limit },
	{ "core-limit", "have core dumps written", core_limit },
	{ "raise-priority", "raise its own priority", raise_priority },
	{ "real-time-io", "have its reads and writes done before all others'", real_time_io },
	{ "personality", "switch address randomization off for itself", no_randomization },
	{ "exec-again", "read inbound.db in a program that it starts", exec_again },
	{ "memfd-exec", "read inbound.db in a program that it starts from memory", in_memory },
	{ "loader-exec", "read inbound.db in a program that the loader starts", by_loader },
	{ "run-confine", "read inbound.db by agent-runner confine", run_confine },
	{ "run-command", "read inbound.db in a command of agent-runner", run_command },
	{ NULL, NULL, NULL },
};
