/* SPDX-License-Identifier: MIT */
/* Namespaces and mounts: another view of the files, and rights inside it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

/* Not <sys/mount.h> and <sched.h>: they clash with the kernel's headers. */
#define MS_RDONLY_    1
#define MS_REMOUNT_   32
#define MS_BIND_      4096
#define MS_REC_	      16384
#define MS_PRIVATE_   (1 << 18)
#define MNT_DETACH_   2
#define HANDLE_SIZE   128

#define SYS_STATMOUNT 457
#define SYS_LISTMOUNT 458

#define PLACE	      ATTEMPT_OWN "/escape-place"

static long call_mount(const char *source, const char *target, const char *type,
		       unsigned long flags)
{
	return syscall(SYS_mount, source, target, type, flags, NULL);
}

static long call_unshare(unsigned long flags)
{
	return syscall(SYS_unshare, flags);
}

static void make_place(void)
{
	(void)mkdir(PLACE, 0700);
}

/* Did the process get another namespace of this name than its parent has? */
static struct outcome is_new(const char *name, const char *how)
{
	char path[64], own[64] = "", theirs[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	(void)!readlink(path, own, sizeof(own) - 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)getppid(), name);
	(void)!readlink(path, theirs, sizeof(theirs) - 1);
	errno = 0;
	/* Where the parent cannot be looked at, the call's word counts. */
	return strcmp(own, theirs) != 0
		       ? outcome_succeeded("%s: a namespace of its own: %s", how, own)
		       : outcome_denied("%s: the same namespace", how);
}

static struct outcome unshare_of(unsigned long flag, const char *name)
{
	if (call_unshare(flag) < 0)
		return outcome_failed("unshare");
	return is_new(name, "unshare");
}

#define UNSHARE(function_, flag_, name_)                           \
	static struct outcome function_(const struct scene *scene) \
	{                                                          \
		(void)scene;                                       \
		return unshare_of((flag_), (name_));               \
	}

UNSHARE(unshare_user, CLONE_NEWUSER, "user")
UNSHARE(unshare_mount, CLONE_NEWNS, "mnt")
UNSHARE(unshare_pid, CLONE_NEWPID, "pid_for_children")
UNSHARE(unshare_net, CLONE_NEWNET, "net")
UNSHARE(unshare_ipc, CLONE_NEWIPC, "ipc")
UNSHARE(unshare_uts, CLONE_NEWUTS, "uts")
UNSHARE(unshare_cgroup, CLONE_NEWCGROUP, "cgroup")
UNSHARE(unshare_time, CLONE_NEWTIME, "time_for_children")

static struct outcome clone_of(unsigned long flag)
{
	long pid = syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	return outcome_of(pid, "clone");
}

static struct outcome clone_user(const struct scene *scene)
{
	(void)scene;
	return clone_of(CLONE_NEWUSER);
}

static struct outcome clone_user_and_net(const struct scene *scene)
{
	(void)scene;
	return clone_of(CLONE_NEWUSER | CLONE_NEWNET);
}

static struct outcome clone_pid(const struct scene *scene)
{
	(void)scene;
	return clone_of(CLONE_NEWPID);
}

static struct outcome clone3_user(const struct scene *scene)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid;

	(void)scene;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	return outcome_of(pid, "clone3");
}

static struct outcome mount_in_user_namespace(const struct scene *scene)
{
	(void)scene;
	make_place();
	if (call_unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return outcome_failed("unshare");
	return outcome_of(call_mount("none", PLACE, "tmpfs", 0), "mounted in a user namespace");
}

static struct outcome setns_of(const char *path, unsigned long type)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return outcome_failed("%s", path);
	return outcome_of(syscall(SYS_setns, fd, type), path);
}

static struct outcome setns_own(const struct scene *scene)
{
	(void)scene;
	return setns_of("/proc/self/ns/uts", CLONE_NEWUTS);
}

static struct outcome setns_of_init(const struct scene *scene)
{
	(void)scene;
	return setns_of("/proc/1/ns/uts", CLONE_NEWUTS);
}

static struct outcome setns_by_pidfd(const struct scene *scene)
{
	long fd = syscall(SYS_pidfd_open, 1, 0);

