/* SPDX-License-Identifier: MIT */
/* System calls that no agent needs: old code, new code, and what belongs to the machine. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#define SYSLOG_SIZE_BUFFER 10
#define KEY_SPEC_SESSION   (-3)
#define I386_KEYCTL	   288
#define I386_UNSHARE	   310
#define X32_BIT		   0x40000000
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#define SWAP_PAGE  4096
#define SWAP_PAGES 16

static struct outcome io_uring(const struct scene *scene)
{
	struct io_uring_params params = { .flags = 0 };

	(void)scene;
	return outcome_of(syscall(SYS_io_uring_setup, 4, &params), "io_uring_setup");
}

static struct outcome userfaultfd(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */),
			  "userfaultfd");
}

static struct outcome bpf(const struct scene *scene)
{
	union bpf_attr attr;

	(void)scene;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 4;
	attr.max_entries = 1;
	return outcome_of(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)), "a map");
}

static struct outcome perf_event(const struct scene *scene)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	(void)scene;
	return outcome_of(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), "perf_event_open");
}

static struct outcome keyctl(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION, 1),
			  "the session's keyring");
}

static struct outcome add_key(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_add_key, "user", "escape", "x", 1, KEY_SPEC_SESSION),
			  "a key was added");
}

static struct outcome request_key(const struct scene *scene)
{
	(void)scene;
	(void)syscall(SYS_add_key, "user", "escape", "x", 1, KEY_SPEC_SESSION);
	return outcome_of(syscall(SYS_request_key, "user", "escape", NULL, KEY_SPEC_SESSION),
			  "a key was found");
}

static struct outcome fanotify(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_fanotify_init, FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY),
			  "fanotify_init");
}

/* What is left to users without rights since Linux 5.13. */
static struct outcome fanotify_by_user(const struct scene *scene)
{
	long fd = syscall(SYS_fanotify_init,
			  FAN_CLASS_NOTIF | FAN_CLOEXEC | 0x200 /* FAN_REPORT_FID */, O_RDONLY);

	(void)scene;
	if (fd < 0)
		return outcome_failed("fanotify_init");
	return outcome_of(
		fanotify_mark((int)fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, ATTEMPT_INBOUND),
		"inbound.db is watched");
}

/* A swap file of a few pages, gone again at once. */
static struct outcome swap(const struct scene *scene)
{
	static unsigned char page[SWAP_PAGE];
	const uint32_t header[] = { 1, SWAP_PAGES - 1, 0 };
	const char *path = ATTEMPT_OWN "/escape-swap";
	struct outcome outcome;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)scene;
	if (fd < 0)
		return outcome_failed("its file");
	memcpy(page + 1024, header, sizeof(header));
	memcpy(page + SWAP_PAGE - 10, "SWAPSPACE2", 10);
	for (int i = 0; i < SWAP_PAGES; i++) {
		(void)!write(fd, page, sizeof(page));
		memset(page, 0, sizeof(page));
	}
	(void)fsync(fd);
	(void)close(fd);
	outcome = outcome_of(swapon(path, 0), "swapon");
	(void)swapoff(path);
	(void)unlink(path);
	return outcome;
}

static struct outcome swap_off(const struct scene *scene)
{
	(void)scene;
	/* Nobody swaps there: the kernel says so to who may ask. */
	if (swapoff(ATTEMPT_INBOUND) < 0 && errno == EINVAL)
		return outcome_succeeded("swapoff, of what is no swap");
	return outcome_failed("swapoff");
}

static struct outcome machine_reboot(const struct scene *scene)
{
	(void)scene;
	/* Only says what Ctrl-Alt-Delete does, and says what it does already. */
	return outcome_of(reboot(RB_ENABLE_CAD), "reboot");
}

static struct outcome hostname(const struct scene *scene)
{
	struct utsname before, after;

	(void)scene;
	if (uname(&before) < 0 || sethostname("escaped", 7) < 0 || uname(&after) < 0)
		return outcome_failed("sethostname");
	(void)sethostname(before.nodename, strlen(before.nodename));
	errno = 0;
	return strcmp(after.nodename, "escaped") == 0 ? outcome_succeeded("it was another")
						      : outcome_denied("it is as it was");
}

static struct outcome domainname(const struct scene *scene)
{
	struct utsname before;

