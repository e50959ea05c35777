/* SPDX-License-Identifier: MIT */
#include "tests/system/escape/rude.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEGABYTE (1024 * 1024)
/* Long enough for the limit to be reached, and for whoever watches to see it. */
#define BOMB_US	  (300 * 1000)
#define FILES_MAX 100000

struct rude {
	const char *name;
	void (*run)(const struct scene *scene, FILE *out);
};

/* Nothing of it ends by itself, or by a signal that can be ignored; it keeps no stream open. */
static void rude_harden(void)
{
	(void)setsid();
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_IGN);
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	(void)close(STDERR_FILENO);
}

/* Processes */

static void __attribute__((noreturn)) rude_multiply(void)
{
	rude_harden();
	for (;;)
		if (fork() < 0)
			(void)usleep(10 * 1000);
}

static void rude_fork_bomb(const struct scene *scene, FILE *out)
{
	pid_t pid = fork();

	(void)scene;
	if (pid == 0)
		rude_multiply();
	(void)usleep(BOMB_US);
	pid = fork();
	if (pid == 0)
		_exit(0);
	(void)fprintf(out, pid < 0 ? "no more processes: %s" : "there are still more",
		      strerror(errno));
}

/* An orphan of an orphan. */
static void rude_stay(const struct scene *scene, FILE *out)
{
	(void)scene;
	if (fork() == 0) {
		rude_harden();
		if (fork() > 0)
			_exit(0);
		for (;;)
			(void)pause();
	}
	(void)fputs("stays", out);
}

/* One to whom the orphans go, before they could go to anybody else. */
static void rude_stay_by_reaper(const struct scene *scene, FILE *out)
{
	(void)scene;
	if (fork() == 0) {
		rude_harden();
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		for (int i = 0; i < 3; i++)
			if (fork() == 0 && fork() == 0) {
				(void)setsid();
				break;
			}
		for (;;)
			(void)pause();
	}
	(void)fputs("stays", out);
}

/* It is another process every moment: who lists and then kills comes too late. */
static void rude_stay_by_forks(const struct scene *scene, FILE *out)
{
	(void)scene;
	if (fork() == 0) {
		rude_harden();
		for (;;) {
			if (fork() > 0)
				_exit(0);
			(void)setsid();
		}
	}
	(void)fputs("stays", out);
}

static void rude_kill_all(const struct scene *scene, FILE *out)
{
	(void)scene;
	/* All that it may signal, itself excepted. */
	(void)fprintf(out, "kill: %d", kill(-1, SIGKILL));
}

static void rude_die(const struct scene *scene, FILE *out)
{
	(void)scene;
	(void)out;
	_exit(1);
}

/* Descriptors */

static void rude_descriptors(const struct scene *scene, FILE *out)
{
	struct rlimit limit;
	int n = 0;

	(void)scene;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	while (n < FILES_MAX && dup(STDIN_FILENO) >= 0)
		n++;
	(void)fprintf(out, "%d descriptors", n);
}

static int rude_find_socket(struct sockaddr_un *address)
{
	glob_t found;
	int r = glob("/tmp/agent-runner-*/socket", 0, NULL, &found);

	if (r != 0)
		return -1;
	address->sun_family = AF_UNIX;
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "%s", found.gl_pathv[0]);
	globfree(&found);
	return 0;
}

/* Connections to the loop, each a descriptor of the loop's; they are kept. */
static void rude_connections(const struct scene *scene, FILE *out)
{
	struct sockaddr_un address;
	int n = 0;

	(void)scene;
	if (rude_find_socket(&address) < 0) {
		(void)fputs("no socket", out);
		return;
	}
	for (int child = 0; child < 3; child++) {
		if (fork() > 0)
			continue;
		for (n = 0; n < 1000; n++) {
			int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

			if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
				(void)usleep(100);
		}
		for (;;)
			(void)pause();
	}
	(void)usleep(2 * BOMB_US);
	(void)fputs("connected", out);
}

/* A line that never ends, and a reader who never reads. */
static void rude_flood(const struct scene *scene, FILE *out)
{
	static char bytes[MEGABYTE];
	struct sockaddr_un address;
	size_t sent = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)scene;
	memset(bytes, '[', sizeof(bytes));
	if (rude_find_socket(&address) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		(void)fputs("no socket", out);
		return;
	}
	while (sent < 200) {
		if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
			break;
		sent++;
	}
	(void)fprintf(out, "%zu MB: %s", sent, sent < 200 ? strerror(errno) : "all");
}

/* Room */

static int rude_fill(const char *path)
{
	static char bytes[MEGABYTE];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), n = 0;

	if (fd < 0)
		return -1;
	for (size_t size = sizeof(bytes); size > 0; size /= 2)
		while (n < 4096 && write(fd, bytes, size) > 0)
			n++;
	(void)close(fd);
	return n;
}

static int rude_use_names(const char *folder)
{
	char path[256];
	int n = 0;

	while (n < FILES_MAX) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/escape-%d", folder, n);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			break;
		(void)close(fd);
		n++;
	}
	return n;
}

/* Only where the test gave it a file system of a few MB: else it would be the machine's. */
static void rude_disk(const struct scene *scene, FILE *out)
{
	(void)scene;
	(void)fprintf(out, "filled: %d", rude_fill(ATTEMPT_OWN "/escape-fill"));
}

static void rude_folders(const struct scene *scene, FILE *out)
{
	(void)scene;
	(void)rude_fill("/tmp/escape-fill");
	(void)rude_fill("/home/node/escape-fill");
	(void)rude_use_names("/tmp");
	(void)rude_use_names("/home/node");
	(void)fputs("filled", out);
}

