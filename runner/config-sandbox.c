/* SPDX-License-Identifier: MIT */
#include "runner/config-sandbox.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "runner/config.h"
#include "runner/io/json.h"

#define CONFIG_SANDBOX_PORT_MAX 65535

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
#define CONFIG_SANDBOX_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* What a list holds. */
enum config_sandbox_item {
	CONFIG_SANDBOX_PATH,
	CONFIG_SANDBOX_PORT,
};

static const struct {
	const char *noun;
	const char *must; /* what an item must be */
	size_t max;
} config_sandbox_items[] = {
	[CONFIG_SANDBOX_PATH] = { "paths", "an absolute path without \"..\"",
				  CONFIG_SANDBOX_PATHS_MAX },
	[CONFIG_SANDBOX_PORT] = { "ports", "a port from 1 to 65535", CONFIG_SANDBOX_PORTS_MAX },
};

static const struct {
	const char *key; /* also the option's name */
	enum config_sandbox_item item;
	bool limits; /* even an empty list says something */
} config_sandbox_lists[] = {
	{ "write", CONFIG_SANDBOX_PATH, false },
	{ "read", CONFIG_SANDBOX_PATH, true },
	{ "connect", CONFIG_SANDBOX_PORT, true },
	{ "bind", CONFIG_SANDBOX_PORT, true },
};

static const char *const config_sandbox_others[] = { "userns", "protections" };

static const struct {
	const char *name; /* as in AGENT_PROTECTION_<NAME> */
	bool is_settled;  /* before any file is read */
} config_sandbox_protections[] = {
	{ "CAPS", true },     { "NO_NEW_PRIVS", true }, { "UNDUMPABLE", true },
	{ "SECCOMP", false }, { "LANDLOCK", false },
};

/* What a mode that is none of them stands for is the first. */
static const char *const config_sandbox_modes[] = { "require", "try", "off" };

/* Whose file it is */

/* Opens what is not to be read, so that the caller can see what it is. */
static int config_sandbox_open_file(int folder, const char *name, int flags)
{
	struct stat st;
	int fd;

	/* To open a device can set it off. */
	if (fstatat(folder, name, &st, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) < 0)
		return -errno;
	fd = openat(folder, name,
		    (S_ISREG(st.st_mode) ? CONFIG_SANDBOX_FLAGS : O_PATH | O_CLOEXEC) | flags);
	return fd < 0 ? -errno : fd;
}

static bool config_sandbox_is_link(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

int config_sandbox_open(const char *path, enum config_sandbox_owner *ret_owner)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;
	/* "/x" lies in "/", "x" in ".". */
	cleanup_free char *parent = len > 0 ? strndup(path, len) : strdup(slash ? "/" : ".");
	cleanup_close int folder = -1;
	struct statvfs fs;
	int fd;

	if (!parent)
		return -ENOMEM;
	/*
	 * An agent that may write here can put a link in the place of the file, or of its folder, and
	 * lead it to another file that only happens to lie on a read-only mount.
	 */
	folder = open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || config_sandbox_is_link(folder, name)) {
		*ret_owner = CONFIG_SANDBOX_BEHIND_A_LINK;
		return config_sandbox_open_file(AT_FDCWD, path, 0);
	}
	fd = config_sandbox_open_file(folder, name, O_NOFOLLOW);
	/* Asked of the descriptor: the name may mean another file a moment later. */
	*ret_owner = fd >= 0 && fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY)
			     ? CONFIG_SANDBOX_HOSTS
			     : CONFIG_SANDBOX_AGENTS;
	return fd;
}

/* Words */

