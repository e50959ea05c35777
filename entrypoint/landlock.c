/* SPDX-License-Identifier: MIT */
#include "entrypoint/landlock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/table.h"

/* The same numbers on every architecture; libc has no wrappers. */
#define LANDLOCK_SYS_CREATE_RULESET    444
#define LANDLOCK_SYS_ADD_RULE	       445
#define LANDLOCK_SYS_RESTRICT_SELF     446

#define LANDLOCK_CREATE_VERSION	       1U
#define LANDLOCK_RULE_PATH	       1
#define LANDLOCK_RULE_PORT	       2

#define LANDLOCK_SCOPE_ABSTRACT_SOCKET (UINT64_C(1) << 0)
#define LANDLOCK_SCOPE_SIGNAL	       (UINT64_C(1) << 1)

/* The kernel's struct landlock_ruleset_attr; it grew twice, and its size says which one it is. */
struct landlock_attr {
	uint64_t files;
	uint64_t tcp;	 /* version 4 */
	uint64_t scopes; /* version 6 */
};

struct landlock_path_rule {
	uint64_t rights;
	int32_t file;
} __attribute__((packed));

struct landlock_port_rule {
	uint64_t rights;
	uint64_t port;
};

/* The rights that came later than version 1, which knew all below them. */
static const struct {
	uint64_t right;
	int version;
} landlock_later[] = {
	{ LANDLOCK_REFER, LANDLOCK_VERSION_REFER },
	{ LANDLOCK_TRUNCATE, LANDLOCK_VERSION_TRUNCATE },
	{ LANDLOCK_IOCTL_DEV, LANDLOCK_VERSION_IOCTL },
};

int landlock_version(void)
{
	long version =
		syscall(LANDLOCK_SYS_CREATE_RULESET, NULL, (size_t)0, LANDLOCK_CREATE_VERSION);

	return version > 0 ? (int)version : 0;
}

uint64_t landlock_rights(int version)
{
	uint64_t rights = version > 0 ? LANDLOCK_REFER - 1 : 0;

	for (size_t i = 0; i < ARRAY_LEN(landlock_later); i++)
		if (version >= landlock_later[i].version)
			rights |= landlock_later[i].right;
	return rights;
}

static size_t landlock_attr_size(int version)
{
	if (version >= LANDLOCK_VERSION_SCOPES)
		return sizeof(struct landlock_attr);
	return version >= LANDLOCK_VERSION_TCP ? offsetof(struct landlock_attr, scopes)
					       : offsetof(struct landlock_attr, tcp);
}

int landlock_open(const struct landlock_spec *spec, struct err *err)
{
	const struct landlock_attr attr = {
		.files = landlock_rights(spec->version),
		.tcp = spec->tcp,
		.scopes = LANDLOCK_SCOPE_ABSTRACT_SOCKET | LANDLOCK_SCOPE_SIGNAL,
	};
	long fd;

	/* The size leaves out the members that this version does not have. */
	fd = syscall(LANDLOCK_SYS_CREATE_RULESET, &attr, landlock_attr_size(spec->version), 0U);
	/* Close-on-exec from birth: the kernel makes it so. */
	return fd < 0 ? err_sys(err, -errno, "Landlock ruleset") : (int)fd;
}

int landlock_allow_file(int ruleset, int file, uint64_t rights)
{
	const struct landlock_path_rule rule = { .rights = rights, .file = file };

	return syscall(LANDLOCK_SYS_ADD_RULE, ruleset, LANDLOCK_RULE_PATH, &rule, 0U) < 0 ? -errno
											  : 0;
}

int landlock_allow_port(int ruleset, uint16_t port, uint64_t rights)
{
	const struct landlock_port_rule rule = { .rights = rights, .port = port };

	return syscall(LANDLOCK_SYS_ADD_RULE, ruleset, LANDLOCK_RULE_PORT, &rule, 0U) < 0 ? -errno
											  : 0;
}

int landlock_enforce(int ruleset, struct err *err)
{
	if (syscall(LANDLOCK_SYS_RESTRICT_SELF, ruleset, 0U) == 0)
		return 0;
	return err_sys(err, -errno, "Landlock");
}
