/* SPDX-License-Identifier: MIT */
#include "runner/mcp/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"

/* As each program documents it; a store is a file, or a folder with all that is in it. */
static const struct {
	const char *variable; /* in the environment: names the folder; NULL: path is absolute */
	const char *path;     /* below it; "": what the variable names is the store */
	bool is_list;	      /* the variable names many, separated by colons */
} credentials_rows[] = {
	/* Agents */
	{ "CLAUDE_CONFIG_DIR", ".claude.json" },
	{ "CLAUDE_CONFIG_DIR", ".credentials.json" },
	{ "CODEX_HOME", "auth.json" },
	{ "HOME", ".claude.json" },
	{ "HOME", ".claude/.credentials.json" },
	{ "HOME", ".codex/auth.json" },
	{ "HOME", ".config/anthropic" },
	{ "HOME", ".config/github-copilot" },
	{ "HOME", ".copilot" },
	{ "HOME", ".gemini/oauth_creds.json" },
	{ "HOME", ".kiro" },
	{ "HOME", ".local/share/amazon-q" },
	{ "HOME", ".local/share/kiro-cli" },
	{ "HOME", ".local/share/opencode/auth.json" },

	/* Clouds */
	{ "AWS_CONFIG_FILE", "" },
	{ "AWS_SHARED_CREDENTIALS_FILE", "" },
	{ "AWS_WEB_IDENTITY_TOKEN_FILE", "" },
	{ "AZURE_CONFIG_DIR", "" },
	{ "CLOUDSDK_CONFIG", "" },
	{ "GOOGLE_APPLICATION_CREDENTIALS", "" },
	{ "HOME", ".aws" },
	{ "HOME", ".azure" },
	{ "HOME", ".boto" },
	{ "HOME", ".config/gcloud" },
	{ "HOME", ".config/rclone" },
	{ "HOME", ".s3cfg" },
	{ "HOME", ".terraform.d/credentials.tfrc.json" },
	{ "HOME", ".vault-token" },

	/* Containers */
	{ "DOCKER_CONFIG", "config.json" },
	{ "HOME", ".config/containers/auth.json" },
	{ "HOME", ".docker/config.json" },
	{ "HOME", ".kube" },
	{ "KUBECONFIG", "", true },
	{ "REGISTRY_AUTH_FILE", "" },
	{ NULL, "/run/secrets" },
	{ NULL, "/var/run/secrets" },

	/* Code and packages */
	{ "GH_CONFIG_DIR", "hosts.yml" },
	{ "HOME", ".cargo/credentials" },
	{ "HOME", ".cargo/credentials.toml" },
	{ "HOME", ".config/gh" },
	{ "HOME", ".config/git/credentials" },
	{ "HOME", ".config/glab-cli" },
	{ "HOME", ".config/hub" },
	{ "HOME", ".git-credentials" },
	{ "HOME", ".npmrc" },
	{ "HOME", ".pypirc" },
	{ "HOME", ".yarnrc.yml" },
	{ "NPM_CONFIG_USERCONFIG", "" },
	{ "npm_config_userconfig", "" },

	/* Keys and passwords */
	{ "GNUPGHOME", "" },
	{ "HOME", ".config/op" },
	{ "HOME", ".gnupg" },
	{ "HOME", ".local/share/keyrings" },
	{ "HOME", ".my.cnf" },
	{ "HOME", ".netrc" },
	{ "HOME", ".password-store" },
	{ "HOME", ".pgpass" },
	{ "HOME", ".ssh" },
	{ "NETRC", "" },
	{ "PASSWORD_STORE_DIR", "" },
	{ "PGPASSFILE", "" },
};

/*
 * The store of row i that its variable names from base on, with *ret_len bytes of it. 0; 1: it names
 * none there; -ENAMETOOLONG.
 */
static int credentials_path(size_t i, const char *base, size_t *ret_len, char path[PATH_MAX])
{
	const char *below = credentials_rows[i].path;
	size_t len = credentials_rows[i].is_list ? strcspn(base, ":") : strlen(base);

	*ret_len = len;
	if (credentials_rows[i].variable && base[0] != '/')
		return 1;
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	return snprintf(path, PATH_MAX, "%.*s%s%s", (int)len, base,
			credentials_rows[i].variable && below[0] ? "/" : "", below) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

/*
 * A path and its own end of the real one: they may lie on a file system that does not tell capital
 * letters from small ones.
 */
static int credentials_is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 1 && folder[len - 1] == '/')
		len--;
	return strncasecmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* 1, 0 or -errno. */
static int credentials_is_in(const char *store, const char *real_path, const struct stat *st)
{
	char real_store[PATH_MAX];
	struct stat own;

	if (credentials_is_below(real_path, store))
		return 1;
	/* Who cannot be asked has nothing that can be opened, nor has who is not there. */
	if (stat(store, &own) < 0 || !realpath(store, real_store))
		return 0;
	if (S_ISREG(own.st_mode) && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
		return 1;
	/* Of a HOME that was made for want of a better one they are links. */
	return credentials_is_below(real_path, real_store);
}

/* Is it in one of the stores of row i? 1, 0 or -errno. */
static int credentials_is_of_row(size_t i, const char *real_path, const struct stat *st)
{
	const char *variable = credentials_rows[i].variable;
	const char *base = variable ? getenv(variable) : "";
	char store[PATH_MAX];

	while (base) {
		size_t len;
		int r = credentials_path(i, base, &len, store);

		if (r == 0)
			r = credentials_is_in(store, real_path, st);
		else if (r > 0)
			r = 0;
		if (r != 0)
			return r;
		base = base[len] ? base + len + 1 : NULL;
	}
	return 0;
}

int credentials_find(const char *real_path, const struct stat *st, char *name, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(credentials_rows); i++) {
		const char *variable = credentials_rows[i].variable;
		int r = credentials_is_of_row(i, real_path, st);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		if (variable && strcmp(variable, "HOME") == 0)
			(void)snprintf(name, size, "~/%s", credentials_rows[i].path);
		else
			(void)snprintf(name, size, "%s%s%s%s", variable ? "$" : "",
				       variable ? variable : "",
				       variable && credentials_rows[i].path[0] ? "/" : "",
				       credentials_rows[i].path);
		return 1;
	}
	return 0;
}
