/* SPDX-License-Identifier: MIT */
/* Devices, terminals, and the kernel's switches below /proc/sys, /sys and in cgroups. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

#define PLACE ATTEMPT_OWN "/escape-place"

static struct outcome core_pattern(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/proc/sys/kernel/core_pattern");
}

static struct outcome modprobe_path(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/proc/sys/kernel/modprobe");
}

static struct outcome kernel_switch(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/proc/sys/kernel/threads-max");
}

static struct outcome memory_switch(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/proc/sys/vm/overcommit_memory");
}

static struct outcome network_switch(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/proc/sys/net/ipv4/ip_forward");
}

static struct outcome sysrq(const struct scene *scene)
{
	(void)scene;
	/* Only has the kernel print what it offers. */
	return outcome_of(attempt_write("/proc/sysrq-trigger", 0, "h"), "/proc/sysrq-trigger");
}

static struct outcome ksm_switch(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/sys/kernel/mm/ksm/run");
}

static struct outcome swap_switch(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/sys/kernel/mm/swap/vma_ra_enabled");
}

/* The first file of that pattern. */
static int first_path(const char *pattern, char path[256])
{
	glob_t found;
	int r = glob(pattern, 0, NULL, &found);

	if (r != 0) {
		errno = ENOENT;
		return -1;
	}
	(void)snprintf(path, 256, "%s", found.gl_pathv[0]);
	globfree(&found);
	return 0;
}

static struct outcome block_device_switch(const struct scene *scene)
{
	char path[256];

	(void)scene;
	if (first_path("/sys/block/*/queue/read_ahead_kb", path) < 0)
		return outcome_failed("/sys/block");
	return attempt_rewrite(path);
}

/* cgroups: limits, and a program that the machine runs as root when a group becomes empty */

/* In the root of a hierarchy, which a fresh mount of it shows. */
static struct outcome release_agent(const struct scene *scene)
{
	struct outcome outcome;
	char path[256];
	long r;

	(void)scene;
	if (first_path("/sys/fs/cgroup/*/release_agent", path) == 0)
		return attempt_rewrite(path);
	(void)mkdir(PLACE, 0700);
	r = syscall(SYS_mount, "none", PLACE, "cgroup", 0, "pids");
	if (r < 0)
		return outcome_failed("mount of a cgroup hierarchy");
	outcome = attempt_rewrite(PLACE "/release_agent");
	(void)syscall(SYS_umount2, PLACE, 2 /* MNT_DETACH */);
	return outcome;
}

static struct outcome memory_limit(const struct scene *scene)
{
	char path[256];

	(void)scene;
	if (first_path("/sys/fs/cgroup/memory/memory.limit_in_bytes", path) < 0 &&
	    first_path("/sys/fs/cgroup/memory.max", path) < 0)
		return outcome_failed("the memory controller");
	return attempt_rewrite(path);
}

static struct outcome make_cgroup(const struct scene *scene)
{
	char path[256];

	(void)scene;
	if (first_path("/sys/fs/cgroup/pids", path) < 0 &&
	    first_path("/sys/fs/cgroup/cgroup.procs", path) < 0)
		return outcome_failed("cgroups");
	(void)snprintf(path, sizeof(path), "%s/escape",
		       access("/sys/fs/cgroup/pids", F_OK) == 0 ? "/sys/fs/cgroup/pids"
								: "/sys/fs/cgroup");
	if (mkdir(path, 0700) < 0)
		return outcome_failed("mkdir");
	return outcome_of(rmdir(path), "a cgroup was made");
}

/* Devices */

static struct outcome make_device(const struct scene *scene)
{
	const char *path = ATTEMPT_OWN "/escape-device";

	(void)scene;
	if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) < 0)
		return outcome_failed("mknod");
	return outcome_of(unlink(path), "a device was made");
}

static struct outcome read_device(const char *path)
{
	char bytes[512];
	ssize_t n = attempt_read(path, bytes, sizeof(bytes));

	return n < 0 ? outcome_failed("%s", path) : outcome_succeeded("%zd bytes were read", n);
}

/* The machine's first disk, and a loop device where that one is nobody's. */
static const struct {
	const char *path;
	unsigned int major_number, minor_number;
} disks[] = {
	{ "/dev/sda", 8, 0 },	    { "/dev/vda", 254, 0 }, { "/dev/vda", 253, 0 },
	{ "/dev/nvme0n1", 259, 0 }, { "/dev/loop0", 7, 0 },
};
#define DISKS (sizeof(disks) / sizeof(*disks))

static struct outcome make_disk(const struct scene *scene)
{
	const char *path = ATTEMPT_OWN "/escape-disk";
	struct outcome outcome = outcome_absent("no disk");

	(void)scene;
	for (size_t i = 0; i < DISKS && outcome.verdict != VERDICT_SUCCEEDED; i++) {
		(void)unlink(path);
		if (mknod(path, S_IFBLK | 0600,
			  makedev(disks[i].major_number, disks[i].minor_number)) < 0)
			return outcome_failed("mknod");
		outcome = read_device(path);
	}
	(void)unlink(path);
	return outcome;
}

static struct outcome read_disk(const struct scene *scene)
{
	struct outcome outcome;

	(void)scene;
	errno = ENOENT;
	outcome = outcome_absent("no disk");
	for (size_t i = 0; i < DISKS && outcome.verdict != VERDICT_SUCCEEDED; i++)
		if (access(disks[i].path, F_OK) == 0)
			outcome = read_device(disks[i].path);
	return outcome;
}

static struct outcome open_disk(const struct scene *scene)
{
	struct outcome outcome;

