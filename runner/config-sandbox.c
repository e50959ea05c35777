/* SPDX-License-Identifier: MIT */
#include "runner/config-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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
	bool limits;	       /* even an empty list says something */
	const char *otherwise; /* what holds without one */
} config_sandbox_lists[] = {
	{ "write", CONFIG_SANDBOX_PATH, false, "no more folders" },
	{ "read", CONFIG_SANDBOX_PATH, true, "no limit" },
	{ "connect", CONFIG_SANDBOX_PORT, true, "no limit" },
	{ "bind", CONFIG_SANDBOX_PORT, true, "no limit" },
};

/* As in AGENT_PROTECTION_<NAME>. */
static const char *const config_sandbox_protections[] = {
	"CAPS", "NO_NEW_PRIVS", "UNDUMPABLE", "SECCOMP", "LANDLOCK",
};

static const char *const config_sandbox_modes[] = { "require", "try", "off" };

/* Whose file it is */

int config_sandbox_open(const char *path, bool *ret_is_hosts)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	/* "/x" lies in "/", "x" in ".". */
	cleanup_free char *parent = len > 0 ? strndup(path, len) : strdup(slash ? "/" : ".");
	cleanup_close int folder = -1, fd = -1;
	struct statvfs fs;

	if (!parent)
		return -ENOMEM;
	*ret_is_hosts = false;
	/*
	 * An agent that may write here can put a link in the place of the file, or of its folder, and
	 * lead it to another file that only happens to lie on a read-only mount.
	 */
	folder = open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder >= 0)
		fd = openat(folder, slash ? slash + 1 : path, CONFIG_SANDBOX_FLAGS | O_NOFOLLOW);
	/* Asked of the descriptor: the name may mean another file a moment later. */
	if (fd >= 0)
		*ret_is_hosts = fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY);
	else
		fd = open(path, CONFIG_SANDBOX_FLAGS);
	return fd < 0 ? -errno : steal_fd(&fd);
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

int config_sandbox_set_workspace(struct config_sandbox *sandbox, const char *workspace)
{
	int r = config_sandbox_add(sandbox, "--workspace=%s", workspace);

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
		config_warn(config, "%s: \"%s\" must be an array of %s, found %s: using %s", name,
			    key, noun, json_type_name(value), config_sandbox_lists[list].otherwise);
		return 0;
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
	if (count > 0 || !config_sandbox_lists[list].limits)
		return 0;
	return config_sandbox_add(&config->sandbox, "--%s=none", key);
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

/* The place of a word in a list, whatever its case; its length if it is not there. */
static size_t config_sandbox_find(const char *const *list, size_t len, const char *word)
{
	size_t i = 0;

	while (i < len && (!word || strcasecmp(list[i], word) != 0))
		i++;
	return i;
}

static int config_sandbox_read_protection(struct config *config, const char *name,
					  const char *protection, const json_t *value,
					  unsigned int *seen)
{
	size_t known = config_sandbox_find(config_sandbox_protections,
					   ARRAY_LEN(config_sandbox_protections), protection);
	size_t mode = config_sandbox_find(config_sandbox_modes, ARRAY_LEN(config_sandbox_modes),
					  json_string_value(value));
	char shown[80];

	if (json_is_null(value))
		return 0;
	if (known == ARRAY_LEN(config_sandbox_protections)) {
		config_warn(
			config,
			"%s: \"protections\": there is no protection \"%.32s\", there are caps, "
			"no_new_privs, undumpable, seccomp and landlock: left out",
			name, protection);
		return 0;
	}
	if (mode == ARRAY_LEN(config_sandbox_modes)) {
		config_sandbox_show(value, shown, sizeof(shown));
		config_warn(
			config,
			"%s: \"protections\": %s must be require, try or off, found %s: left out",
			name, protection, shown);
		return 0;
	}
	/* Words are counted: a name that is spelt in many ways has one. */
	if (*seen >> known & 1) {
		config_warn(config, "%s: \"protections\": %s is there already: left out", name,
			    protection);
		return 0;
	}
	*seen |= 1U << known;
	return config_sandbox_add(&config->sandbox, "--protection=%s=%s",
				  config_sandbox_protections[known], config_sandbox_modes[mode]);
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
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(config_sandbox_lists); i++)
		r = config_sandbox_read_list(config, name, i,
					     json_member(value, config_sandbox_lists[i].key));
	if (r == 0)
		r = config_sandbox_read_userns(config, name, json_member(value, "userns"));
	return r < 0 ? r
		     : config_sandbox_read_protections(config, name,
						       json_member(value, "protections"));
}