static int config_sandbox_add(struct config_sandbox *sandbox, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int config_sandbox_add(struct config_sandbox *sandbox, const char *format, ...)
{
	char *word;
	va_list args;
	int n;

	if (sandbox->count == CONFIG_SANDBOX_WORDS_MAX)
		return -ENOMEM;
	va_start(args, format);
	n = vasprintf(&word, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	sandbox->words[sandbox->count++] = word;
	return 0;
}

int config_sandbox_set_workspace(struct config_sandbox *sandbox, const char *workspace,
				 bool is_shared)
{
	int r = config_sandbox_add(sandbox, "--workspace=%s", workspace);

	if (r == 0 && is_shared)
		r = config_sandbox_add(sandbox, "--session");
	/* Who runs as root does so by the host's leave, and confine would look for another user. */
	if (r == 0 && geteuid() == 0)
		r = config_sandbox_add(sandbox, "--allow-root");
	/* Else a child would read our configuration once more. */
	return r < 0 ? r : config_sandbox_add(sandbox, "--complete");
}

void config_sandbox_deinit(struct config_sandbox *sandbox)
{
	for (size_t i = 0; i < sandbox->count; i++)
		free(sandbox->words[i]);
	*sandbox = (struct config_sandbox){ .count = 0 };
}

/* Does ".." occur as a part of the path? */
static bool config_sandbox_climbs(const char *path)
{
	for (const char *part = path; *part; part += strspn(part, "/")) {
		size_t len = strcspn(part, "/");

		if (len == 2 && strncmp(part, "..", 2) == 0)
			return true;
		part += len;
	}
	return false;
}

static bool config_sandbox_is_path(const json_t *value)
{
	const char *path = json_string_value(value);

	return path && *path == '/' && strlen(path) == json_string_length(value) &&
	       strlen(path) < PATH_MAX && !config_sandbox_climbs(path);
}

static bool config_sandbox_is_port(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 1 &&
	       json_integer_value(value) <= CONFIG_SANDBOX_PORT_MAX;
}

/* What was found instead, for a warning. */
static void config_sandbox_show(const json_t *value, char *text, size_t size)
{
	if (json_is_string(value))
		(void)snprintf(text, size, "\"%.64s\"", json_string_value(value));
	else if (json_is_integer(value))
		(void)snprintf(text, size, "%lld", (long long)json_integer_value(value));
	else
		(void)snprintf(text, size, "%s", json_type_name(value));
}

/* 1: the item's word was added; 0: it is left out; or -ENOMEM. */
static int config_sandbox_read_item(struct config *config, const char *name, size_t list,
				    const json_t *value)
{
	enum config_sandbox_item item = config_sandbox_lists[list].item;
	const char *key = config_sandbox_lists[list].key;
	char shown[80];
	int r;

	if (item == CONFIG_SANDBOX_PATH ? !config_sandbox_is_path(value)
					: !config_sandbox_is_port(value)) {
		config_sandbox_show(value, shown, sizeof(shown));
		config_warn(config, "%s: \"%s\" must hold %s each, found %s: left out", name, key,
			    config_sandbox_items[item].must, shown);
		return 0;
	}
	r = item == CONFIG_SANDBOX_PATH
		    ? config_sandbox_add(&config->sandbox, "--%s=%s", key, json_string_value(value))
		    : config_sandbox_add(&config->sandbox, "--%s=%lld", key,
					 (long long)json_integer_value(value));
	return r < 0 ? r : 1;
}

/* A list that was given, and of which count items are left, limits to these. 0 or -ENOMEM. */
static int config_sandbox_end_list(struct config *config, size_t list, size_t count)
{
	if (count > 0 || !config_sandbox_lists[list].limits)
		return 0;
	return config_sandbox_add(&config->sandbox, "--%s=none", config_sandbox_lists[list].key);
}

static int config_sandbox_read_list(struct config *config, const char *name, size_t list,
				    const json_t *value)
{
	const char *key = config_sandbox_lists[list].key;
	const char *noun = config_sandbox_items[config_sandbox_lists[list].item].noun;
	size_t max = config_sandbox_items[config_sandbox_lists[list].item].max, i, count = 0;
	const json_t *item;

	if (!value)
		return 0;
	if (!json_is_array(value)) {
		config_warn(config, "%s: \"%s\" must be an array of %s, found %s: using none", name,
			    key, noun, json_type_name(value));
		return config_sandbox_end_list(config, list, 0);
	}
	json_array_foreach(value, i, item)
	{
		int r;

		if (count == max) {
			config_warn(config,
				    "%s: \"%s\" holds more than %zu %s: the rest is left out", name,
				    key, max, noun);
			break;
		}
		r = config_sandbox_read_item(config, name, list, item);
		if (r < 0)
			return r;
		count += (size_t)r;
	}
	return config_sandbox_end_list(config, list, count);
}

static int config_sandbox_read_userns(struct config *config, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);
	char shown[80];

	if (!value || (text && strcmp(text, "deny") == 0))
		return 0;
	if (text && strcmp(text, "allow") == 0)
		return config_sandbox_add(&config->sandbox, "--userns");
	config_sandbox_show(value, shown, sizeof(shown));
	config_warn(config, "%s: \"userns\" must be allow or deny, found %s: using deny", name,
		    shown);
	return 0;
}

/* The place in its table, whatever the case; the table's length if it is not there. */
static size_t config_sandbox_find_protection(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(config_sandbox_protections) &&
	       strcasecmp(config_sandbox_protections[i].name, name) != 0)
		i++;
	return i;
}

