/* SPDX-License-Identifier: MIT */
/*
 * A library for LD_PRELOAD that stands between a process and the calls that change something
 * outside of it, counts them, and at the one that state.h's file names kills the process or lets the
 * call fail. It makes the calls itself, since what it would have to look up is what it replaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/faults/state.h"

#define SHIM_LOOP_NAME "agent-session"
#define SHIM_FILES     64
#define SHIM_PATH      96

static struct state *shim_state; /* NULL: no fault is wanted */
static enum state_role shim_role;
static pid_t shim_pid; /* whose role that is */
/* What was opened here: of a process that cannot be dumped, /proc tells it to root only. */
static char shim_files[SHIM_FILES][SHIM_PATH];

static const char *const shim_families[] = {
	[STATE_OPEN] = "open", [STATE_WRITE] = "write",	      [STATE_SEND] = "send",
	[STATE_SYNC] = "sync", [STATE_TRUNCATE] = "truncate", [STATE_RENAME] = "rename",
	[STATE_LINK] = "link", [STATE_UNLINK] = "unlink",     [STATE_MKDIR] = "mkdir",
	[STATE_LOCK] = "lock", [STATE_PROC] = "proc",
};

static const char *const shim_roles[] = {
	[STATE_INIT] = "init",	 [STATE_LOOP] = "loop",	      [STATE_RELAY] = "relay",
	[STATE_AGENT] = "agent", [STATE_CONFINE] = "confine", [STATE_OTHER] = "other",
};

/* One call about to be made. */
struct shim_call {
	enum state_family family;
	const char *name;
	const char *path; /* NULL: it is about fd */
	int fd;		  /* -1: about path */
	int flags;	  /* of an open */
};

/* Who we are */

static const char *shim_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static enum state_role shim_find_role(int argc, char **argv)
{
	const char *name = argc > 0 ? shim_base_name(argv[0]) : "";

	if (strcmp(name, "fault-agent") == 0)
		return STATE_AGENT;
	if (strncmp(name, "agent-runner", strlen("agent-runner")) != 0)
		return STATE_OTHER;
	if (argc > 1 && strcmp(argv[1], "mcp") == 0)
		return STATE_RELAY;
	return argc > 1 && strcmp(argv[1], "confine") == 0 ? STATE_CONFINE : STATE_INIT;
}

/* A fork without exec: the loop of PID 1, or somebody on the way to an exec. */
static void shim_look_again(void)
{
	char name[16] = "";

	if (getpid() == shim_pid)
		return;
	(void)prctl(PR_GET_NAME, name);
	if (shim_role == STATE_INIT && strcmp(name, SHIM_LOOP_NAME) != 0)
		return;
	shim_role = shim_role == STATE_INIT ? STATE_LOOP : STATE_OTHER;
	shim_pid = getpid();
}

__attribute__((constructor)) static void shim_start(int argc, char **argv)
{
	const char *path = getenv(STATE_VARIABLE);
	long fd;
	void *map;

	shim_pid = getpid();
	shim_role = shim_find_role(argc, argv);
	if (!path)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	(void)syscall(SYS_close, (int)fd);
	if (map == MAP_FAILED || ((struct state *)map)->magic != STATE_MAGIC)
		return;
	shim_state = map;
	if (shim_role == STATE_INIT)
		shim_state->init_pid = (uint32_t)shim_pid;
}

/* Which file a descriptor is */

static const char *shim_file(int fd)
{
	return fd >= 0 && fd < SHIM_FILES ? shim_files[fd] : "";
}

static void shim_note_open(long fd, const char *path)
{
	if (fd < 0 || fd >= SHIM_FILES)
		return;
	(void)snprintf(shim_files[fd], SHIM_PATH, "%s", path);
}

/* Would a disk without room refuse it? */
static bool shim_takes_room(const struct shim_call *call)
{
	const char *path = call->path ? call->path : shim_file(call->fd);

	if (path[0] == '\0' || strcmp(path, "/dev/null") == 0)
		return false;
	return call->family != STATE_OPEN || (call->flags & O_CREAT);
}

