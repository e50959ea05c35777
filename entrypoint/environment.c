/* SPDX-License-Identifier: MIT */
#include "entrypoint/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/number.h"
#include "common/table.h"
#include "entrypoint/home.h"
#include "entrypoint/own-folder.h"
#include "entrypoint/probe.h"

#define ENVIRONMENT_GIT_FILE_MAX  (64 * 1024)
#define ENVIRONMENT_GIT_COUNT_MAX 1000
#define ENVIRONMENT_TEXT_MAX	  (HOME_PATH_MAX + 64)

enum environment_when {
	ENVIRONMENT_ALWAYS,
	/* A person at a terminal wants colours, questions and a pager. */
	ENVIRONMENT_NO_TERMINAL,
};

/* Set unless the host set it, or the variable that has the same meaning. */
static const struct {
	const char *name;
	const char *value;
	enum environment_when when;
	const char *unless;
} environment_rows[] = {
	{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
	{ "LANG", "C.UTF-8", .unless = "LC_ALL" },

	/* Nobody is there to look at colours or to answer a question. */
	{ "NO_COLOR", "1", ENVIRONMENT_NO_TERMINAL, .unless = "FORCE_COLOR" },
	{ "PAGER", "cat", ENVIRONMENT_NO_TERMINAL },
	{ "EDITOR", "true", ENVIRONMENT_NO_TERMINAL, .unless = "VISUAL" },
	{ "DEBIAN_FRONTEND", "noninteractive", ENVIRONMENT_NO_TERMINAL },
	{ "GIT_TERMINAL_PROMPT", "0", ENVIRONMENT_NO_TERMINAL },
	{ "PIP_NO_INPUT", "1", ENVIRONMENT_NO_TERMINAL },

	/* The image decides about versions; an update in a container is lost, or breaks it. */
	{ "DISABLE_AUTOUPDATER", "1" },
	{ "COPILOT_AUTO_UPDATE", "false" },
	{ "OPENCODE_DISABLE_AUTOUPDATE", "1" },
	{ "NO_UPDATE_NOTIFIER", "1" },
	{ "npm_config_update_notifier", "false" },
	{ "npm_config_fund", "false" },
	{ "PIP_DISABLE_PIP_VERSION_CHECK", "1" },

	/* Nobody is told what the agent does but the model's API. */
	{ "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1" },
	{ "DISABLE_TELEMETRY", "1" },
	{ "DISABLE_ERROR_REPORTING", "1" },
	{ "DO_NOT_TRACK", "1" },
	{ "DOTNET_CLI_TELEMETRY_OPTOUT", "1" },
	{ "GEMINI_TELEMETRY_ENABLED", "false" },
	{ "NEXT_TELEMETRY_DISABLED", "1" },
};

/* An empty value is a value: the host set it. */
static int environment_set(const char *name, const char *value, struct err *err)
{
	if (setenv(name, value, 0) < 0)
		return err_sys(err, -errno, "%s", name);
	return 0;
}

static int environment_set_rows(struct err *err)
{
	bool has_terminal = isatty(STDOUT_FILENO);

	for (size_t i = 0; i < ARRAY_LEN(environment_rows); i++) {
		int r;

		if (environment_rows[i].when == ENVIRONMENT_NO_TERMINAL && has_terminal)
			continue;
		if (environment_rows[i].unless && getenv(environment_rows[i].unless))
			continue;
		r = environment_set(environment_rows[i].name, environment_rows[i].value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int environment_set_user(const struct privileges_user *user, struct err *err)
{
	const char *name = user && user->name[0] ? user->name : "agent";
	int r = 0;

	if (!user && geteuid() == 0)
		name = "root";
	r = environment_set("USER", name, err);
	if (r == 0)
		r = environment_set("LOGNAME", name, err);
	if (r == 0)
		r = environment_set("SHELL",
				    access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh", err);
	return r;
}

/* NULL: the variable is removed, whoever set it. */
static int environment_replace(const char *name, const char *value, struct err *err)
{
	if ((value ? setenv(name, value, 1) : unsetenv(name)) < 0)
		return err_sys(err, -errno, "%s", name);
	return 0;
}

static int environment_set_home(const struct environment_spec *spec, struct err *err)
{
	const struct home_spec wanted = {
		.user = spec->user,
		.workspace = spec->is_session ? spec->workspace : NULL,
	};
	struct err why = { .text = "" };
	struct home home = { .meant = "" };
	int r, found = home_find(&wanted, &home, &why);

	r = environment_replace(ENVIRONMENT_HOST_HOME, home.meant[0] ? home.meant : NULL, err);
	if (r < 0)
		return r;
	if (found < 0) {
		/* Many a command does without. */
		log_warning("%s", why.text);
		return 0;
	}
	if (found > 0)
		log_info("HOME is %s: %s", home.path, why.text);
	return environment_replace("HOME", home.path, err);
}

/* Where programs put temporary files that are told of no other place. */
#define ENVIRONMENT_TEMPORARY "/tmp"

/* 1 with the path as the text: a folder of our own has to be TMPDIR; 0: none has; -errno. */
static int environment_find_temporary(void *data, struct err *text)
{
	const struct environment_spec *spec = data;
	char path[OWN_FOLDER_PATH_MAX];
	int r;

	if (!own_folder_holds(ENVIRONMENT_TEMPORARY, spec->workspace))
		return 0;
	r = own_folder_make("tmp", path, text);
	return r < 0 ? r : err_set(text, 1, "%s", path);
}

/* Of a folder above the workspace the agent gets what is in it, but can make nothing in it. */
static int environment_set_temporary(const struct environment_spec *spec, struct err *err)
{
	struct environment_spec copy = *spec;
	const char *given = getenv("TMPDIR");
	struct err text = { .text = "" };
	int r = environment_replace(ENVIRONMENT_TMPDIR, NULL, err);

	if (r < 0 || !spec->is_session || (given && *given))
		return r;
	r = probe_run(spec->user, environment_find_temporary, &copy, &text);
	if (r < 0)
		log_warning("TMPDIR: %s", text.text);
	if (r <= 0)
		return 0;
	log_info("TMPDIR is %s: " ENVIRONMENT_TEMPORARY " holds the workspace, whose files are "
		 "guarded",
		 text.text);
	r = environment_replace("TMPDIR", text.text, err);
	return r < 0 ? r : environment_replace(ENVIRONMENT_TMPDIR, text.text, err);
}

/* git */

static int environment_add_git(int64_t *count, const char *key, const char *value, struct err *err)
{
	char name[64];
	int r;

	(void)snprintf(name, sizeof(name), "GIT_CONFIG_KEY_%d", (int)*count);
	r = setenv(name, key, 1);
	if (r == 0) {
		(void)snprintf(name, sizeof(name), "GIT_CONFIG_VALUE_%d", (int)*count);
		r = setenv(name, value, 1);
	}
	if (r < 0)
		return err_sys(err, -errno, "%s", name);
	(*count)++;
	return 0;
}

/* An identity, or an include where one may be. */
static bool environment_file_has_identity(const char *path)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (fd_read_file(path, ENVIRONMENT_GIT_FILE_MAX, &text, &len, NULL) < 0)
		return false;
	return strstr(text, "[user") != NULL || strstr(text, "[include") != NULL;
}

static bool environment_has_git_identity(const char *workspace, int64_t count)
{
	const char *global = getenv("GIT_CONFIG_GLOBAL"), *home = global ? NULL : getenv("HOME");
	const char *system = getenv("GIT_CONFIG_SYSTEM");
	char path[ENVIRONMENT_TEXT_MAX];
	const struct {
		const char *folder; /* NULL: git does not look there */
		const char *file;
	} files[] = {
		{ global, "" },
		{ global ? NULL : getenv("XDG_CONFIG_HOME"), "/git/config" },
		{ home, "/.gitconfig" },
		{ home, "/.config/git/config" },
		{ getenv("GIT_CONFIG_NOSYSTEM") ? NULL
		  : system			? system
						: "/etc/gitconfig",
		  "" },
		/* What GIT_CONFIG_* says wins over a repository: not over the agent's own. */
		{ workspace, "/agent/.git/config" },
		{ workspace, "/.git/config" },
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!files[i].folder)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s", files[i].folder, files[i].file);
		if (environment_file_has_identity(path))
			return true;
	}
	for (int64_t i = 0; i < count; i++) {
		const char *key;

		(void)snprintf(path, sizeof(path), "GIT_CONFIG_KEY_%d", (int)i);
		key = getenv(path);
		if (key && strncmp(key, "user.", strlen("user.")) == 0)
			return true;
	}
	return false;
}

static int environment_set_git(const char *workspace, struct err *err)
{
	const char *text = getenv("GIT_CONFIG_COUNT");
	bool has_identity;
	int64_t count = 0;
	char number[24];
	int r;

	if (text && *text && number_parse_int(text, 0, ENVIRONMENT_GIT_COUNT_MAX, &count) < 0) {
		log_warning("GIT_CONFIG_COUNT=%s is no number: git's settings are left alone",
			    text);
		return 0;
	}
	has_identity = environment_has_git_identity(workspace, count);
	/* The folders belong to whoever the host is; git (2.35.2 and later) refuses others'. */
	r = environment_add_git(&count, "safe.directory", "*", err);
	if (r == 0 && !has_identity)
		r = environment_add_git(&count, "user.name", "Agent", err);
	if (r == 0 && !has_identity && !getenv("EMAIL"))
		r = environment_add_git(&count, "user.email", "agent@localhost", err);
	if (r < 0)
		return r;
	(void)snprintf(number, sizeof(number), "%d", (int)count);
	if (setenv("GIT_CONFIG_COUNT", number, 1) < 0)
		return err_sys(err, -errno, "GIT_CONFIG_COUNT");
	return 0;
}

int environment_prepare(const struct environment_spec *spec, struct err *err)
{
	int r = environment_set_home(spec, err);

	/* After HOME, which would lie there otherwise. */
	if (r == 0)
		r = environment_set_temporary(spec, err);
	if (r == 0)
		r = environment_set_user(spec->user, err);
	if (r == 0)
		r = environment_set_rows(err);
	/* After HOME: git's settings are looked for there. */
	if (r == 0)
		r = environment_set_git(spec->workspace, err);
	return r;
}
