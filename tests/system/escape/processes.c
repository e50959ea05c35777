/* SPDX-License-Identifier: MIT */
/* PID 1 and the session loop, which have the agent's own user id. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#define IOPRIO_WHO_PROCESS 1
#define PIDFD_SIGNAL	   SIGCONT
/* A process stops once it has the processor, which may be busy. */
#define SIGNAL_WAITS   50
#define SIGNAL_WAIT_US (10 * 1000)

static void proc_path(char path[64], pid_t pid, const char *name)
{
	(void)snprintf(path, 64, "/proc/%d/%s", (int)pid, name);
}

static char proc_state(pid_t pid)
{
	char path[64], text[512];
	const char *end;

	proc_path(path, pid, "stat");
	end = attempt_read(path, text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	return end ? end[2] : '?';
}

/* /proc/PID/… */

/* mem: read where a mapping is, or where one of this program would be. */
static struct outcome proc_mem(pid_t pid)
{
	char path[64], text[64] = "";
	unsigned long at = 0x400000;
	int fd;

	proc_path(path, pid, "maps");
	if (attempt_read(path, text, sizeof(text)) > 0)
		at = strtoul(text, NULL, 16);
	proc_path(path, pid, "mem");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return outcome_failed("open");
	if (pread(fd, text, 4, (off_t)at) != 4)
		return outcome_failed("read");
	return outcome_of(pwrite(fd, text, 4, (off_t)at), "its memory was written");
}

static struct outcome init_mem(const struct scene *scene)
{
	(void)scene;
	return proc_mem(1);
}

static struct outcome loop_mem(const struct scene *scene)
{
	return proc_mem(scene->loop);
}

static struct outcome proc_reads(pid_t pid, const char *name)
{
	char path[64], text[256];
	ssize_t n;

	proc_path(path, pid, name);
	n = attempt_read(path, text, sizeof(text));
	if (n < 0)
		return outcome_failed("%s", name);
	errno = 0;
	return n > 0 ? outcome_succeeded("%s: %zd bytes", name, n)
		     : outcome_denied("%s: nothing", name);
}

static struct outcome init_environ(const struct scene *scene)
{
	(void)scene;
	return proc_reads(1, "environ");
}

static struct outcome loop_environ(const struct scene *scene)
{
	return proc_reads(scene->loop, "environ");
}

static struct outcome init_maps(const struct scene *scene)
{
	(void)scene;
	return proc_reads(1, "maps");
}

static struct outcome loop_maps(const struct scene *scene)
{
	return proc_reads(scene->loop, "maps");
}

static struct outcome loop_auxv(const struct scene *scene)
{
	return proc_reads(scene->loop, "auxv");
}

static struct outcome loop_syscall(const struct scene *scene)
{
	return proc_reads(scene->loop, "syscall");
}

static struct outcome loop_task_environ(const struct scene *scene)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "task/%d/environ", (int)scene->loop);
	return proc_reads(scene->loop, name);
}

static struct outcome proc_database(pid_t pid, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s/inbound.db", (int)pid, name);
	return attempt_read_database(path);
}

static struct outcome init_root(const struct scene *scene)
{
	(void)scene;
	return proc_database(1, "root" ATTEMPT_WORKSPACE);
}

static struct outcome loop_root(const struct scene *scene)
{
	return proc_database(scene->loop, "root" ATTEMPT_WORKSPACE);
}

static struct outcome proc_links(pid_t pid, const char *name)
{
	char path[64], target[256];
	ssize_t n;

	proc_path(path, pid, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return outcome_failed("%s", name);
	target[n] = '\0';
	return outcome_succeeded("%s leads to %s", name, target);
}

static struct outcome init_cwd(const struct scene *scene)
{
	(void)scene;
	return proc_links(1, "cwd");
}

static struct outcome loop_cwd(const struct scene *scene)
{
	return proc_links(scene->loop, "cwd");
}

static struct outcome loop_exe(const struct scene *scene)
{
	return proc_links(scene->loop, "exe");
}

static struct outcome loop_namespace(const struct scene *scene)
{
	return proc_links(scene->loop, "ns/mnt");
}

/* Opens again what the process has open. */
static struct outcome proc_descriptors(pid_t pid)
{
	char path[64], full[400];
	const struct dirent *entry;
	DIR *folder;
	int opened = 0;