/* The fault */

static void shim_describe(const struct shim_call *call)
{
	const char *path = call->path ? call->path : shim_file(call->fd);

	(void)snprintf(shim_state->call, sizeof(shim_state->call), "%s %s(%s) fd %d %s",
		       shim_roles[shim_role], call->name, shim_families[call->family], call->fd,
		       path);
}

static void shim_die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	/* The first process of a namespace cannot kill itself. */
	(void)syscall(SYS_exit_group, 128 + SIGKILL);
}

static bool shim_is_meant(const struct shim_call *call)
{
	const struct state *state = shim_state;
	bool is_error = state->mode == STATE_ERROR || state->mode == STATE_ERRORS;

	if (shim_role != (enum state_role)state->role || state->mode == STATE_COUNT ||
	    !(state->families & 1u << call->family))
		return false;
	/* What must be said about an error is said there. */
	if (is_error && call->fd == STDERR_FILENO)
		return false;
	return !(state->families & STATE_DISK) || shim_takes_room(call);
}

/* Is this call to fail, now that the fault has happened? */
static bool shim_fails(const struct shim_call *call)
{
	struct state *state = shim_state;
	uint32_t seen;

	if (!shim_is_meant(call))
		return false;
	seen = __atomic_add_fetch(&state->seen, 1, __ATOMIC_SEQ_CST);
	if (seen < state->nth || state->mended)
		return false;
	if (seen > state->nth)
		return state->mode == STATE_ERRORS;
	shim_describe(call);
	__atomic_store_n(&state->fired, 1, __ATOMIC_SEQ_CST);
	if (state->mode == STATE_KILL_CONTAINER && state->init_pid > 0)
		(void)syscall(SYS_kill, (pid_t)state->init_pid, SIGKILL);
	if (state->mode == STATE_KILL || state->mode == STATE_KILL_CONTAINER)
		shim_die();
	return true;
}

/* Counts the call. True: it is not to be made, errno says why. */
static bool shim_refuses(const struct shim_call *call)
{
	int saved = errno;

	if (!shim_state)
		return false;
	shim_look_again();
	__atomic_add_fetch(&shim_state->counts[shim_role][call->family], 1, __ATOMIC_SEQ_CST);
	if (!shim_fails(call)) {
		errno = saved;
		return false;
	}
	__atomic_add_fetch(&shim_state->failed, 1, __ATOMIC_SEQ_CST);
	errno = (int)shim_state->error;
	return true;
}

static bool shim_refuses_fd(enum state_family family, const char *name, int fd)
{
	return shim_refuses(&(struct shim_call){ .family = family, .name = name, .fd = fd });
}

static bool shim_refuses_path(enum state_family family, const char *name, const char *path)
{
	return shim_refuses(
		&(struct shim_call){ .family = family, .name = name, .path = path, .fd = -1 });
}

/* open */

static int shim_openat(int folder, const char *path, int flags, mode_t mode)
{
	bool is_proc = strncmp(path, "/proc/", strlen("/proc/")) == 0;
	const struct shim_call call = {
		is_proc ? STATE_PROC : STATE_OPEN, "open", path, -1, flags,
	};
	long fd;

	if (shim_refuses(&call))
		return -1;
	fd = syscall(SYS_openat, folder, path, flags, mode);
	shim_note_open(fd, path);
	return (int)fd;
}

static mode_t shim_mode(int flags, va_list args)
{
	bool has_mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;

	return has_mode ? va_arg(args, mode_t) : 0;
}

#define SHIM_OPEN(name)                                          \
	int name(const char *path, int flags, ...)               \
	{                                                        \
		va_list args;                                    \
		mode_t mode;                                     \
                                                                 \
		va_start(args, flags);                           \
		mode = shim_mode(flags, args);                   \
		va_end(args);                                    \
		return shim_openat(AT_FDCWD, path, flags, mode); \
	}