	(void)scene;
	errno = ENOENT;
	outcome = outcome_absent("no disk");
	for (size_t i = 0; i < DISKS && outcome.verdict != VERDICT_SUCCEEDED; i++)
		if (access(disks[i].path, F_OK) == 0)
			outcome = outcome_of(open(disks[i].path, O_WRONLY | O_CLOEXEC),
					     disks[i].path);
	return outcome;
}

#define OPEN_DEVICE(function_, path_, flags_)                                                 \
	static struct outcome function_(const struct scene *scene)                            \
	{                                                                                     \
		(void)scene;                                                                  \
		return outcome_of(open((path_), (flags_) | O_CLOEXEC | O_NONBLOCK), (path_)); \
	}

OPEN_DEVICE(open_mem, "/dev/mem", O_RDONLY)
OPEN_DEVICE(open_kmsg, "/dev/kmsg", O_RDONLY)
OPEN_DEVICE(write_kmsg, "/dev/kmsg", O_WRONLY)
OPEN_DEVICE(open_fuse, "/dev/fuse", O_RDWR)
OPEN_DEVICE(open_tun, "/dev/net/tun", O_RDWR)
OPEN_DEVICE(open_kvm, "/dev/kvm", O_RDWR)

static struct outcome read_kallsyms(const struct scene *scene)
{
	char text[4096];

	(void)scene;
	if (attempt_read("/proc/kallsyms", text, sizeof(text)) < 0)
		return outcome_failed("/proc/kallsyms");
	return strspn(text, "0") >= 8 ? outcome_denied("its addresses are 0")
				      : outcome_succeeded("kernel addresses were read");
}

static struct outcome read_kcore(const struct scene *scene)
{
	(void)scene;
	return read_device("/proc/kcore");
}

/* Terminals */

/* A pair of its own, made the controlling terminal: only such a one takes typed characters. */
static int own_terminal(void)
{
	int other, terminal;

	(void)setsid();
	other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other < 0 || grantpt(other) < 0 || unlockpt(other) < 0)
		return -1;
	terminal = open(ptsname(other), O_RDWR | O_CLOEXEC);
	if (terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) < 0 && errno != EPERM)
		return -1;
	return terminal;
}

static struct outcome type_characters(const struct scene *scene)
{
	int terminal = own_terminal();
	char typed = '\n';

	(void)scene;
	if (terminal < 0)
		return outcome_denied("no terminal of its own");
	return outcome_of(ioctl(terminal, TIOCSTI, &typed), "TIOCSTI");
}

/* The upper half of the number is not looked at by the kernel. */
static struct outcome type_by_high_bits(const struct scene *scene)
{
	int terminal = own_terminal();
	char typed = '\n';

	(void)scene;
	if (terminal < 0)
		return outcome_denied("no terminal of its own");
	return outcome_of(ioctl(terminal, 0x100000000UL | TIOCSTI, &typed), "TIOCSTI");
}

static struct outcome console_selection(const struct scene *scene)
{
	int terminal = own_terminal(), console;
	char subcode = 6 /* TIOCL_GETSHIFTSTATE */;

	(void)scene;
	if (terminal >= 0 && ioctl(terminal, TIOCLINUX, &subcode) >= 0)
		return outcome_succeeded("TIOCLINUX");
	/* ENOTTY: the filter let it through, and a pair is no console. */
	if (terminal >= 0 && errno == ENOTTY)
		return outcome_succeeded("TIOCLINUX was passed on to the terminal");
	console = open("/dev/tty0", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (console < 0)
		return outcome_denied("TIOCLINUX");
	return outcome_of(ioctl(console, TIOCLINUX, &subcode), "TIOCLINUX");
}

const struct attempt attempts_devices[] = {
	{ "core-pattern", "write /proc/sys/kernel/core_pattern", core_pattern },
	{ "modprobe-path", "write /proc/sys/kernel/modprobe", modprobe_path },
	{ "kernel-switch", "write a switch in /proc/sys/kernel", kernel_switch },
	{ "memory-switch", "write a switch in /proc/sys/vm", memory_switch },
	{ "network-switch", "write a switch in /proc/sys/net", network_switch },
	{ "sysrq", "write /proc/sysrq-trigger", sysrq },
	{ "sys-ksm", "write a switch in /sys/kernel/mm/ksm", ksm_switch },
	{ "sys-swap", "write a switch in /sys/kernel/mm/swap", swap_switch },
	{ "sys-block", "write a switch of a disk in /sys/block", block_device_switch },
	{ "release-agent", "write a cgroup's release_agent", release_agent },
	{ "memory-limit", "write the container's memory limit", memory_limit },
	{ "make-cgroup", "make a cgroup", make_cgroup },
	{ "mknod", "make a device", make_device },
	{ "mknod-disk", "make the disk's device, and read it", make_disk },
	{ "read-disk", "read the disk", read_disk },
	{ "write-disk", "open the disk for writing", open_disk },
	{ "dev-mem", "open /dev/mem", open_mem },
	{ "dev-kmsg", "read the kernel's log in /dev/kmsg", open_kmsg },
	{ "dev-kmsg-write", "write the kernel's log by /dev/kmsg", write_kmsg },
	{ "dev-fuse", "open /dev/fuse", open_fuse },
	{ "dev-tun", "open /dev/net/tun", open_tun },
	{ "dev-kvm", "open /dev/kvm", open_kvm },
	{ "kallsyms", "read kernel addresses in /proc/kallsyms", read_kallsyms },
	{ "kcore", "read the kernel's memory in /proc/kcore", read_kcore },
	{ "tiocsti", "type into a terminal by TIOCSTI", type_characters },
	{ "tiocsti-high-bits", "type into a terminal by TIOCSTI with upper bits set",
	  type_by_high_bits },
	{ "tioclinux", "call TIOCLINUX on a terminal", console_selection },
	{ NULL, NULL, NULL },
};
