#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One MCP server of container.json. An agent CLI may refuse a whole list for one server that it does
 * not understand, and then not start at all: so only what is known here is handed on, and well
 * formed.
 */
#include <jansson.h>

/*
 * {command, args, env} of a server that the agent starts, or {type, url, headers} of one that it
 * reaches; type is "http" if none is given, other members are left out. 0 with a new reference;
 * -EINVAL: *ret_fault says what is wrong, as the rest of a sentence; -ENOMEM.
 */
int config_server_read(const json_t *server, json_t **ret_server, const char **ret_fault);
