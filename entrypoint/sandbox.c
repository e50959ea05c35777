/* SPDX-License-Identifier: MIT */
#include "entrypoint/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/number.h"

/* The value that gives an empty list. */
#define SANDBOX_NONE	 "none"

#define SANDBOX_PORT_MAX 65535

int sandbox_add_path(struct sandbox_paths *paths, const char *value, struct err *err)
{
	paths->is_given = true;
	if (strcmp(value, SANDBOX_NONE) == 0)
		return 0;
	if (*value != '/')
		return err_set(err, -EINVAL, "\"%s\" is no absolute path", value);
	if (paths->count == SANDBOX_PATHS_MAX)
		return err_set(err, -EINVAL, "more than %d paths", SANDBOX_PATHS_MAX);
	paths->items[paths->count++] = value;
	return 0;
}

int sandbox_add_port(struct sandbox_ports *ports, const char *value, struct err *err)
{
	int64_t port;

	ports->is_given = true;
	if (strcmp(value, SANDBOX_NONE) == 0)
		return 0;
	if (number_parse_int(value, 0, SANDBOX_PORT_MAX, &port) < 0)
		return err_set(err, -EINVAL, "\"%s\" is no port from 0 to %d", value,
			       SANDBOX_PORT_MAX);
	if (ports->count == SANDBOX_PORTS_MAX)
		return err_set(err, -EINVAL, "more than %d ports", SANDBOX_PORTS_MAX);
	ports->items[ports->count++] = (uint16_t)port;
	return 0;
}

static int sandbox_refuse_name(const char *prefix, const char *name, int len, struct err *err)
{
	char names[128] = "";
	size_t used = 0;

	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++) {
		const char *between = i == 0				 ? ""
				      : i == POLICY_PROTECTION_COUNT - 1 ? " and "
									 : ", ";
		int n = snprintf(names + used, sizeof(names) - used, "%s%s", between,
				 policy_protection((enum policy_protection)i)->name);

		used += (size_t)n < sizeof(names) - used ? (size_t)n : 0;
	}
	return err_set(err, -EINVAL, "%s%.*s: there is no such protection; there are %s", prefix,
		       len, name, names);
}

int sandbox_read_mode(const char *prefix, const char *text, enum policy_protection *ret_protection,
		      enum policy_mode *ret_mode, struct err *err)
{
	size_t len = strcspn(text, "=");

	if (policy_find_protection(text, len, ret_protection) < 0)
		return sandbox_refuse_name(prefix, text, (int)len, err);
	if (text[len] == '=' && policy_find_mode(text + len + 1, ret_mode) == 0)
		return 0;
	return err_set(err, -EINVAL, "%s%s: the value is require, try or off", prefix, text);
}

int sandbox_set_mode(struct sandbox *sandbox, const char *value, struct err *err)
{
	enum policy_protection protection;
	enum policy_mode mode;
	int r = sandbox_read_mode("", value, &protection, &mode, err);

	if (r < 0)
		return r;
	sandbox->modes[protection] = mode;
	sandbox->has_mode[protection] = true;
	return 0;
}

static int sandbox_join_paths(struct sandbox_paths *paths, const struct sandbox_paths *over,
			      struct err *err)
{
	if (paths->count + over->count > SANDBOX_PATHS_MAX)
		return err_set(err, -EINVAL, "more than %d paths", SANDBOX_PATHS_MAX);
	paths->is_given |= over->is_given;
	for (size_t i = 0; i < over->count; i++)
		paths->items[paths->count++] = over->items[i];
	return 0;
}

static int sandbox_join_ports(struct sandbox_ports *ports, const struct sandbox_ports *over,
			      struct err *err)
{
	if (ports->count + over->count > SANDBOX_PORTS_MAX)
		return err_set(err, -EINVAL, "more than %d ports", SANDBOX_PORTS_MAX);
	ports->is_given |= over->is_given;
	for (size_t i = 0; i < over->count; i++)
		ports->items[ports->count++] = over->items[i];
	return 0;
}

int sandbox_add(struct sandbox *sandbox, const struct sandbox *over, struct err *err)
{
	int r = sandbox_join_paths(&sandbox->write, &over->write, err);

	if (r == 0)
		r = sandbox_join_paths(&sandbox->read, &over->read, err);
	if (r == 0)
		r = sandbox_join_ports(&sandbox->connect, &over->connect, err);
	if (r == 0)
		r = sandbox_join_ports(&sandbox->bind, &over->bind, err);
	if (r < 0)
		return r;
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++)
		if (over->has_mode[i]) {
			sandbox->modes[i] = over->modes[i];
			sandbox->has_mode[i] = true;
		}
	sandbox->allows_namespaces |= over->allows_namespaces;
	sandbox->is_session |= over->is_session;
	return 0;
}

bool sandbox_narrows(const struct sandbox *sandbox)
{
	return sandbox->read.is_given || sandbox->connect.is_given || sandbox->bind.is_given;
}