	proc_path(path, pid, "fd");
	folder = opendir(path);
	if (!folder)
		return outcome_failed("fd");
	errno = 0;
	while ((entry = readdir(folder))) {
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
		fd = open(full, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		opened += fd >= 0;
		if (fd >= 0)
			(void)close(fd);
	}
	(void)closedir(folder);
	return opened > 0 ? outcome_succeeded("%d of them were opened", opened)
			  : outcome_denied("none could be opened");
}

static struct outcome init_descriptors(const struct scene *scene)
{
	(void)scene;
	return proc_descriptors(1);
}

static struct outcome loop_descriptors(const struct scene *scene)
{
	return proc_descriptors(scene->loop);
}

/* Writes what the file of /proc says already. */
static struct outcome proc_rewrite(pid_t pid, const char *name)
{
	char path[64];

	proc_path(path, pid, name);
	return attempt_rewrite(path);
}

static struct outcome init_oom_score(const struct scene *scene)
{
	(void)scene;
	return proc_rewrite(1, "oom_score_adj");
}

static struct outcome loop_oom_score(const struct scene *scene)
{
	return proc_rewrite(scene->loop, "oom_score_adj");
}

static struct outcome loop_coredump_filter(const struct scene *scene)
{
	return proc_rewrite(scene->loop, "coredump_filter");
}

static struct outcome loop_clear_refs(const struct scene *scene)
{
	char path[64];

	proc_path(path, scene->loop, "clear_refs");
	return outcome_of(attempt_write(path, 0, "1"), "clear_refs");
}

/* The kernel would kill it last where the loop's is as high: the agent lowers its own. */
static struct outcome own_oom_score(const struct scene *scene)
{
	char text[32];

	(void)scene;
	if (attempt_write("/proc/self/oom_score_adj", 0, "0") < 0)
		return outcome_failed("oom_score_adj");
	if (attempt_read("/proc/self/oom_score_adj", text, sizeof(text)) < 0 || atoi(text) != 0)
		return outcome_denied("it is as it was");
	return outcome_succeeded("its own is 0 now");
}

/* Tracing */

static struct outcome ptrace_stop(long request, pid_t pid)
{
	if (ptrace((enum __ptrace_request)request, pid, NULL, NULL) < 0)
		return outcome_failed("ptrace");
	if (request == PTRACE_ATTACH)
		(void)waitpid(pid, NULL, __WALL);
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return outcome_succeeded("traced");
}

static struct outcome init_seize(const struct scene *scene)
{
	(void)scene;
	return ptrace_stop(PTRACE_SEIZE, 1);
}

static struct outcome loop_attach(const struct scene *scene)
{
	return ptrace_stop(PTRACE_ATTACH, scene->loop);
}

static struct outcome loop_seize(const struct scene *scene)
{
	return ptrace_stop(PTRACE_SEIZE, scene->loop);
}

/* Of a program that is in memory twice, the same place holds the same. */
static struct outcome vm_copy(const struct scene *scene, bool is_write)
{
	char path[64], text[64] = "", bytes[4];
	struct iovec ours = { .iov_base = bytes, .iov_len = sizeof(bytes) }, theirs = ours;
	ssize_t n;

	proc_path(path, scene->loop, "maps");
	(void)attempt_read(path, text, sizeof(text));
	theirs.iov_base = (void *)(uintptr_t)(text[0] ? strtoul(text, NULL, 16) : 0x400000);
	n = process_vm_readv(scene->loop, &ours, 1, &theirs, 1, 0);
	if (n < 0)
		return outcome_failed("process_vm_readv");
	if (!is_write)
		return outcome_succeeded("%zd bytes of its memory were read", n);
	/* Its headers are not writable: being told so means being let in. */
	n = process_vm_writev(scene->loop, &ours, 1, &theirs, 1, 0);
	return n >= 0 || errno == EFAULT ? outcome_succeeded("let into its memory")
					 : outcome_failed("process_vm_writev");
}

static struct outcome loop_vm_read(const struct scene *scene)
{
	return vm_copy(scene, false);
}

static struct outcome loop_vm_write(const struct scene *scene)
{
	return vm_copy(scene, true);
}

static struct outcome pidfd_take(pid_t pid)
{
	long pidfd = syscall(SYS_pidfd_open, pid, 0), fd;