static size_t config_sandbox_find_mode(const json_t *value)
{
	const char *word = json_string_value(value);
	size_t i = 0;

	while (i < ARRAY_LEN(config_sandbox_modes) &&
	       (!word || strcasecmp(config_sandbox_modes[i], word) != 0))
		i++;
	return i;
}

static void config_sandbox_warn_unknown(struct config *config, const char *name,
					const char *protection)
{
	char names[80] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(config_sandbox_protections); i++) {
		const char *next = config_sandbox_protections[i].name;

		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s",
					 i > 0 ? ", " : "");
		for (; *next && used + 1 < sizeof(names); next++)
			names[used++] = (char)tolower((unsigned char)*next);
		names[used] = '\0';
	}
	config_warn(config,
		    "%s: \"protections\": there is no protection \"%.32s\": left out; there are %s",
		    name, protection, names);
}

static int config_sandbox_read_protection(struct config *config, const char *name,
					  const char *protection, const json_t *value,
					  unsigned int *seen)
{
	size_t known = config_sandbox_find_protection(protection);
	size_t mode = config_sandbox_find_mode(value);
	char shown[80];

	if (json_is_null(value))
		return 0;
	if (known == ARRAY_LEN(config_sandbox_protections)) {
		config_sandbox_warn_unknown(config, name, protection);
		return 0;
	}
	/* Words are counted: a name that is spelt in many ways has one. */
	if (*seen >> known & 1) {
		config_warn(config, "%s: \"protections\": %s is there already: left out", name,
			    protection);
		return 0;
	}
	*seen |= 1U << known;
	if (mode == ARRAY_LEN(config_sandbox_modes)) {
		mode = 0;
		config_sandbox_show(value, shown, sizeof(shown));
		config_warn(config,
			    "%s: \"protections\": %s must be require, try or off, found %s: using "
			    "require",
			    name, protection, shown);
	}
	if (mode > 0 && config_sandbox_protections[known].is_settled) {
		config_warn(config,
			    "%s: \"protections\": %s is settled before this is read: %s changes "
			    "nothing for the agent",
			    name, protection, config_sandbox_modes[mode]);
		return 0;
	}
	return config_sandbox_add(&config->sandbox, "--protection=%s=%s",
				  config_sandbox_protections[known].name,
				  config_sandbox_modes[mode]);
}

static int config_sandbox_read_protections(struct config *config, const char *name,
					   const json_t *value)
{
	/* jansson iterates over what it may change. */
	json_t *object = json_incref((json_t *)(uintptr_t)value), *mode;
	const char *protection;
	unsigned int seen = 0;
	int r = 0;

	if (object && !json_is_object(object))
		config_warn(config, "%s: \"protections\" must be an object, found %s: left out",
			    name, json_type_name(object));
	json_object_foreach(object, protection, mode)
	{
		if (r == 0)
			r = config_sandbox_read_protection(config, name, protection, mode, &seen);
	}
	json_decref(object);
	return r;
}

static bool config_sandbox_is_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(config_sandbox_lists); i++)
		if (strcmp(config_sandbox_lists[i].key, key) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(config_sandbox_others); i++)
		if (strcmp(config_sandbox_others[i], key) == 0)
			return true;
	return false;
}

/* A misspelt limit is none: whoever wrote it has to hear of it. */
static void config_sandbox_warn_keys(struct config *config, const char *name, const json_t *value)
{
	/* jansson iterates over what it may change. */
	json_t *object = json_incref((json_t *)(uintptr_t)value), *member;
	const char *key;

	json_object_foreach(object, key, member)
	{
		if (!config_sandbox_is_key(key))
			config_warn(config, "%s: there is no key \"%.64s\": left out", name, key);
	}
	json_decref(object);
}

int config_sandbox_read(struct config *config, const char *name, const json_t *value)
{
	int r = 0;

	if (!value)
		return 0;
	if (!json_is_object(value)) {
		config_warn(config, "%s: must be an object, found %s: left out", name,
			    json_type_name(value));
		return 0;
	}
	config_sandbox_warn_keys(config, name, value);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(config_sandbox_lists); i++)
		r = config_sandbox_read_list(config, name, i,
					     json_member(value, config_sandbox_lists[i].key));
	if (r == 0)
		r = config_sandbox_read_userns(config, name, json_member(value, "userns"));
	return r < 0 ? r
		     : config_sandbox_read_protections(config, name,
						       json_member(value, "protections"));
}