/* Memory that does not come back when its writer is killed. */
static void rude_shared_memory(const struct scene *scene, FILE *out)
{
	pid_t pid = fork();

	(void)scene;
	if (pid == 0)
		_exit(rude_fill("/dev/shm/escape-fill") > 0 ? 0 : 1);
	(void)waitpid(pid, NULL, 0);
	(void)fputs("filled", out);
}

/* The same, without a file. */
static void rude_shared_segments(const struct scene *scene, FILE *out)
{
	pid_t pid = fork();

	(void)scene;
	if (pid == 0)
		for (;;) {
			int id = shmget(IPC_PRIVATE, MEGABYTE, 0600 | IPC_CREAT);
			void *bytes = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

			if (bytes == (void *)-1)
				_exit(1);
			memset(bytes, 1, MEGABYTE);
			(void)shmdt(bytes);
		}
	(void)waitpid(pid, NULL, 0);
	(void)fputs("filled", out);
}

static void rude_memory(const struct scene *scene, FILE *out)
{
	(void)scene;
	for (int child = 0; child < 4; child++)
		if (fork() == 0)
			for (;;) {
				char *bytes = malloc(MEGABYTE);

				if (bytes)
					memset(bytes, 1, MEGABYTE);
			}
	(void)usleep(2 * BOMB_US);
	(void)fputs("eaten", out);
}

/* The loop's folder in /tmp */

static int rude_find_folder(char folder[256])
{
	glob_t found;

	if (glob("/tmp/agent-runner-*", 0, NULL, &found) != 0)
		return -1;
	(void)snprintf(folder, 256, "%s", found.gl_pathv[0]);
	globfree(&found);
	return 0;
}

/* What the loop writes there next would go to the workspace. */
static void rude_folder_link(const struct scene *scene, FILE *out)
{
	char folder[256];

	(void)scene;
	if (rude_find_folder(folder) < 0 || rename(folder, "/tmp/escape-moved") < 0 ||
	    symlink(ATTEMPT_WORKSPACE, folder) < 0)
		(void)fprintf(out, "not linked: %s", strerror(errno));
	else
		(void)fputs("linked", out);
}

static void rude_file_link(const struct scene *scene, FILE *out)
{
	char folder[256], path[300];

	(void)scene;
	if (rude_find_folder(folder) < 0) {
		(void)fputs("no folder", out);
		return;
	}
	for (const char *const *name =
		     (const char *const[]){ "mcp-servers.json", "socket", "probe", NULL };
	     *name; name++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, *name);
		(void)unlink(path);
		if (symlink(ATTEMPT_INBOUND, path) < 0) {
			(void)fprintf(out, "not linked: %s", strerror(errno));
			return;
		}
	}
	(void)fputs("linked", out);
}

/* Takes all rights from what the loop works with, which only its owner can. */
static void rude_chmod(const char *path, FILE *out)
{
	(void)fprintf(out, "chmod: %s", chmod(path, 0) == 0 ? "done" : strerror(errno));
}

static void rude_chmod_inbound(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_INBOUND, out);
}

static void rude_chmod_outbound(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_OUTBOUND, out);
}

static void rude_chmod_heartbeat(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_WORKSPACE "/.heartbeat", out);
}

static void rude_chmod_outbox(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_WORKSPACE "/outbox", out);
}

static void rude_chmod_workspace(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_WORKSPACE, out);
}

static void rude_chmod_own_folder(const struct scene *scene, FILE *out)
{
	(void)scene;
	rude_chmod(ATTEMPT_OWN, out);
}

static void rude_chmod_socket_folder(const struct scene *scene, FILE *out)
{
	char folder[256] = "/none";

	(void)scene;
	(void)rude_find_folder(folder);
	rude_chmod(folder, out);
}

static const struct rude rudes[] = {
	{ "chmod-inbound", rude_chmod_inbound },
	{ "chmod-outbound", rude_chmod_outbound },
	{ "chmod-heartbeat", rude_chmod_heartbeat },
	{ "chmod-outbox", rude_chmod_outbox },
	{ "chmod-workspace", rude_chmod_workspace },
	{ "chmod-own-folder", rude_chmod_own_folder },
	{ "chmod-socket-folder", rude_chmod_socket_folder },
	{ "fork-bomb", rude_fork_bomb },
	{ "stay", rude_stay },
	{ "stay-by-reaper", rude_stay_by_reaper },
	{ "stay-by-forks", rude_stay_by_forks },
	{ "kill-all", rude_kill_all },
	{ "die", rude_die },
	{ "descriptors", rude_descriptors },
	{ "connections", rude_connections },
	{ "flood", rude_flood },
	{ "disk", rude_disk },
	{ "folders", rude_folders },
	{ "memory", rude_memory },
	{ "shared-memory", rude_shared_memory },
	{ "shared-segments", rude_shared_segments },
	{ "folder-link", rude_folder_link },
	{ "file-link", rude_file_link },
};

void rude_do(const char *text, const struct scene *scene, FILE *out)
{
	size_t len = strcspn(text, " \n<");

	for (size_t i = 0; i < sizeof(rudes) / sizeof(*rudes); i++)
		if (strlen(rudes[i].name) == len && strncmp(text, rudes[i].name, len) == 0) {
			rudes[i].run(scene, out);
			return;
		}
	(void)fprintf(out, "there is nothing rude of that name");
}