	if (pidfd < 0)
		return outcome_failed("pidfd_open");
	for (int i = 0; i < 32; i++) {
		fd = syscall(SYS_pidfd_getfd, pidfd, i, 0);
		if (fd >= 0)
			return outcome_succeeded("its descriptor %d was taken", i);
		if (errno != EBADF)
			break;
	}
	return outcome_failed("pidfd_getfd");
}

static struct outcome init_getfd(const struct scene *scene)
{
	(void)scene;
	return pidfd_take(1);
}

static struct outcome loop_getfd(const struct scene *scene)
{
	return pidfd_take(scene->loop);
}

static struct outcome loop_kcmp(const struct scene *scene)
{
	return outcome_of(syscall(SYS_kcmp, scene->loop, getpid(), 0, 0, 0), "kcmp");
}

static struct outcome loop_move_pages(const struct scene *scene)
{
	char path[64], text[64] = "";
	void *page;
	int status = -1;

	proc_path(path, scene->loop, "maps");
	(void)attempt_read(path, text, sizeof(text));
	page = (void *)(uintptr_t)(text[0] ? strtoul(text, NULL, 16) : 0x400000);
	return outcome_of(syscall(SYS_move_pages, scene->loop, 1, &page, NULL, &status, 0),
			  "move_pages");
}

/* Signals */

/* SIGCONT does nothing to a process that runs, and may be sent to it. */
static struct outcome init_kill(const struct scene *scene)
{
	(void)scene;
	return outcome_of(kill(1, SIGCONT), "kill");
}

static struct outcome loop_kill(const struct scene *scene)
{
	return outcome_of(kill(scene->loop, SIGCONT), "kill");
}

static struct outcome loop_kill_0(const struct scene *scene)
{
	return outcome_of(kill(scene->loop, 0), "kill with signal 0");
}

/* One that shows; what can stop it can let it go on. */
static struct outcome signal_seen(const struct scene *scene, const char *what)
{
	char state = '?';

	for (int i = 0; i < SIGNAL_WAITS && state != 'T'; i++) {
		(void)usleep(SIGNAL_WAIT_US);
		state = proc_state(scene->loop);
	}
	(void)kill(scene->loop, SIGCONT);
	errno = 0;
	return state == 'T' ? outcome_succeeded("%s: it stood still", what)
			    : outcome_denied("%s: its state is %c", what, state);
}

static struct outcome loop_stop(const struct scene *scene)
{
	if (kill(scene->loop, SIGSTOP) < 0)
		return outcome_failed("kill");
	return signal_seen(scene, "kill");
}

static struct outcome loop_tgkill(const struct scene *scene)
{
	return outcome_of(syscall(SYS_tgkill, scene->loop, scene->loop, SIGCONT), "tgkill");
}

static struct outcome loop_tkill(const struct scene *scene)
{
	return outcome_of(syscall(SYS_tkill, scene->loop, SIGCONT), "tkill");
}

static struct outcome loop_sigqueue(const struct scene *scene)
{
	const union sigval value = { .sival_int = 0 };

	return outcome_of(sigqueue(scene->loop, SIGCONT, value), "rt_sigqueueinfo");
}

static struct outcome loop_group(const struct scene *scene)
{
	pid_t group = getpgid(scene->loop);

	if (group <= 1)
		return outcome_failed("getpgid");
	return outcome_of(kill(-group, SIGCONT), "kill of its group");
}

static struct outcome loop_pidfd_signal(const struct scene *scene)
{
	long pidfd = syscall(SYS_pidfd_open, scene->loop, 0);

	return outcome_of(syscall(SYS_pidfd_send_signal, pidfd, PIDFD_SIGNAL, NULL, 0),
			  "pidfd_send_signal");
}

static struct outcome init_pidfd_signal(const struct scene *scene)
{
	long pidfd = syscall(SYS_pidfd_open, 1, 0);

	(void)scene;
	return outcome_of(syscall(SYS_pidfd_send_signal, pidfd, PIDFD_SIGNAL, NULL, 0),
			  "pidfd_send_signal");
}

/* A file that has something to say tells its owner, whom anybody can name. */
static struct outcome loop_sigio(const struct scene *scene)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ||
	    fcntl(ends[0], F_SETOWN, scene->loop) < 0 || fcntl(ends[0], F_SETSIG, SIGSTOP) < 0 ||
	    fcntl(ends[0], F_SETFL, O_ASYNC) < 0 || write(ends[1], "x", 1) != 1)
		return outcome_failed("F_SETOWN");
	return signal_seen(scene, "F_SETOWN");
}