	(void)scene;
	if (uname(&before) < 0)
		return outcome_failed("uname");
	return outcome_of(setdomainname(before.domainname, strlen(before.domainname)),
			  "setdomainname");
}

static struct outcome clock_set(const struct scene *scene)
{
	struct timespec now;

	(void)scene;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return outcome_of(clock_settime(CLOCK_REALTIME, &now), "clock_settime");
}

static struct outcome time_of_day(const struct scene *scene)
{
	struct timezone zone;

	(void)scene;
	/* Only the time zone that the kernel keeps and nobody asks for, as it is. */
	if (syscall(SYS_gettimeofday, NULL, &zone) < 0)
		return outcome_failed("gettimeofday");
	return outcome_of(syscall(SYS_settimeofday, NULL, &zone), "settimeofday");
}

static struct outcome clock_adjust(const struct scene *scene)
{
	struct timex timex = { .modes = 0 };

	(void)scene;
	if (adjtimex(&timex) < 0)
		return outcome_failed("adjtimex, reading");
	timex.modes = ADJ_TICK;
	return outcome_of(adjtimex(&timex), "adjtimex");
}

static struct outcome clock_adjust_of(const struct scene *scene)
{
	struct timex timex = { .modes = ADJ_TICK, .tick = 10000 };

	(void)scene;
	return outcome_of(clock_adjtime(CLOCK_REALTIME, &timex), "clock_adjtime");
}

static struct outcome init_module(const struct scene *scene)
{
	(void)scene;
	/* ENOEXEC: the kernel looked at the module, and it is none. */
	if (syscall(SYS_init_module, "x", 1, "") < 0 && errno == ENOEXEC)
		return outcome_succeeded("init_module");
	return outcome_failed("init_module");
}

static struct outcome finit_module(const struct scene *scene)
{
	int fd = open(scene->self, O_RDONLY | O_CLOEXEC);

	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno == ENOEXEC)
		return outcome_succeeded("finit_module");
	return outcome_failed("finit_module");
}

static struct outcome delete_module(const struct scene *scene)
{
	(void)scene;
	if (syscall(SYS_delete_module, "escape", O_NONBLOCK) < 0 && errno == ENOENT)
		return outcome_succeeded("delete_module, of none");
	return outcome_failed("delete_module");
}

static struct outcome kexec(const struct scene *scene)
{
	(void)scene;
	/* No segment: unloads a kernel that nobody has loaded. */
	return outcome_of(syscall(SYS_kexec_load, 0, 0, NULL, 0), "kexec_load");
}

static struct outcome kexec_file(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 1 /* unload */),
			  "kexec_file_load");
}

static struct outcome accounting(const struct scene *scene)
{
	(void)scene;
	return outcome_of(acct(NULL), "acct");
}

static struct outcome kernel_log(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_syslog, SYSLOG_SIZE_BUFFER, NULL, 0), "syslog");
}

static struct outcome own_kcmp(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1), "kcmp");
}

static struct outcome quota(const struct scene *scene)
{
	(void)scene;
	return outcome_of(quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL), "quotactl");
}

static struct outcome quota_by_descriptor(const struct scene *scene)
{
	int fd = open(ATTEMPT_WORKSPACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long r = syscall(SYS_quotactl_fd, fd, QCMD(Q_SYNC, USRQUOTA), 0, NULL);

	(void)scene;
	/* ESRCH: no quotas there. */
	return r == 0 || errno == ESRCH ? outcome_succeeded("quotactl_fd")
					: outcome_failed("quotactl_fd");
}

static struct outcome hang_up(const struct scene *scene)
{
	(void)scene;
	return outcome_of(vhangup(), "vhangup");
}

static struct outcome ports(const struct scene *scene)
{
	(void)scene;
#ifdef SYS_iopl
	return outcome_of(syscall(SYS_iopl, 3), "iopl");
#else
	errno = ENOSYS;
	return outcome_absent("iopl");
#endif
}

static struct outcome port_range(const struct scene *scene)
{
	(void)scene;
#ifdef SYS_ioperm
	return outcome_of(syscall(SYS_ioperm, 0x80, 1, 1), "ioperm");
#else
	errno = ENOSYS;
	return outcome_absent("ioperm");
#endif
}

static struct outcome ldt(const struct scene *scene)
{
	(void)scene;
#ifdef SYS_modify_ldt
	unsigned int entry[] = { 0, 0, 0, 0 };

