/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cli_find_check(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return -EACCES;
	return 0;
}

int cli_find_in_path(const char *name, char **ret_path)
{
	const char *folders = getenv("PATH");

	while (folders && *folders) {
		size_t len = strcspn(folders, ":");
		char *path;

		if (asprintf(&path, "%.*s/%s", len > 0 ? (int)len : 1, len > 0 ? folders : ".",
			     name) < 0)
			return -ENOMEM;
		if (cli_find_check(path) == 0) {
			*ret_path = path;
			return 0;
		}
		free(path);
		folders += len + (folders[len] == ':');
	}
	return -ENOENT;
}