	(void)scene;
	if (fd < 0)
		return outcome_failed("pidfd_open");
	return outcome_of(syscall(SYS_setns, fd, CLONE_NEWUTS), "setns by a pidfd of PID 1");
}

/* Mounts */

static struct outcome mount_tmpfs(const struct scene *scene)
{
	long r;

	(void)scene;
	make_place();
	r = call_mount("none", PLACE, "tmpfs", 0);
	if (r == 0)
		(void)syscall(SYS_umount2, PLACE, MNT_DETACH_);
	return outcome_of(r, "mount");
}

static struct outcome mount_bind(const struct scene *scene)
{
	long r;

	(void)scene;
	make_place();
	r = call_mount(ATTEMPT_WORKSPACE, PLACE, NULL, MS_BIND_);
	if (r == 0) {
		struct outcome outcome = attempt_read_database(PLACE "/inbound.db");

		(void)syscall(SYS_umount2, PLACE, MNT_DETACH_);
		return outcome;
	}
	return outcome_of(r, "mount");
}

static struct outcome mount_proc(const struct scene *scene)
{
	long r;

	(void)scene;
	make_place();
	r = call_mount("none", PLACE, "proc", 0);
	if (r == 0)
		(void)syscall(SYS_umount2, PLACE, MNT_DETACH_);
	return outcome_of(r, "mount");
}

/* /dev is a mount of its own: as it is, once more. */
static struct outcome remount(const struct scene *scene)
{
	(void)scene;
	return outcome_of(call_mount(NULL, "/dev/shm", NULL, MS_REMOUNT_ | MS_BIND_), "mount");
}

static struct outcome unmount(const struct scene *scene)
{
	(void)scene;
	/* In a view of its own where it can have one; where it cannot, the call fails first. */
	(void)call_unshare(CLONE_NEWNS);
	return outcome_of(syscall(SYS_umount2, "/dev/shm", MNT_DETACH_), "umount2");
}

static struct outcome open_file_system(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_fsopen, "tmpfs", 0), "fsopen");
}

static struct outcome pick_file_system(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_fspick, -100, "/dev/shm", 0), "fspick");
}

static struct outcome clone_tree(const struct scene *scene)
{
	(void)scene;
	return outcome_of(syscall(SYS_open_tree, -100, ATTEMPT_WORKSPACE, OPEN_TREE_CLONE),
			  "open_tree");
}

static struct outcome move_tree(const struct scene *scene)
{
	long tree = syscall(SYS_open_tree, -100, "/dev/shm", OPEN_TREE_CLONE);

	(void)scene;
	make_place();
	if (syscall(SYS_move_mount, tree, "", -100, PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return outcome_failed("move_mount");
	return outcome_of(syscall(SYS_umount2, PLACE, MNT_DETACH_), "move_mount");
}

static struct outcome set_mount(const struct scene *scene)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE_ };

	(void)scene;
	return outcome_of(syscall(SYS_mount_setattr, -100, "/dev/shm", 0, &attr, sizeof(attr)),
			  "mount_setattr");
}

/* struct mnt_id_req, which older headers lack: of the root of this view. */
static struct outcome list_mounts(const struct scene *scene)
{
	uint64_t request[] = { 24, UINT64_MAX, 0 }, ids[64];
	long n;

	(void)scene;
	n = syscall(SYS_LISTMOUNT, request, ids, 64, 0);
	return outcome_of(n, "listmount");
}

static struct outcome stat_mount(const struct scene *scene)
{
	uint64_t request[] = { 24, 0, 2 /* STATMOUNT_MNT_BASIC */ }, answer[64];
	struct statx stx;

	(void)scene;
	if (statx(AT_FDCWD, "/", 0, 0x4000 /* STATX_MNT_ID_UNIQUE */, &stx) < 0)
		return outcome_failed("statx");
	memcpy(&request[1], (const char *)&stx + 0x90, sizeof(request[1]));
	return outcome_of(syscall(SYS_STATMOUNT, request, answer, sizeof(answer), 0), "statmount");
}

static struct outcome change_root(const struct scene *scene)
{
	(void)scene;
	return outcome_of(chroot("/tmp"), "chroot");
}

static struct outcome chroot_in_user_namespace(const struct scene *scene)
{
	(void)scene;
	if (call_unshare(CLONE_NEWUSER) < 0)
		return outcome_failed("unshare");
	return outcome_of(chroot("/tmp"), "chroot in a user namespace");
}

