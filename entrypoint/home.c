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
#include "entrypoint/own-folder.h"
#include "entrypoint/probe.h"

/* What the tools of an agent look for in HOME. */
static const char *const home_settings[] = {
	".aws",	   ".claude",	 ".claude.json", ".codex", ".config", ".copilot",
	".gemini", ".gitconfig", ".kiro",	 ".netrc", ".npmrc",  ".ssh",
};

struct home_request {
	const char *workspace; /* a session's, or NULL */
	const char *first;     /* the HOME that should have been it; its settings are linked */
	const char *candidate;
};

/* 0: it can be HOME; 1 with a text: the agent could make nothing in it; -errno with a text. */
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
	if (request->workspace && own_folder_holds(path, request->workspace))
		return err_set(err, 1, "%s holds the workspace, whose files are guarded", path);
	return 0;
}

/* Is it a folder in which the host may have mounted something? "/" is a runtime's word for none. */
static int home_check_meant(void *data, struct err *err)
{
	const struct home_request *request = data;
	cleanup_close int fd = request->first ? own_folder_open(request->first) : -ENOENT;
	struct stat st, root;

	if (fd < 0 || fstat(fd, &st) < 0 || stat("/", &root) < 0)
		return err_set(err, -ENOENT, "there is none");
	if (st.st_dev == root.st_dev && st.st_ino == root.st_ino)
		return err_set(err, -ENOENT, "it is the root");
	return 0;
}

/*
 * Links are only made where nothing is, so what was put there stays; but for a link that leads to
 * nothing any more: nobody could make a file of that name.
 */
static void home_link(const char *from, int folder, const char *name)
{
	struct stat st;

	if (stat(from, &st) < 0)
		return;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
	    fstatat(folder, name, &st, 0) < 0 && errno == ENOENT)
		(void)unlinkat(folder, name, 0);
	if (symlinkat(from, folder, name) < 0 && errno != EEXIST)
		log_info("cannot link %s into HOME: %s", from, strerror(errno));
}

/*
 * A folder that cannot be written (credentials mounted read-only) is made anew with links to what
 * is in it, so that its program can write beside them.
 */
static void home_link_settings(const char *first, int home, const char *name)
{
	char from[HOME_PATH_MAX];
	cleanup_closedir DIR *dir = NULL;
	cleanup_close int made = -1;
	const struct dirent *entry;

	if (snprintf(from, sizeof(from), "%s/%s", first, name) >= (int)sizeof(from))
		return;
	dir = opendir(from);
	/* Another user's, who lets nobody in: nothing in it is for us, and a program may need the name. */
	if (!dir && errno == EACCES && faccessat(AT_FDCWD, from, X_OK, AT_EACCESS) < 0)
		return;
	if (!dir || faccessat(AT_FDCWD, from, W_OK | X_OK, AT_EACCESS) == 0) {
		home_link(from, home, name);
		return;
	}
	if (mkdirat(home, name, 0700) < 0)
		return;
	made = openat(home, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	while (made >= 0 && (entry = readdir(dir)) != NULL) {
		char inner[HOME_PATH_MAX];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(inner, sizeof(inner), "%s/%s", from, entry->d_name) <
		    (int)sizeof(inner))
			home_link(inner, made, entry->d_name);
	}
}

static void home_link_all(const struct home_request *request, int home)
{
	if (home < 0 || !request->first || request->first[0] != '/')
		return;
	for (size_t i = 0; i < ARRAY_LEN(home_settings); i++)
		home_link_settings(request->first, home, home_settings[i]);
}

/* 0: the text is the path. */
static int home_make(void *data, struct err *text)
{
	char path[OWN_FOLDER_PATH_MAX];
	cleanup_close int home = -1;
	int r = own_folder_make("home", path, text);

	if (r < 0)
		return err_prefix(text, r, "HOME");
	home = own_folder_open(path);
	home_link_all(data, home);
	return err_set(text, 0, "%s", path);
}

/* An agent can have put something else in its place, or have locked itself out. */
static int home_take_inside(int home, const char *workspace, struct err *err)
{
	char path[32];
	struct stat st;

	if (home < 0 || fstat(home, &st) < 0)
		return err_sys(err, -errno, "%s/" HOME_INSIDE, workspace);
	if (st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s/" HOME_INSIDE " belongs to uid %u", workspace,
			       st.st_uid);
	/* fchmod(2) refuses O_PATH. Some mounts have modes of their own, which may do. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", home);
	if ((st.st_mode & ALLPERMS) != 0700)
		(void)chmod(path, 0700);
	if (faccessat(home, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(err, -errno, "%s/" HOME_INSIDE, workspace);
	return 0;
}

static int home_make_inside(void *data, struct err *err)
{
	const struct home_request *request = data;
	cleanup_close int folder = open(request->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int home = -1;
	int r;

	if (folder < 0 || (mkdirat(folder, HOME_INSIDE, 0700) < 0 && errno != EEXIST))
		return err_sys(err, -errno, "%s/" HOME_INSIDE, request->workspace);
	home = openat(folder, HOME_INSIDE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = home_take_inside(home, request->workspace, err);
	if (r == 0)
		home_link_all(request, home);
	return r;
}

/* Makes a HOME of our own: in the workspace, if that may be, else under /tmp. 0 or -errno. */
static int home_replace(const struct home_spec *spec, struct home_request *request,
			struct home *home, struct err *why)
{
	struct err made = { .text = "" };
	int r;

	if (probe_run(spec->user, home_check_meant, request, &made) == 0)
		(void)snprintf(home->meant, sizeof(home->meant), "%s", request->first);
	if (request->workspace) {
		r = probe_run(spec->user, home_make_inside, request, &made);
		if (r == 0 && snprintf(home->path, sizeof(home->path), "%s/" HOME_INSIDE,
				       request->workspace) < (int)sizeof(home->path))
			return 0;
		/* It is what can be mended. */
		*why = made;
	}
	r = probe_run(spec->user, home_make, request, &made);
	(void)snprintf(home->path, sizeof(home->path), "%s", made.text);
	if (r < 0)
		*why = made;
	return r;
}

int home_find(const struct home_spec *spec, struct home *ret_home, struct err *err)
{
	const char *candidates[] = { getenv("HOME"), spec->user ? spec->user->home : NULL };
	struct home_request request = { .workspace = spec->workspace };
	struct err why = { .text = "HOME is not set" }, ignored;
	struct home home = { .meant = "" };
	bool is_inside = false;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(candidates) && !is_inside; i++) {
		struct err refusal;

		request.candidate = candidates[i];
		if (!request.candidate || !request.candidate[0])
			continue;
		r = probe_run(spec->user, home_check, &request, &refusal);
		if (r == 0) {
			(void)snprintf(home.path, sizeof(home.path), "%s", request.candidate);
			*ret_home = home;
			return 0;
		}
		is_inside = r > 0;
		/* What does not exist says nothing of what the host meant, if another does. */
		if (!request.first || (is_inside && probe_run(spec->user, home_check_meant,
							      &request, &ignored) < 0)) {
			request.first = request.candidate;
			why = refusal;
		}
	}
	if (!is_inside || spec->workspace[0] != '/')
		request.workspace = NULL;
	r = home_replace(spec, &request, &home, &why);
	if (r < 0)
		return err_set(err, r, "%s", why.text);
	*ret_home = home;
	return err_set(err, 1, "%s", why.text);
}