#define SHIM_OPENAT(name)                                      \
	int name(int folder, const char *path, int flags, ...) \
	{                                                      \
		va_list args;                                  \
		mode_t mode;                                   \
                                                               \
		va_start(args, flags);                         \
		mode = shim_mode(flags, args);                 \
		va_end(args);                                  \
		return shim_openat(folder, path, flags, mode); \
	}

SHIM_OPEN(open)
SHIM_OPEN(open64)
SHIM_OPENAT(openat)
SHIM_OPENAT(openat64)

/* What fortified programs call where the flags are no constant. */
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return shim_openat(AT_FDCWD, path, flags, 0);
}

int __openat64_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags)
{
	return shim_openat(folder, path, flags, 0);
}

int close(int fd)
{
	if (fd >= 0 && fd < SHIM_FILES)
		shim_files[fd][0] = '\0';
	return (int)syscall(SYS_close, fd);
}

/* write */

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (shim_refuses_fd(STATE_WRITE, "write", fd))
		return -1;
	return syscall(SYS_write, fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	if (shim_refuses_fd(STATE_WRITE, "writev", fd))
		return -1;
	return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (shim_refuses_fd(STATE_WRITE, "pwrite", fd))
		return -1;
	return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t len,
			unsigned int flags)
{
	if (shim_refuses_fd(STATE_WRITE, "copy_file_range", to))
		return -1;
	return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, len, flags);
}

/* send */

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	if (shim_refuses_fd(STATE_SEND, "send", fd))
		return -1;
	return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	if (shim_refuses_fd(STATE_SEND, "sendto", fd))
		return -1;
	return syscall(SYS_sendto, fd, bytes, len, flags, to, to_len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (shim_refuses_fd(STATE_SEND, "sendmsg", fd))
		return -1;
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* sync, truncate */

int fsync(int fd)
{
	return shim_refuses_fd(STATE_SYNC, "fsync", fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return shim_refuses_fd(STATE_SYNC, "fdatasync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t len)
{
	if (shim_refuses_fd(STATE_TRUNCATE, "ftruncate", fd))
		return -1;
	return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}

/* names */

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	if (shim_refuses_path(STATE_RENAME, "rename", from))
		return -1;
	return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
	if (shim_refuses_path(STATE_LINK, "link", from))
		return -1;
	return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int symlink(const char *from, const char *to)
{
	if (shim_refuses_path(STATE_LINK, "symlink", from))
		return -1;
	return (int)syscall(SYS_symlinkat, from, AT_FDCWD, to);
}

int unlinkat(int folder, const char *path, int flags)
{
	if (shim_refuses_path(STATE_UNLINK, "unlink", path))
		return -1;
	return (int)syscall(SYS_unlinkat, folder, path, flags);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
	if (shim_refuses_path(STATE_MKDIR, "mkdir", path))
		return -1;
	return (int)syscall(SYS_mkdirat, folder, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int mknodat(int folder, const char *path, mode_t mode, dev_t device)
{
	if (shim_refuses_path(STATE_MKDIR, "mknod", path))
		return -1;
	return (int)syscall(SYS_mknodat, folder, path, mode, (unsigned int)device);
}

/* locks */

static bool shim_is_lock(int command)
{
	return command == F_GETLK || command == F_SETLK || command == F_SETLKW ||
	       command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

#define SHIM_FCNTL(name)                                                               \
	int name(int fd, int command, ...)                                             \
	{                                                                              \
		va_list args;                                                          \
		void *argument;                                                        \
                                                                                       \
		va_start(args, command);                                               \
		argument = va_arg(args, void *);                                       \
		va_end(args);                                                          \
		if (shim_is_lock(command) && shim_refuses_fd(STATE_LOCK, "fcntl", fd)) \
			return -1;                                                     \
		return (int)syscall(SYS_fcntl, fd, command, argument);                 \
	}

SHIM_FCNTL(fcntl)
SHIM_FCNTL(fcntl64)

int flock(int fd, int operation)
{
	return shim_refuses_fd(STATE_LOCK, "flock", fd) ? -1
							: (int)syscall(SYS_flock, fd, operation);
}
