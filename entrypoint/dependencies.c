/* SPDX-License-Identifier: MIT */
#include "entrypoint/dependencies.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/init.h"
#include "entrypoint/probe.h"
#include "entrypoint/spawn.h"

#define DEPENDENCIES_PROJECT "package.json"

/* In the order of precedence: of two files of npm's, npm itself takes the first. */
static const struct dependencies dependencies_rows[] = {
	{ "npm-shrinkwrap.json", NULL, { "npm", "ci" } },
	{ "package-lock.json", NULL, { "npm", "ci" } },
	{ "pnpm-lock.yaml", NULL, { "pnpm", "install", "--frozen-lockfile" } },
	/* Yarn 2 and later: the older one has no such file, and another word for it. */
	{ "yarn.lock", ".yarnrc.yml", { "yarn", "install", "--immutable" } },
	{ "yarn.lock", NULL, { "yarn", "install", "--frozen-lockfile" } },
	{ "bun.lock", NULL, { "bun", "install", "--frozen-lockfile" } },
	{ "bun.lockb", NULL, { "bun", "install", "--frozen-lockfile" } },
};

/* Finding out */

static bool dependencies_has(const char *workspace, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", workspace, name) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

static bool dependencies_applies(const struct dependencies *row, const char *workspace)
{
	return dependencies_has(workspace, row->lock_file) &&
	       (!row->beside || dependencies_has(workspace, row->beside));
}

/* The lock file of another package manager than that of the row at first; NULL: there is none. */
static const char *dependencies_rival(size_t first, const char *workspace)
{
	for (size_t i = first + 1; i < ARRAY_LEN(dependencies_rows); i++)
		if (strcmp(dependencies_rows[i].words[0], dependencies_rows[first].words[0]) != 0 &&
		    dependencies_applies(&dependencies_rows[i], workspace))
			return dependencies_rows[i].lock_file;
	return NULL;
}

/* The number of the row, from 1 on; 0 with a text: none. */
static int dependencies_look(void *data, struct err *text)
{
	const char *workspace = data;

	if (!dependencies_has(workspace, DEPENDENCIES_PROJECT))
		return err_set(text, 0,
			       "no dependencies to install: there is no " DEPENDENCIES_PROJECT
			       " in %s",
			       workspace);
	for (size_t i = 0; i < ARRAY_LEN(dependencies_rows); i++) {
		const char *rival;

		if (!dependencies_applies(&dependencies_rows[i], workspace))
			continue;
		rival = dependencies_rival(i, workspace);
		if (rival)
			log_warning("%s has %s and %s: the first one counts, remove the other",
				    workspace, dependencies_rows[i].lock_file, rival);
		return (int)i + 1;
	}
	return err_set(text, 0,
		       "no dependencies are installed: %s/" DEPENDENCIES_PROJECT
		       " has no lock file beside it, which would say in which versions",
		       workspace);
}

int dependencies_find(const char *workspace, const struct privileges_user *user,
		      const struct dependencies **ret_row, struct err *err)
{
	const struct dependencies *row;
	int r = probe_run(user, dependencies_look, (void *)(uintptr_t)workspace, err);

	if (r < 0)
		return EXIT_CODE_INTERNAL;
	if (r == 0) {
		*ret_row = NULL;
		return 0;
	}
	row = &dependencies_rows[r - 1];
	if (!spawn_exists(row->words[0]))
		return err_set(err, EXIT_CODE_UNAVAILABLE,
			       "--install-deps: %s/%s is for %s, which is not in PATH: use an "
			       "image that has it, or leave the option out",
			       workspace, row->lock_file, row->words[0]);
	*ret_row = row;
	return 0;
}

/* Installing */

static int dependencies_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

int dependencies_install(const struct dependencies *row, const char *workspace,
			 int (*run)(void *userdata), void *userdata)
{
	char how[64];
	pid_t pid;
	int r;

	log_info("installing dependencies in %s: %s %s, for %s", workspace, row->words[0],
		 row->words[1], row->lock_file);
	pid = fork();
	if (pid == 0)
		_exit(run(userdata));
	r = pid < 0 ? -errno : dependencies_wait(pid);
	if (r == 0)
		return INIT_NEXT;
	if (r < 0)
		(void)snprintf(how, sizeof(how), "cannot be run: %s", strerror(-r));
	else if (WIFSIGNALED(r))
		(void)snprintf(how, sizeof(how), "was ended by signal %d", WTERMSIG(r));
	else
		(void)snprintf(how, sizeof(how), "failed with code %d", WEXITSTATUS(r));
	log_error("--install-deps: %s %s %s in %s: what it said stands above; nothing was started",
		  row->words[0], row->words[1], how, workspace);
	return EXIT_CODE_UNAVAILABLE;
}

/* Foreign code must not read what is meant for the command, nor mix with its output. */
static int dependencies_set_streams(void)
{
	cleanup_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	return 0;
}

int dependencies_exec(const struct dependencies *row, const char *workspace, pid_t parent)
{
	int r = dependencies_set_streams();

	if (r < 0) {
		log_error("/dev/null: %s", strerror(-r));
		return EXIT_CODE_INTERNAL;
	}
	if (chdir(workspace) < 0) {
		log_error("%s cannot be entered by uid %u: %s", workspace, geteuid(),
			  strerror(errno));
		return EXIT_CODE_NO_PERMISSION;
	}
	/* No manager waits for an answer then, or draws bars for nobody. */
	if (setenv("CI", "true", 0) < 0) {
		log_error("CI: %s", strerror(errno));
		return EXIT_CODE_INTERNAL;
	}
	/* A vector as exec(3) wants it: nothing is changed in it. */
	return spawn_exec((char *const *)(uintptr_t)row->words, parent);
}
