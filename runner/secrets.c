/* SPDX-License-Identifier: MIT */
#include "runner/secrets.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "runner/provider/registry.h"

struct secrets {
	size_t count;
	char **items; /* "NAME=value" */
};

CLEANUP_DEFINE(secrets, struct secrets *, secrets_free);
#define cleanup_secrets CLEANUP(cleanup_secrets_fn)

/* Do both entries speak of the same variable? */
static bool secrets_same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strcspn(b, "=") == len && strncmp(a, b, len) == 0;
}

static int secrets_add(struct secrets *secrets, const char *entry)
{
	char **items = realloc(secrets->items, (secrets->count + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	secrets->items = items;
	items[secrets->count] = strdup(entry);
	if (!items[secrets->count])
		return -ENOMEM;
	secrets->count++;
	return 0;
}

/* The first one counts, as for getenv(3); further ones of that name are only wiped. */
static int secrets_take_one(struct secrets *secrets, const char *name)
{
	bool is_taken = false;
	int r = 0;

	for (char **entry = environ; entry && *entry; entry++) {
		size_t len = strlen(*entry);

		if (!secrets_same_name(*entry, name) || strlen(name) == len)
			continue;
		if (!is_taken)
			r = secrets_add(secrets, *entry);
		is_taken = true;
		if (r < 0)
			return r;
		/* Where the kernel put it: /proc/PID/environ shows that place, not our list. */
		explicit_bzero(*entry + strlen(name) + 1, len - strlen(name) - 1);
	}
	if (is_taken)
		(void)unsetenv(name);
	return 0;
}

/* What the CLI takes for on, and some more: a word that it does not know hides a key too many. */
static bool secrets_is_on(const char *name)
{
	static const char *const off[] = { "", "0", "false", "no", "off" };
	const char *value = getenv(name);

	for (size_t i = 0; value && i < ARRAY_LEN(off); i++)
		if (strcasecmp(value, off[i]) == 0)
			return false;
	return value != NULL;
}

static bool secrets_is_the_agents(const struct provider_secret *secret)
{
	if (!secret->switches)
		return true;
	for (const char *const *name = secret->switches; *name; name++)
		if (secrets_is_on(*name))
			return true;
	return false;
}

static int secrets_take_all(struct secrets *secrets, const struct provider_secret *list)
{
	int r = 0;

	for (; r == 0 && list && list->name; list++)
		if (secrets_is_the_agents(list))
			r = secrets_take_one(secrets, list->name);
	return r;
}

int secrets_take_shared(struct secrets *secrets, const struct provider_type *type)
{
	return type && type->shares_secrets ? secrets_take_all(secrets, type->secrets) : 0;
}

int secrets_take(struct secrets **ret_secrets)
{
	cleanup_secrets struct secrets *secrets = calloc(1, sizeof(*secrets));
	const struct provider_type *type;

	if (!secrets)
		return -ENOMEM;
	for (size_t i = 0; (type = registry_at(i)); i++) {
		int r = type->shares_secrets ? 0 : secrets_take_all(secrets, type->secrets);

		if (r < 0)
			return r;
	}
	*ret_secrets = steal_ptr(secrets);
	return 0;
}

void secrets_free(struct secrets *secrets)
{
	if (!secrets)
		return;
	for (size_t i = 0; i < secrets->count; i++) {
		explicit_bzero(secrets->items[i], strlen(secrets->items[i]));
		free(secrets->items[i]);
	}
	free(secrets->items);
	free(secrets);
}

static bool secrets_is_named(const char *entry, const char *const *env)
{
	for (; env && *env; env++)
		if (secrets_same_name(entry, *env))
			return true;
	return false;
}

const char **secrets_join(const struct secrets *secrets, const char *const *env)
{
	size_t count = secrets ? secrets->count : 0, used = 0, own = 0;
	const char **list;

	while (env && env[own])
		own++;
	list = calloc(own + count + 1, sizeof(*list));
	if (!list)
		return NULL;
	for (; used < own; used++)
		list[used] = env[used];
	for (size_t i = 0; i < count; i++)
		if (!secrets_is_named(secrets->items[i], env))
			list[used++] = secrets->items[i];
	return list;
}