static struct outcome loop_lease(const struct scene *scene)
{
	char path[] = ATTEMPT_OWN "/escape-lease";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)unlink(path);
	if (fd < 0 || fcntl(fd, F_SETSIG, SIGSTOP) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0 ||
	    fcntl(fd, F_SETOWN, scene->loop) < 0)
		return outcome_failed("F_SETLEASE");
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	(void)open(path, O_RDONLY | O_NONBLOCK);
	return signal_seen(scene, "F_SETLEASE");
}

/* Limits and priorities */

static struct outcome proc_limit(pid_t pid, int resource)
{
	struct rlimit limit;

	/* As they are: whoever may set this may set another. */
	if (prlimit(pid, (enum __rlimit_resource)resource, NULL, &limit) < 0)
		return outcome_failed("prlimit, reading");
	return outcome_of(prlimit(pid, (enum __rlimit_resource)resource, &limit, NULL),
			  "prlimit, writing");
}

static struct outcome loop_limit_nofile(const struct scene *scene)
{
	return proc_limit(scene->loop, RLIMIT_NOFILE);
}

static struct outcome loop_limit_fsize(const struct scene *scene)
{
	return proc_limit(scene->loop, RLIMIT_FSIZE);
}

static struct outcome loop_limit_cpu(const struct scene *scene)
{
	return proc_limit(scene->loop, RLIMIT_CPU);
}

static struct outcome init_limit_nproc(const struct scene *scene)
{
	(void)scene;
	return proc_limit(1, RLIMIT_NPROC);
}

static struct outcome loop_priority(const struct scene *scene)
{
	int now = getpriority(PRIO_PROCESS, (id_t)scene->loop);

	return outcome_of(setpriority(PRIO_PROCESS, (id_t)scene->loop, now), "setpriority");
}

static struct outcome user_priority(const struct scene *scene)
{
	(void)scene;
	/* All of this user at once, among them the loop. */
	return outcome_of(setpriority(PRIO_USER, getuid(), getpriority(PRIO_PROCESS, 0)),
			  "setpriority of the user");
}

static struct outcome loop_affinity(const struct scene *scene)
{
	cpu_set_t set;

	if (sched_getaffinity(scene->loop, sizeof(set), &set) < 0)
		return outcome_failed("sched_getaffinity");
	return outcome_of(sched_setaffinity(scene->loop, sizeof(set), &set), "sched_setaffinity");
}

static struct outcome loop_scheduler(const struct scene *scene)
{
	const struct sched_param param = { .sched_priority = 0 };

	return outcome_of(sched_setscheduler(scene->loop, SCHED_OTHER, &param),
			  "sched_setscheduler");
}

/* Behind everybody, as long as anybody has something to do; fleet.py undoes it. */
static struct outcome loop_idle(const struct scene *scene)
{
	const struct sched_param param = { .sched_priority = 0 };

	return outcome_of(sched_setscheduler(scene->loop, SCHED_IDLE, &param), "SCHED_IDLE");
}

static struct outcome loop_sched_param(const struct scene *scene)
{
	const struct sched_param param = { .sched_priority = 0 };

	return outcome_of(sched_setparam(scene->loop, &param), "sched_setparam");
}

static struct outcome loop_sched_attr(const struct scene *scene)
{
	unsigned char attr[56] = { 0 };

	if (syscall(SYS_sched_getattr, scene->loop, attr, sizeof(attr), 0) < 0)
		return outcome_failed("sched_getattr");
	return outcome_of(syscall(SYS_sched_setattr, scene->loop, attr, 0), "sched_setattr");
}

static struct outcome loop_ioprio(const struct scene *scene)
{
	long now = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, scene->loop);

	if (now < 0)
		return outcome_failed("ioprio_get");
	return outcome_of(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, scene->loop, now),
			  "ioprio_set");
}

/* Sockets */

/* What listens there was started beside the agent, by `podman exec`. */
static struct outcome abstract_socket(const struct scene *scene)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char name[] = ATTEMPT_ABSTRACT;

	(void)scene;
	memcpy(address.sun_path + 1, name, sizeof(name) - 1);
	if (connect(fd, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name))) < 0)
		return errno == ECONNREFUSED ? outcome_absent("nobody listens")
					     : outcome_failed("connect");
	return outcome_succeeded("connected");
}