static struct outcome pivot(const struct scene *scene)
{
	(void)scene;
	make_place();
	/* As far as it may go: without these pivot_root fails in any case. */
	if (call_unshare(CLONE_NEWNS) == 0) {
		(void)call_mount(NULL, "/", NULL, MS_REC_ | MS_PRIVATE_);
		(void)call_mount("none", PLACE, "tmpfs", 0);
		(void)chdir(PLACE);
		return outcome_of(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	}
	return outcome_of(syscall(SYS_pivot_root, PLACE, PLACE), "pivot_root");
}

/* Files by handle: what finds every file of a file system, in whichever container it is. */

static struct {
	struct file_handle handle;
	unsigned char bytes[HANDLE_SIZE];
} handle_buffer;

static int take_handle(const char *path)
{
	int mount_id;

	handle_buffer.handle.handle_bytes = HANDLE_SIZE;
	return name_to_handle_at(AT_FDCWD, path, &handle_buffer.handle, &mount_id, 0);
}

static struct outcome name_to_handle(const struct scene *scene)
{
	(void)scene;
	return outcome_of(take_handle(ATTEMPT_WORKSPACE), "name_to_handle_at");
}

static struct outcome open_by_handle(const struct scene *scene)
{
	int mount_fd = open(ATTEMPT_WORKSPACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)scene;
	if (take_handle(ATTEMPT_WORKSPACE) < 0) {
		/* One made up: whether it may be opened comes before whether it is there. */
		handle_buffer.handle.handle_bytes = 8;
		handle_buffer.handle.handle_type = 1;
		memset(handle_buffer.bytes, 0, 8);
	}
	return outcome_of(open_by_handle_at(mount_fd, &handle_buffer.handle,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			  "open_by_handle_at");
}

const struct attempt attempts_namespaces[] = {
	{ "unshare-user", "make a user namespace", unshare_user },
	{ "unshare-mount", "make a mount namespace", unshare_mount },
	{ "unshare-pid", "make a PID namespace", unshare_pid },
	{ "unshare-net", "make a network namespace", unshare_net },
	{ "unshare-ipc", "make an IPC namespace", unshare_ipc },
	{ "unshare-uts", "make a UTS namespace", unshare_uts },
	{ "unshare-cgroup", "make a cgroup namespace", unshare_cgroup },
	{ "unshare-time", "make a time namespace", unshare_time },
	{ "clone-user", "make a user namespace by clone", clone_user },
	{ "clone-user-net", "make a user and a network namespace by clone", clone_user_and_net },
	{ "clone-pid", "make a PID namespace by clone", clone_pid },
	{ "clone3-user", "make a user namespace by clone3", clone3_user },
	{ "mount-in-userns", "mount inside a user namespace", mount_in_user_namespace },
	{ "chroot-in-userns", "call chroot inside a user namespace", chroot_in_user_namespace },
	{ "setns", "enter a namespace", setns_own },
	{ "setns-of-init", "enter a namespace of PID 1", setns_of_init },
	{ "setns-by-pidfd", "enter a namespace of PID 1 by a pidfd", setns_by_pidfd },
	{ "mount-tmpfs", "mount a tmpfs", mount_tmpfs },
	{ "mount-bind", "mount the workspace once more, and read inbound.db there", mount_bind },
	{ "mount-proc", "mount a fresh /proc", mount_proc },
	{ "remount", "mount something again with other options", remount },
	{ "umount", "unmount what lies over something", unmount },
	{ "fsopen", "open a file system by fsopen", open_file_system },
	{ "fspick", "open a file system by fspick", pick_file_system },
	{ "open-tree", "clone a tree of mounts by open_tree", clone_tree },
	{ "move-mount", "mount by move_mount", move_tree },
	{ "mount-setattr", "change a mount by mount_setattr", set_mount },
	{ "listmount", "list mounts by listmount", list_mounts },
	{ "statmount", "ask for a mount by statmount", stat_mount },
	{ "chroot", "call chroot", change_root },
	{ "pivot-root", "call pivot_root", pivot },
	{ "name-to-handle", "get a file's handle", name_to_handle },
	{ "open-by-handle", "open a file by its handle", open_by_handle },
	{ NULL, NULL, NULL },
};
