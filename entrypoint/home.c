/* SPDX-License-Identifier: MIT */
#include "entrypoint/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/probe.h"

/* Where a fallback may lie, after TMPDIR; the first that can be written. */
static const char *const home_bases[] = { "/tmp", "/var/tmp", "/dev/shm" };

/* The path of a fallback has to fit into the text of a probe. */
#define HOME_FALLBACK_MAX 256
_Static_assert(HOME_FALLBACK_MAX <= ERR_TEXT_MAX, "a fallback's path would be cut");

/* What the tools of an agent look for in HOME. */
static const char *const home_settings[] = {
	".aws",	   ".claude",	 ".claude.json", ".codex", ".config", ".copilot",
	".gemini", ".gitconfig", ".kiro",	 ".netrc", ".npmrc",  ".ssh",
};

struct home_request {
	const char *first; /* the HOME that should have been it; its settings are linked */
	const char *candidate;
};

static int home_check(void *data, struct err *err)
{
	const struct home_request *request = data;
	const char *path = request->candidate;
	struct stat st;

	if (path[0] != '/')
		return err_set(err, -ENOTDIR, "\"%s\" is no absolute path", path);
	if (stat(path, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a folder", path);
	if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(err, -errno, "%s cannot be written by uid %u", path, geteuid());
	return 0;
}

/* Links are only made where nothing is, so an existing fallback keeps what was put there. */
static void home_link(const char *from, const char *to)
{
	struct stat st;

	if (stat(from, &st) == 0 && symlink(from, to) < 0 && errno != EEXIST)
		log_info("cannot link %s to %s: %s", to, from, strerror(errno));
}

/*
 * A folder that cannot be written (credentials mounted read-only) is made anew with links to what
 * is in it, so that its program can write beside them.
 */
static void home_link_settings(const char *first, const char *home, const char *name)
{
	char from[HOME_PATH_MAX], to[HOME_PATH_MAX];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *entry;

	if (snprintf(from, sizeof(from), "%s/%s", first, name) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/%s", home, name) >= (int)sizeof(to))
		return;
	dir = opendir(from);
	if (!dir || faccessat(AT_FDCWD, from, W_OK | X_OK, AT_EACCESS) == 0) {
		home_link(from, to);
		return;
	}
	if (mkdir(to, 0700) < 0)
		return;
	while ((entry = readdir(dir)) != NULL) {
		char inner[HOME_PATH_MAX], outer[HOME_PATH_MAX];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(inner, sizeof(inner), "%s/%s", from, entry->d_name) <
			    (int)sizeof(inner) &&
		    snprintf(outer, sizeof(outer), "%s/%s", to, entry->d_name) < (int)sizeof(outer))
			home_link(inner, outer);
	}
}

/* A folder of this name that somebody else made, or that others can enter, is not ours. */
static bool home_is_private(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* Makes or finds the fallback below base. 0 or -errno. */
static int home_make_below(const char *base, char path[HOME_FALLBACK_MAX])
{
	/* The same one at each start, so that it is found again. */
	if (snprintf(path, HOME_FALLBACK_MAX, "%s/agent-home-%u", base, geteuid()) >=
	    HOME_FALLBACK_MAX)
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) == 0 || (errno == EEXIST && home_is_private(path)))
		return 0;
	if (snprintf(path, HOME_FALLBACK_MAX, "%s/agent-home-XXXXXX", base) >= HOME_FALLBACK_MAX)
		return -ENAMETOOLONG;
	return mkdtemp(path) ? 0 : -errno;
}

/* 0: the text is the path. From a child it is the only way to hand it out. */
static int home_make(void *data, struct err *text)
{
	const struct home_request *request = data;
	const char *base = getenv("TMPDIR");
	char path[HOME_FALLBACK_MAX];
	int r = -ENOENT;

	if (base && base[0] == '/')
		r = home_make_below(base, path);
	for (size_t i = 0; r < 0 && i < ARRAY_LEN(home_bases); i++)
		r = home_make_below(home_bases[i], path);
	if (r < 0)
		return err_sys(text, r, "no folder for HOME can be made under /tmp by uid %u",
			       geteuid());
	if (request->first && request->first[0] == '/')
		for (size_t i = 0; i < ARRAY_LEN(home_settings); i++)
			home_link_settings(request->first, path, home_settings[i]);
	return err_set(text, 0, "%s", path);
}

int home_find(const struct privileges_user *user, char ret_home[HOME_PATH_MAX], struct err *err)
{
	const char *candidates[] = { getenv("HOME"), user ? user->home : NULL };
	struct home_request request = { .first = NULL };
	struct err made = { .text = "" };
	struct err why = { .text = "HOME is not set" };
	int r;

	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		struct err refusal;

		request.candidate = candidates[i];
		if (!request.candidate || !request.candidate[0])
			continue;
		r = probe_run(user, home_check, &request, &refusal);
		if (r == 0) {
			(void)snprintf(ret_home, HOME_PATH_MAX, "%s", request.candidate);
			return 0;
		}
		if (!request.first) {
			request.first = request.candidate;
			why = refusal;
		}
	}
	r = probe_run(user, home_make, &request, &made);
	if (r < 0) {
		if (err)
			*err = made;
		return r;
	}
	(void)snprintf(ret_home, HOME_PATH_MAX, "%s", made.text);
	return err_set(err, 1, "%s", why.text);
}
