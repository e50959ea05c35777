/* SPDX-License-Identifier: MIT */
#include "runner/config-server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "runner/io/json.h"

static bool config_server_is_text(const json_t *value)
{
	return json_string_length(value) > 0;
}

static bool config_server_is_transport(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && (strcmp(text, "http") == 0 || strcmp(text, "sse") == 0);
}

static bool config_server_is_strings(const json_t *array)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value) if (!json_is_string(value)) return false;
	return json_is_array(array);
}

static bool config_server_is_variables(const json_t *object)
{
	/* jansson iterates over what it does not change, but takes no const. */
	json_t *variables = (json_t *)(uintptr_t)object;
	const json_t *value;
	const char *name;

	json_object_foreach(variables, name, value) if (!json_is_string(value)) return false;
	return json_is_object(object);
}

/* A server has the first of them, and may have the others. */
static const struct config_server_member {
	const char *name;
	bool (*check)(const json_t *value);
	const char *fault;
} config_server_started[] = {
	{ "command", config_server_is_text, "needs a \"command\" that is a string" },
	{ "args", config_server_is_strings, "needs \"args\" to be an array of strings" },
	{ "env", config_server_is_variables, "needs \"env\" to be an object of strings" },
}, config_server_reached[] = {
	{ "url", config_server_is_text, "needs a \"url\" that is a string" },
	{ "type", config_server_is_transport, "needs \"type\" to be \"http\" or \"sse\"" },
	{ "headers", config_server_is_variables, "needs \"headers\" to be an object of strings" },
};

static int config_server_copy(const json_t *server, const struct config_server_member *members,
			      size_t count, json_t *to, const char **ret_fault)
{
	for (size_t i = 0; i < count; i++) {
		json_t *value = json_member(server, members[i].name);

		if (!value)
			continue;
		if (!members[i].check(value)) {
			*ret_fault = members[i].fault;
			return -EINVAL;
		}
		if (json_object_set(to, members[i].name, value) < 0)
			return -ENOMEM;
	}
	return 0;
}

int config_server_read(const json_t *server, json_t **ret_server, const char **ret_fault)
{
	cleanup_json json_t *copy = json_object();
	int r;

	if (!copy)
		return -ENOMEM;
	if (json_member(server, "command")) {
		r = config_server_copy(server, config_server_started,
				       ARRAY_LEN(config_server_started), copy, ret_fault);
	} else if (json_member(server, "url")) {
		if (json_object_set_new(copy, "type", json_string("http")) < 0)
			return -ENOMEM;
		r = config_server_copy(server, config_server_reached,
				       ARRAY_LEN(config_server_reached), copy, ret_fault);
	} else {
		*ret_fault = json_is_object(server) ? "needs a \"command\" or a \"url\""
						    : "must be an object";
		r = -EINVAL;
	}
	if (r == 0)
		*ret_server = steal_ptr(copy);
	return r;
}
