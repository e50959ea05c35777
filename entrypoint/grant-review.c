/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant-review.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/hidden.h"
#include "entrypoint/landlock.h"
#include "entrypoint/mounts.h"
#include "entrypoint/policy-files.h"

static const struct {
	int version;
	const char *text;
} grant_review_lacks[] = {
	{ LANDLOCK_VERSION_REFER, "nothing can be moved from one folder to another" },
	{ LANDLOCK_VERSION_SCOPES, "the agent can send signals to the runner" },
};

static void grant_review_kernel(grant_review_fn *say)
{
	int version = landlock_version();
	struct err text;

	for (size_t i = 0; version > 0 && i < ARRAY_LEN(grant_review_lacks); i++) {
		if (version >= grant_review_lacks[i].version)
			continue;
		err_set(&text, 0, "the kernel's Landlock is version %d: %s (%d would mend it)",
			version, grant_review_lacks[i].text, grant_review_lacks[i].version);
		say(LOG_LEVEL_WARNING, text.text);
	}
}

/* Where programs put temporary files, and what they keep. */
static const struct {
	const char *variable;
	const char *otherwise; /* where they do without it; NULL: nowhere */
} grant_review_places[] = {
	{ "TMPDIR", "/tmp" },
	{ "HOME", NULL },
};

static bool grant_review_is_link(const char *path)
{
	cleanup_close int file = grant_open(-1, path);

	return file == -ELOOP;
}

static void grant_review_place(size_t i, const struct hidden *hidden, const char *workspace,
			       grant_review_fn *say)
{
	const char *folder = getenv(grant_review_places[i].variable);
	struct err text;
	struct stat st;

	if (!folder || folder[0] != '/')
		folder = grant_review_places[i].otherwise;
	if (!folder)
		return;
	if (grant_review_is_link(folder)) {
		err_set(&text, 0,
			"%s is %s, which is reached through a link and gives the agent no right: "
			"name the place itself",
			grant_review_places[i].variable, folder);
		say(LOG_LEVEL_WARNING, text.text);
	}
	if (stat(folder, &st) < 0 || !hidden_is_above(hidden, &st))
		return;
	err_set(&text, 0,
		"the workspace %s lies in %s, so the agent can make nothing new there; move it, or "
		"set %s to a folder elsewhere",
		workspace, folder, grant_review_places[i].variable);
	say(LOG_LEVEL_WARNING, text.text);
}

static void grant_review_paths(const struct sandbox_paths *paths, const char *what,
			       grant_review_fn *say)
{
	for (size_t i = 0; i < paths->count; i++) {
		cleanup_close int file = grant_open(-1, paths->items[i]);
		struct err text;

		if (file >= 0)
			continue;
		if (file == -ELOOP)
			err_set(&text, 0,
				"sandbox: %s, which the agent may %s, is reached through a link: "
				"name the place itself",
				paths->items[i], what);
		else
			err_sys(&text, file, "sandbox: %s, which the agent may %s", paths->items[i],
				what);
		say(LOG_LEVEL_WARNING, text.text);
	}
}

/* A link there is not followed: without a word the agent could write nothing. */
static void grant_review_folders(const char *workspace, grant_review_fn *say)
{
	static const char *const names[] = { "agent", "group" };
	char path[PATH_MAX];
	struct err text;
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", workspace, names[i]) >=
			    (int)sizeof(path) ||
		    lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
			continue;
		err_set(&text, 0,
			"%s is a link, which gives the agent no right: mount what it leads to",
			path);
		say(LOG_LEVEL_WARNING, text.text);
	}
}

/* What the kernel makes up, or everybody has; and where who asks waits for ever if a server is gone. */
static const char *const grant_review_left_out[] = {
	"proc",	    "sysfs", "devpts", "mqueue", "cgroup", "cgroup2",
	"devtmpfs", "nfs",   "nfs4",   "cifs",	 "smb3",
};

/* More of them are not named: they would bury the rest of the log. */
#define GRANT_REVIEW_MOUNTS_MAX 8

