/* SPDX-License-Identifier: MIT */
#include "entrypoint/grant-review.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/hidden.h"
#include "entrypoint/landlock.h"

static const struct {
	int version;
	const char *text;
} grant_review_lacks[] = {
	{ LANDLOCK_VERSION_REFER, "nothing can be moved from one folder to another" },
	{ LANDLOCK_VERSION_SCOPES, "the agent can send signals to the runner" },
};

static void grant_review_kernel(void (*say)(const char *text))
{
	int version = landlock_version();
	struct err text;

	for (size_t i = 0; version > 0 && i < ARRAY_LEN(grant_review_lacks); i++) {
		if (version >= grant_review_lacks[i].version)
			continue;
		err_set(&text, 0, "the kernel's Landlock is version %d: %s (%d would mend it)",
			version, grant_review_lacks[i].text, grant_review_lacks[i].version);
		say(text.text);
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

static void grant_review_place(size_t i, const struct hidden *hidden, const char *workspace,
			       void (*say)(const char *text))
{
	const char *folder = getenv(grant_review_places[i].variable);
	struct err text;
	struct stat st;

	if (!folder || folder[0] != '/')
		folder = grant_review_places[i].otherwise;
	if (!folder || stat(folder, &st) < 0 || !hidden_is_above(hidden, &st))
		return;
	err_set(&text, 0,
		"the workspace %s lies in %s, so the agent can make nothing new there; move it, or "
		"set %s to a folder elsewhere",
		workspace, folder, grant_review_places[i].variable);
	say(text.text);
}

static void grant_review_paths(const struct sandbox_paths *paths, const char *what,
			       void (*say)(const char *text))
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
		say(text.text);
	}
}

/* A link there is not followed: without a word the agent could write nothing. */
static void grant_review_folders(const char *workspace, void (*say)(const char *text))
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
		say(text.text);
	}
}

void grant_review(const struct grant_request *request, void (*say)(const char *text))
{
	cleanup_free struct hidden *hidden = calloc(1, sizeof(*hidden));

	grant_review_kernel(say);
	if (hidden && hidden_find(hidden, POLICY_ROLE_AGENT, request->workspace,
				  grant_has_session(request)) == 0)
		for (size_t i = 0; i < ARRAY_LEN(grant_review_places); i++)
			grant_review_place(i, hidden, request->workspace, say);
	grant_review_folders(request->workspace, say);
	if (!request->sandbox)
		return;
	grant_review_paths(&request->sandbox->write, "write", say);
	grant_review_paths(&request->sandbox->read, "read", say);
}
