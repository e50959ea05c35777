/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/net.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/table.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* Linux 5.6; glibc 2.36 has it, older ones don't */
#endif

/* linux/ioprio.h is in no header of the kernel's before Linux 5.15. */
#define POLICY_IOPRIO_WHO_USER 3
/* SECCOMP_FILTER_FLAG_NEW_LISTENER of Linux 5.0 */
#define POLICY_NEW_LISTENER (1u << 3)

/* Of O_TMPFILE, which includes O_DIRECTORY, its own bit: everybody has the same. */
#define POLICY_TMPFILE (O_TMPFILE & ~O_DIRECTORY)

/* The kernel looks at 32 bits of an int argument: bits above must not hide a value. */
#define INT_MASK 0xffffffffu

#define DENY_ROW(call_, number_, answer_, group_, why_)                    \
	{                                                                  \
		.name = (call_), .number = (number_), .answer = (answer_), \
		.group = POLICY_GROUP_##group_, .why = (why_)              \
	}
#define DENY(call_, why_)	       DENY_ROW(call_, 0, EPERM, ALWAYS, why_)
#define DENY_NEW(call_, number_, why_) DENY_ROW(call_, number_, EPERM, ALWAYS, why_)
#define DENY_IN(group_, call_, why_)   DENY_ROW(call_, 0, EPERM, group_, why_)
/* Callers fall back to the older call. */
#define ABSENT(call_, number_, why_)		DENY_ROW(call_, number_, ENOSYS, ALWAYS, why_)
#define ABSENT_IN(group_, call_, number_, why_) DENY_ROW(call_, number_, ENOSYS, group_, why_)

#define DENY_IF_IN(group_, call_, answer_, n_, why_, ...)                             \
	{                                                                             \
		.name = (call_), .answer = (answer_), .group = POLICY_GROUP_##group_, \
		.n_conditions = (n_), .conditions = { __VA_ARGS__ }, .why = (why_)    \
	}
/* One condition on an int, and two. */
#define DENY_IF(call_, answer_, a_, why_) DENY_IF_IN(ALWAYS, call_, answer_, 1, why_, a_)
#define DENY_IF_BOTH(call_, answer_, a_, b_, why_) \
	DENY_IF_IN(ALWAYS, call_, answer_, 2, why_, a_, b_)
/* Any of these flags. */
#define DENY_FLAGS(call_, flags_, why_) \
	DENY_IF_IN(NAMESPACES, call_, EPERM, 1, why_, { 0, true, (flags_), 0 })

#define NAMESPACE_FLAGS                                                                \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWPID | CLONE_NEWNET)

#define IS(argument_, value_)                          \
	{                                              \
		(argument_), false, INT_MASK, (value_) \
	}
#define HAS(argument_, flag_)                        \
	{                                            \
		(argument_), false, (flag_), (flag_) \
	}
#define IS_NOT(argument_, value_)                     \
	{                                             \
		(argument_), true, INT_MASK, (value_) \
	}
#define IS_NOT_NULL(argument_)                   \
	{                                        \
		(argument_), true, UINT64_MAX, 0 \
	}