static bool grant_review_is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return len > 0 && strncmp(path, folder, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

/* Are both in the workspace, or both outside? No folder above it gives rights inside it. */
static bool grant_review_gives(const char *workspace, const char *folder, const char *path)
{
	return grant_review_is_below(path, folder) &&
	       grant_review_is_below(path, workspace) == grant_review_is_below(folder, workspace);
}

/* Does a row let the agent write there? By names: it is for a hint only. */
static bool grant_review_row_gives(const struct grant_request *request,
				   const struct policy_file *row, const char *path)
{
	bool in_workspace = row->base == POLICY_BASE_WORKSPACE;
	const char *value = row->base == POLICY_BASE_VARIABLE ? getenv(row->name) : row->name;
	char folder[PATH_MAX];

	if (row->access != POLICY_ACCESS_WRITE || !value ||
	    !(row->roles & POLICY_ROLE_BIT(POLICY_ROLE_AGENT)) ||
	    (row->when == POLICY_WHEN_NO_SESSION && grant_has_session(request)))
		return false;
	(void)snprintf(folder, sizeof(folder), "%s%s%s", in_workspace ? request->workspace : "",
		       in_workspace && *value ? "/" : "", value);
	return grant_review_gives(request->workspace, folder, path);
}

static bool grant_review_writes(const struct grant_request *request, const char *path)
{
	const struct sandbox_paths *more = request->sandbox ? &request->sandbox->write : NULL;
	const struct policy_file *rows;
	size_t n;

	rows = policy_files(&n);
	for (size_t i = 0; i < n; i++)
		if (grant_review_row_gives(request, &rows[i], path))
			return true;
	for (size_t i = 0; more && i < more->count; i++)
		if (grant_review_gives(request->workspace, more->items[i], path))
			return true;
	return false;
}

/* Can it be written, but not by the agent? */
static bool grant_review_is_withheld(const struct grant_request *request,
				     const struct mounts_entry *entry)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(grant_review_left_out); i++)
		if (strcmp(entry->type, grant_review_left_out[i]) == 0)
			return false;
	return !entry->is_read_only && stat(entry->point, &st) == 0 && S_ISDIR(st.st_mode) &&
	       access(entry->point, W_OK) == 0 &&
	       /* The root and the workspace are no single mounts of the agent's. */
	       !grant_review_is_below(request->workspace, entry->point) &&
	       strcmp(entry->point, "/") != 0 && !grant_review_writes(request, entry->point);
}

static void grant_review_mounts(const struct grant_request *request, const struct mounts *mounts,
				grant_review_fn *say)
{
	int count = 0;

	for (size_t i = 0; i < mounts->count && count < GRANT_REVIEW_MOUNTS_MAX; i++) {
		struct err text;

		if (!grant_review_is_withheld(request, &mounts->entries[i]))
			continue;
		err_set(&text, 0,
			"%s can be written, but not by the agent: \"write\" of the sandbox lets it",
			mounts->entries[i].point);
		say(LOG_LEVEL_INFO, text.text);
		count++;
	}
}

void grant_review(const struct grant_request *request, grant_review_fn *say)
{
	cleanup_free struct hidden *hidden = calloc(1, sizeof(*hidden));
	cleanup_mounts struct mounts mounts = { .count = 0 };

	grant_review_kernel(say);
	/* Without /proc there are none to be seen. */
	(void)mounts_read(&mounts);
	if (hidden && hidden_find(hidden, POLICY_ROLE_AGENT, request->workspace,
				  grant_has_session(request), &mounts) == 0)
		for (size_t i = 0; i < ARRAY_LEN(grant_review_places); i++)
			grant_review_place(i, hidden, request->workspace, say);
	grant_review_folders(request->workspace, say);
	grant_review_mounts(request, &mounts, say);
	if (!request->sandbox)
		return;
	grant_review_paths(&request->sandbox->write, "write", say);
	grant_review_paths(&request->sandbox->read, "read", say);
}