const struct attempt attempts_processes[] = {
	{ "init-mem", "read and write /proc/1/mem", init_mem },
	{ "init-environ", "read /proc/1/environ", init_environ },
	{ "init-maps", "read /proc/1/maps", init_maps },
	{ "init-root", "read inbound.db through /proc/1/root", init_root },
	{ "init-cwd", "follow /proc/1/cwd", init_cwd },
	{ "init-descriptors", "open what /proc/1/fd names", init_descriptors },
	{ "init-oom-score", "write /proc/1/oom_score_adj", init_oom_score },
	{ "init-seize", "trace PID 1", init_seize },
	{ "init-getfd", "take a descriptor of PID 1 by pidfd_getfd", init_getfd },
	{ "init-kill", "signal PID 1", init_kill },
	{ "init-pidfd-signal", "signal PID 1 by pidfd_send_signal", init_pidfd_signal },
	{ "init-limit-nproc", "set a limit of PID 1 by prlimit", init_limit_nproc },
	{ "loop-mem", "read and write the loop's memory by /proc", loop_mem },
	{ "loop-environ", "read the loop's environment", loop_environ },
	{ "loop-task-environ", "read it of the loop's thread", loop_task_environ },
	{ "loop-maps", "read the loop's memory map", loop_maps },
	{ "loop-auxv", "read the loop's auxiliary vector", loop_auxv },
	{ "loop-syscall", "read which system call the loop is in", loop_syscall },
	{ "loop-root", "read inbound.db through the loop's /proc/PID/root", loop_root },
	{ "loop-cwd", "follow the loop's /proc/PID/cwd", loop_cwd },
	{ "loop-exe", "follow the loop's /proc/PID/exe", loop_exe },
	{ "loop-namespace", "name the loop's namespaces", loop_namespace },
	{ "loop-descriptors", "open the loop's descriptors", loop_descriptors },
	{ "loop-oom-score", "write the loop's oom_score_adj", loop_oom_score },
	{ "loop-coredump-filter", "write the loop's coredump_filter", loop_coredump_filter },
	{ "loop-clear-refs", "write the loop's clear_refs", loop_clear_refs },
	{ "own-oom-score", "lower its own oom_score_adj to the loop's", own_oom_score },
	{ "loop-attach", "trace the loop by PTRACE_ATTACH", loop_attach },
	{ "loop-seize", "trace the loop by PTRACE_SEIZE", loop_seize },
	{ "loop-vm-read", "read the loop's memory by process_vm_readv", loop_vm_read },
	{ "loop-vm-write", "write the loop's memory by process_vm_writev", loop_vm_write },
	{ "loop-getfd", "take a descriptor of the loop by pidfd_getfd", loop_getfd },
	{ "loop-kcmp", "compare the loop with itself by kcmp", loop_kcmp },
	{ "loop-move-pages", "ask where the loop's pages are by move_pages", loop_move_pages },
	{ "loop-kill-0", "see by signal 0 whether the loop is there", loop_kill_0 },
	{ "loop-kill", "signal the loop by kill", loop_kill },
	{ "loop-stop", "stop the loop by SIGSTOP", loop_stop },
	{ "loop-tgkill", "signal the loop by tgkill", loop_tgkill },
	{ "loop-tkill", "signal the loop by tkill", loop_tkill },
	{ "loop-sigqueue", "signal the loop by rt_sigqueueinfo", loop_sigqueue },
	{ "loop-group", "signal the loop's process group", loop_group },
	{ "loop-pidfd-signal", "signal the loop by pidfd_send_signal", loop_pidfd_signal },
	{ "loop-sigio", "have a socket signal the loop (F_SETOWN)", loop_sigio },
	{ "loop-lease", "have a lease signal the loop (F_SETLEASE)", loop_lease },
	{ "loop-limit-nofile", "set the loop's RLIMIT_NOFILE", loop_limit_nofile },
	{ "loop-limit-fsize", "set the loop's RLIMIT_FSIZE", loop_limit_fsize },
	{ "loop-limit-cpu", "set the loop's RLIMIT_CPU", loop_limit_cpu },
	{ "loop-priority", "set the loop's nice value", loop_priority },
	{ "user-priority", "set the nice value of the whole user", user_priority },
	{ "loop-affinity", "set the loop's CPUs", loop_affinity },
	{ "loop-scheduler", "set the loop's scheduler", loop_scheduler },
	{ "loop-idle", "have the loop run when nobody else does", loop_idle },
	{ "loop-sched-param", "set the loop's scheduling parameters", loop_sched_param },
	{ "loop-sched-attr", "set the loop's scheduling attributes", loop_sched_attr },
	{ "loop-ioprio", "set the loop's I/O priority", loop_ioprio },
	{ "abstract-socket", "connect to an abstract socket that is not the agent's",
	  abstract_socket },
	{ NULL, NULL, NULL },
};