static const struct policy_call policy_denied[] = {
	/* Not denied but marked: nobody uses it, and no kernel since 3.1 has it. */
	{ .name = "nfsservctl", .answer = POLICY_MARKER_ERRNO, .why = "marks the filter as ours" },

	DENY("acct", "writes a file of its caller's choice as root"),
	DENY("add_key", "keyrings are shared between containers"),
	DENY("request_key", "keyrings are shared between containers"),
	DENY("keyctl", "keyrings are shared between containers"),
	DENY("bpf", "programs inside the kernel"),
	DENY("perf_event_open", "programs inside the kernel, and what other processes do"),
	DENY("userfaultfd", "makes races in the kernel easy to win"),
	DENY("clock_adjtime", "the clock belongs to the host"),
	DENY("clock_settime", "the clock belongs to the host"),
	DENY("adjtimex", "the clock belongs to the host"),
	DENY("settimeofday", "the clock belongs to the host"),
	/* These three are i386's. */
	DENY("clock_adjtime64", "the clock belongs to the host"),
	DENY("clock_settime64", "the clock belongs to the host"),
	DENY("stime", "the clock belongs to the host"),
	DENY("init_module", "code inside the kernel"),
	DENY("finit_module", "code inside the kernel"),
	DENY("delete_module", "code inside the kernel"),
	DENY("kexec_load", "another kernel"),
	DENY("kexec_file_load", "another kernel"),
	DENY("reboot", "the machine belongs to the host"),
	DENY("swapon", "the machine belongs to the host"),
	DENY("swapoff", "the machine belongs to the host"),
	DENY("sethostname", "the machine belongs to the host"),
	DENY("setdomainname", "the machine belongs to the host"),
	DENY("syslog", "kernel addresses and other containers' messages"),
	DENY("vhangup", "takes the terminal away"),
	DENY("quotactl", "quotas belong to the host"),
	DENY_NEW("quotactl_fd", 443, "quotas belong to the host"),
	DENY("fanotify_init", "sees what all processes do with files"),
	DENY("fanotify_mark", "sees what all processes do with files"),
	DENY("lookup_dcookie", "paths outside the container"),
	DENY("name_to_handle_at", "the first half of opening files outside the container"),
	DENY("open_by_handle_at", "opens files outside the container (shocker)"),
	DENY("kcmp", "kernel addresses"),
	DENY_NEW("pidfd_getfd", 438, "takes the descriptors of another process"),

	DENY_IN(NAMESPACES, "mount",
		"another view of the files, and read-only mounts made writable"),
	DENY_IN(NAMESPACES, "umount2", "uncovers what a mount hides"),
	DENY_IN(NAMESPACES, "umount", "uncovers what a mount hides"),
	DENY_IN(NAMESPACES, "pivot_root", "another view of the files"),
	DENY_IN(NAMESPACES, "chroot", "another view of the files"),
	DENY_NEW("open_tree", 428, "mounts"),
	DENY_NEW("move_mount", 429, "mounts"),
	DENY_NEW("fsopen", 430, "mounts"),
	DENY_NEW("fsconfig", 431, "mounts"),
	DENY_NEW("fsmount", 432, "mounts"),
	DENY_NEW("fspick", 433, "mounts"),
	DENY_NEW("mount_setattr", 442, "mounts"),
	DENY_NEW("statmount", 457, "paths outside the container"),
	DENY_NEW("listmount", 458, "paths outside the container"),
	DENY_NEW("open_tree_attr", 467, "mounts"),
	DENY_NEW("listns", 470, "what runs outside the container"),

	/*
	 * A new user namespace gives all capabilities inside it, and with them the kernel's least
	 * tested code.
	 */
	DENY_IN(NAMESPACES, "setns", "the rights of another namespace"),
	DENY_FLAGS("unshare", CLONE_NEWTIME | NAMESPACE_FLAGS, "namespaces"),
	/* Not CLONE_NEWTIME: clone(2) has the exit signal in this place. */
	DENY_FLAGS("clone", NAMESPACE_FLAGS, "namespaces"),
	/* Its flags are in memory, where no filter can look. */
	ABSENT_IN(NAMESPACES, "clone3", 435,
		  "namespaces out of the filter's sight; clone is the fallback"),

	DENY("iopl", "the hardware's ports"),
	DENY("ioperm", "the hardware's ports"),
	DENY("modify_ldt", "an old interface full of holes"),
	DENY_NEW("memfd_secret", 447, "memory that nobody can inspect"),
	DENY("migrate_pages", "memory of other processes"),
	DENY("move_pages", "memory of other processes"),

	/* Most of the kernel's recent escapes; what uses it falls back to epoll. */
	ABSENT("io_uring_setup", 425, "does files and sockets out of the filter's sight"),
	ABSENT("io_uring_enter", 426, "does files and sockets out of the filter's sight"),
	ABSENT("io_uring_register", 427, "does files and sockets out of the filter's sight"),

	/* legacy_tiocsti is 1 on many kernels: what is typed this way runs in the host's shell. */
	DENY_IF("ioctl", EPERM, IS(1, TIOCSTI), "types into the terminal"),
	DENY_IF("ioctl", EPERM, IS(1, TIOCLINUX), "types into the console"),

	DENY_IF("socket", EAFNOSUPPORT, IS(0, AF_ALG), "old code inside the kernel"),
	DENY_IF("socket", EAFNOSUPPORT, IS(0, AF_VSOCK), "a way to the hypervisor"),
	/* i386 only: the family is in memory, where no filter can look; socket is what is used. */
	DENY_IF("socketcall", ENOSYS, IS(0, SYS_SOCKET), "socket out of the filter's sight"),

	/*
	 * Other processes of the same uid, such as the loop: neither Landlock nor an undumpable
	 * process is asked here. What names a thread of one's own by its id cannot be told from it,
	 * and stays: sched_setaffinity, sched_setparam, classes above the usual one.
	 */
	DENY_IF_BOTH("prlimit64", EPERM, IS_NOT(0, 0), IS_NOT_NULL(2),
		     "limits of other processes: RLIMIT_CPU kills the loop"),
	DENY_IF_BOTH("sched_setscheduler", EPERM, IS_NOT(0, 0), IS(1, SCHED_IDLE),
		     "takes the processor from other processes"),
	DENY_IF_BOTH("sched_setscheduler", EPERM, IS_NOT(0, 0),
		     IS(1, SCHED_IDLE | SCHED_RESET_ON_FORK),
		     "takes the processor from other processes"),
	DENY_IF("sched_setattr", EPERM, IS_NOT(0, 0), "takes the processor from other processes"),
	DENY_IF("ioprio_set", EPERM, IS_NOT(1, 0), "takes the disk from other processes"),
	/* 0 is the caller's own user here. */
	DENY_IF("ioprio_set", EPERM, IS(0, POLICY_IOPRIO_WHO_USER),
		"takes the disk from other processes"),
	DENY_IF_BOTH("sched_setscheduler", EPERM, IS_NOT(0, 0), IS(1, SCHED_BATCH),
		     "takes the processor from other processes"),
	/* In silence: browsers do it to threads of theirs, and go on without. */
	DENY_IF_BOTH("setpriority", EACCES, IS(0, PRIO_PROCESS), IS_NOT(1, 0),
		     "takes the processor from other processes"),
	DENY_IF("setpriority", EPERM, IS(0, PRIO_USER), "all processes of the user at once"),
	DENY_IF_BOTH("setpriority", EPERM, IS(0, PRIO_PGRP), IS_NOT(1, 0),
		     "all processes of another group"),
	DENY_NEW("lsm_set_self_attr", 460, "another security context than the container's"),

	/*
	 * Where our filter asks the loop, a newer filter that asks somebody else comes first, and may
	 * let the call through (linux/seccomp.h, SECCOMP_USER_NOTIF_FLAG_CONTINUE). The kernel itself
	 * says EBUSY only as long as the loop is there to be asked.
	 */
	DENY_IF_IN(LISTENER, "seccomp", EBUSY, 1, "answers for our filter",
		   { 1, false, POLICY_NEW_LISTENER, POLICY_NEW_LISTENER }),

	/*
	 * A set-user-ID file in a folder of the host's is a way in for others of its users. Who
	 * only copies modes gets on: the files come without the bit.
	 */
	DENY_IF("chmod", EPERM, HAS(1, S_ISUID), "set-user-ID files, on the host's mounts, too"),
	DENY_IF("fchmod", EPERM, HAS(1, S_ISUID), "set-user-ID files"),
	DENY_IF("fchmodat", EPERM, HAS(2, S_ISUID), "set-user-ID files"),
	{ .name = "fchmodat2",
	  .number = 452,
	  .answer = EPERM,
	  .n_conditions = 1,
	  .conditions = { HAS(2, S_ISUID) },
	  .why = "set-user-ID files" },
	DENY_IF("mknod", EPERM, HAS(1, S_ISUID), "set-user-ID files"),
	DENY_IF("mknodat", EPERM, HAS(2, S_ISUID), "set-user-ID files"),
	DENY_IF("creat", EPERM, HAS(1, S_ISUID), "set-user-ID files"),
	DENY_IF_BOTH("open", EPERM, HAS(1, O_CREAT), HAS(2, S_ISUID), "set-user-ID files"),
	DENY_IF_BOTH("openat", EPERM, HAS(2, O_CREAT), HAS(3, S_ISUID), "set-user-ID files"),
	DENY_IF_BOTH("open", EPERM, HAS(1, POLICY_TMPFILE), HAS(2, S_ISUID), "set-user-ID files"),
	DENY_IF_BOTH("openat", EPERM, HAS(2, POLICY_TMPFILE), HAS(3, S_ISUID), "set-user-ID files"),
	/* Its mode is in memory, where no filter can look; callers fall back to openat. */
	ABSENT("openat2", 437, "set-user-ID files out of the filter's sight"),

	/* chattr(1) by path: Landlock does not see it, and it can make a database slow. */
	ABSENT("file_getattr", 468, "attributes of files out of Landlock's sight"),
	ABSENT("file_setattr", 469, "attributes of files out of Landlock's sight"),

	/* Nobody misses them. Others of their age are in no kernel any more. */
	DENY("uselib", "old code inside the kernel"),
	DENY("ustat", "old code inside the kernel"),
	DENY("sysfs", "old code inside the kernel"),
	DENY("vm86", "old code inside the kernel"),
	DENY("vm86old", "old code inside the kernel"),

	/* Few call it: most open the file, which Landlock sees, and then use ftruncate. */
	DENY_IN(TRUNCATE, "truncate", "empties files out of the sight of an older Landlock"),
	DENY_IN(TRUNCATE, "truncate64", "empties files out of the sight of an older Landlock"),
};

const struct policy_call *policy_calls(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(policy_denied);
	return policy_denied;
}