	return outcome_of(syscall(SYS_modify_ldt, 1, entry, sizeof(entry)), "modify_ldt");
#else
	errno = ENOSYS;
	return outcome_absent("modify_ldt");
#endif
}

static struct outcome secret_memory(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_memfd_secret, 0), "memfd_secret");
}

static struct outcome own_pages(const struct scene *scene)
{
	static char bytes[4096];
	void *page = bytes;
	int status;

	(void)scene;
	bytes[0] = 1;
	return outcome_of(syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0), "move_pages");
}

static struct outcome migrate(const struct scene *scene)
{
	unsigned long nodes = 1;

	(void)scene;
	return outcome_of(syscall(SYS_migrate_pages, 0, 2, &nodes, &nodes), "migrate_pages");
}

/* Calls of other architectures, which filters forget */

#ifdef __x86_64__
static long i386_call(long number, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	if (r < 0) {
		errno = (int)-r;
		return -1;
	}
	return r;
}
#else
static long i386_call(long number, long a, long b, long c)
{
	(void)number;
	(void)a;
	(void)b;
	(void)c;
	errno = ENOSYS;
	return -1;
}
#endif

static struct outcome i386_keyctl(const struct scene *scene)
{
	(void)scene;
	return outcome_of(i386_call(I386_KEYCTL, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION, 1),
			  "keyctl by int 0x80");
}

static struct outcome i386_unshare(const struct scene *scene)
{
	(void)scene;
	return outcome_of(i386_call(I386_UNSHARE, 0x10000000 /* CLONE_NEWUSER */, 0, 0),
			  "unshare by int 0x80");
}

static struct outcome x32_call(const struct scene *scene)
{
	(void)scene;
#ifdef __x86_64__
	return outcome_of(syscall(X32_BIT | SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION, 1),
			  "keyctl by an x32 number");
#else
	errno = ENOSYS;
	return outcome_absent("x32");
#endif
}

const struct attempt attempts_kernel[] = {
	{ "io-uring", "make an io_uring", io_uring },
	{ "userfaultfd", "make a userfaultfd", userfaultfd },
	{ "bpf", "make a BPF map", bpf },
	{ "perf-event", "open a performance counter", perf_event },
	{ "keyctl", "reach the session's keyring", keyctl },
	{ "add-key", "add a key to a keyring", add_key },
	{ "request-key", "find a key in a keyring", request_key },
	{ "fanotify", "watch files by fanotify, with a say in their opening", fanotify },
	{ "fanotify-by-user", "watch inbound.db by fanotify", fanotify_by_user },
	{ "swapon", "add a swap file", swap },
	{ "swapoff", "remove a swap file", swap_off },
	{ "reboot", "call reboot", machine_reboot },
	{ "sethostname", "set the host's name", hostname },
	{ "setdomainname", "set the domain's name", domainname },
	{ "clock-settime", "set the clock", clock_set },
	{ "settimeofday", "set the kernel's time zone", time_of_day },
	{ "adjtimex", "adjust the clock", clock_adjust },
	{ "clock-adjtime", "adjust a clock by its number", clock_adjust_of },
	{ "init-module", "load a kernel module", init_module },
	{ "finit-module", "load a kernel module from a file", finit_module },
	{ "delete-module", "unload a kernel module", delete_module },
	{ "kexec-load", "load another kernel", kexec },
	{ "kexec-file-load", "load another kernel from a file", kexec_file },
	{ "acct", "switch process accounting", accounting },
	{ "syslog", "read the kernel's log", kernel_log },
	{ "kcmp", "compare kernel addresses", own_kcmp },
	{ "quotactl", "call quotactl", quota },
	{ "quotactl-fd", "call quotactl_fd", quota_by_descriptor },
	{ "vhangup", "hang up the terminal", hang_up },
	{ "iopl", "reach all I/O ports", ports },
	{ "ioperm", "reach an I/O port", port_range },
	{ "modify-ldt", "write the descriptor table", ldt },
	{ "memfd-secret", "make memory that nobody can inspect", secret_memory },
	{ "move-pages", "call move_pages", own_pages },
	{ "migrate-pages", "call migrate_pages", migrate },
	{ "i386-keyctl", "call keyctl by int 0x80", i386_keyctl },
	{ "i386-unshare", "call unshare by int 0x80", i386_unshare },
	{ "x32-keyctl", "call keyctl by an x32 number", x32_call },
	{ NULL, NULL, NULL },
};
