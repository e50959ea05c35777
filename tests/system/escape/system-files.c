/* SPDX-License-Identifier: MIT */
/* What programs of others trust: folders of PATH, system files, and the runner's own binary. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#define RUNNER "/usr/local/bin/agent-runner"

static struct outcome path_folder(const struct scene *scene)
{
	(void)scene;
	return attempt_create("/usr/local/bin/escape-git", "#!/bin/sh\n");
}

static struct outcome library_folder(const struct scene *scene)
{
	(void)scene;
	return attempt_create("/usr/lib/escape.so", "x");
}

static struct outcome write_runner(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite(RUNNER);
}

static struct outcome rename_runner(const struct scene *scene)
{
	(void)scene;
	if (rename(RUNNER, RUNNER ".escaped") < 0)
		return outcome_failed("rename");
	if (rename(RUNNER ".escaped", RUNNER) < 0)
		return outcome_succeeded("taken away, and not undone");
	return outcome_succeeded("taken away, and put back");
}

static struct outcome write_passwd(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite("/etc/passwd");
}

static struct outcome read_shadow(const struct scene *scene)
{
	char text[256];

	(void)scene;
	if (attempt_read("/etc/shadow", text, sizeof(text)) < 0)
		return outcome_failed("/etc/shadow");
	return strchr(text, ':') ? outcome_succeeded("read") : outcome_denied("nothing in it");
}

static struct outcome ld_so_preload(const struct scene *scene)
{
	(void)scene;
	/* Empty: until it is removed again, every program that starts would load what it names. */
	if (attempt_write("/etc/ld.so.preload", O_CREAT | O_EXCL, "") < 0)
		return outcome_failed("/etc/ld.so.preload");
	return outcome_of(unlink("/etc/ld.so.preload"), "made");
}

static struct outcome profile_folder(const struct scene *scene)
{
	(void)scene;
	return attempt_create("/etc/profile.d/escape.sh", "true\n");
}

static struct outcome other_home(const struct scene *scene)
{
	(void)scene;
	return attempt_create("/root/.escape", "true\n");
}

static struct outcome root_folder(const struct scene *scene)
{
	(void)scene;
	return attempt_create("/escape-in-root", "x");
}

const struct attempt attempts_system_files[] = {
	{ "path-folder", "put a program into /usr/local/bin", path_folder },
	{ "library-folder", "put a library into /usr/lib", library_folder },
	{ "write-runner", "write the binary of agent-runner", write_runner },
	{ "rename-runner", "rename the binary of agent-runner", rename_runner },
	{ "write-passwd", "write /etc/passwd", write_passwd },
	{ "read-shadow", "read /etc/shadow", read_shadow },
	{ "ld-so-preload", "make /etc/ld.so.preload", ld_so_preload },
	{ "profile-folder", "put a script into /etc/profile.d", profile_folder },
	{ "other-home", "make a file in root's home", other_home },
	{ "root-folder", "make a file in /", root_folder },
	{ NULL, NULL, NULL },
};
