/* SPDX-License-Identifier: MIT */
#include "entrypoint/spawn.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/signals.h"
#include "entrypoint/terminal.h"

/* Who a service manager speaks to (sd_listen_fds(3), sd_watchdog_enabled(3)). */
static const char *const spawn_pid_variables[] = { "LISTEN_PID", "WATCHDOG_PID" };

static void __attribute__((noreturn)) spawn_run(const struct spawn_spec *spec)
{
	int r;

	/* Here and in the parent: whoever comes first, neither may go on before it is done. */
	(void)setpgid(0, 0);
	r = terminal_give(spec->terminal, getpid());
	if (r < 0)
		log_warning("cannot hand the terminal over: %s", strerror(-r));
	r = signals_release();
	if (r < 0)
		log_warning("cannot unblock signals: %s", strerror(-r));
	if (spec->name)
		(void)prctl(PR_SET_NAME, spec->name);
	_exit(spec->run(spec->userdata));
}

int spawn_child(const struct spawn_spec *spec, pid_t *ret_pid, struct err *err)
{
	pid_t pid = spec->executes && spec->terminal < 0 ? vfork() : fork();

	if (pid < 0)
		return err_sys(err, -errno, "cannot start a process");
	if (pid == 0)
		spawn_run(spec);
	(void)setpgid(pid, pid);
	*ret_pid = pid;
	return 0;
}

static void spawn_rename_pid(const char *variable, pid_t parent)
{
	const char *value = getenv(variable);
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", (int)parent);
	if (!value || strcmp(value, pid) != 0)
		return;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (setenv(variable, pid, 1) < 0)
		log_warning("cannot set %s: %s", variable, strerror(errno));
}

bool spawn_exists(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (!*name)
		return false;
	if (strchr(name, '/'))
		return access(name, F_OK) == 0;
	while (path && *path) {
		size_t len = strcspn(path, ":");

		(void)snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name);
		if (len > 0 && access(file, F_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

int spawn_exec(char *const *argv, pid_t parent)
{
	int error;

	for (size_t i = 0; i < ARRAY_LEN(spawn_pid_variables); i++)
		spawn_rename_pid(spawn_pid_variables[i], parent);
	(void)execvp(argv[0], argv);
	error = errno;
	/* A folder of PATH that we may not search makes EACCES of what is nowhere. */
	if ((error == ENOENT || error == ENOTDIR || error == EACCES) && !spawn_exists(argv[0])) {
		log_error("%s: not found", argv[0]);
		return EXIT_CODE_NOT_FOUND;
	}
	if (error == ENOENT) {
		/* A script is there, the program that its first line names is not. */
		log_error("%s: its interpreter was not found", argv[0]);
		return EXIT_CODE_NOT_FOUND;
	}
	log_error("%s: cannot be executed: %s", argv[0], strerror(error));
	return EXIT_CODE_NOT_EXECUTABLE;
}

int spawn_bind_to_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have ended before that call. */
	return getppid() == parent ? 0 : -ESRCH;
}
