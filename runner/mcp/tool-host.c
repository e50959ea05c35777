/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-host.h"

#include <stdbool.h>
#include <string.h>

#include "common/quote.h"
#include "runner/io/json.h"
#include "runner/mcp/tool-row.h"

/* More packages than this at once are not asked for: somebody has to read and to approve them. */
#define TOOL_HOST_PACKAGES_MAX 20

/* The longest name in bytes: npm's own limit for packages, and one for what we show in chats. */
#define TOOL_HOST_PACKAGE_MAX 214
#define TOOL_HOST_NAME_MAX    64

#define LETTERS		      "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS	      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS		      "0123456789"

/* Does a word of len bytes begin with one of first, and go on with those of rest only? */
static bool tool_host_is_word(const char *word, size_t len, const char *first, const char *rest)
{
	return len > 0 && strchr(first, word[0]) && strspn(word + 1, rest) >= len - 1;
}

static bool tool_host_is_apt(const char *name)
{
	return tool_host_is_word(name, strlen(name), LETTERS DIGITS, LETTERS DIGITS "._+-");
}

static bool tool_host_is_npm_word(const char *word, size_t len)
{
	return tool_host_is_word(word, len, LETTERS DIGITS, LETTERS DIGITS "._-");
}

/* name or @scope/name */
static bool tool_host_is_npm(const char *name)
{
	const char *slash = strchr(name, '/');

	if (name[0] != '@')
		return tool_host_is_npm_word(name, strlen(name));
	return slash && tool_host_is_npm_word(name + 1, (size_t)(slash - name - 1)) &&
	       tool_host_is_npm_word(slash + 1, strlen(slash + 1));
}

/* It becomes part of the names of tools, where agents allow no more than this. */
static bool tool_host_is_server(const char *name)
{
	return tool_host_is_word(name, strlen(name), LETTERS CAPITALS DIGITS,
				 LETTERS CAPITALS DIGITS "_-");
}

static bool tool_host_is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Are all of them names of packages? If one is not the call has ended. */
static bool tool_host_check_packages(struct call *call, const json_t *names,
				     bool (*is_name)(const char *name), const char *rule)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		char quoted[QUOTE_SIZE];

		if (strlen(name) <= TOOL_HOST_PACKAGE_MAX && is_name(name))
			continue;
		call_fail(call, "%s is not the name of a package for %s",
			  quote(quoted, name, strlen(name)), rule);
		return false;
	}
	return true;
}

/* A member that may be missing, or what stands for it, which is taken over. A new reference. */
static json_t *tool_host_member(const json_t *arguments, const char *name, json_t *fallback)
{
	json_t *member = json_member(arguments, name);

	if (!member)
		return fallback;
	json_decref(fallback);
	return json_incref(member);
}

void tool_host_install_packages(struct call *call, const json_t *arguments)
{
	const struct outbound_message message = { .kind = "system" };
	const json_t *apt = json_member(arguments, "apt"), *npm = json_member(arguments, "npm");
	size_t count = json_array_size(apt) + json_array_size(npm);

	if (count == 0) {
		call_fail(call, "Name at least one package, in `apt` or in `npm`.");
		return;
	}
	if (count > TOOL_HOST_PACKAGES_MAX) {
		call_fail(call, "At most %d packages can be asked for at once, not %zu.",
			  TOOL_HOST_PACKAGES_MAX, count);
		return;
	}
	if (!tool_host_check_packages(call, apt, tool_host_is_apt,
				      "apt: lower-case letters, digits and . _ + - are allowed, "
				      "and no version, option or path.") ||
	    !tool_host_check_packages(call, npm, tool_host_is_npm,
				      "npm: it is name or @scope/name in lower-case letters, "
				      "digits and . _ -, without a version or a path."))
		return;
	tool_row_write(call, &message,
		       json_pack("{s:s, s:o, s:o, s:o}", "action", "install_packages", "apt",
				 tool_host_member(arguments, "apt", json_array()), "npm",
				 tool_host_member(arguments, "npm", json_array()), "reason",
				 tool_host_member(arguments, "reason", json_string(""))),
		       "An administrator is asked for %zu package%s. You will be told what was "
		       "decided. If it is yes, your container is built anew and restarted.",
		       count, count == 1 ? "" : "s");
}

void tool_host_create_agent(struct call *call, const json_t *arguments)
{
	struct outbound_message message = { .kind = "system" };
	const char *name = json_member_string(arguments, "name");
	char id[OUTBOUND_ID_SIZE], quoted[QUOTE_SIZE];

	if (strlen(name) > TOOL_HOST_NAME_MAX || !tool_host_is_line(name)) {
		call_fail(call, "%s cannot be an agent's name: it is one line of at most %d bytes.",
			  quote(quoted, name, strlen(name)), TOOL_HOST_NAME_MAX);
		return;
	}
	/* Request and row bear one id: by it the host tells what became of it. */
	outbound_make_id("msg", id);
	message.id = id;
	tool_row_write(call, &message,
		       json_pack("{s:s, s:s, s:s, s:o}", "action", "create_agent", "requestId", id,
				 "name", name, "instructions",
				 tool_host_member(arguments, "instructions", json_null())),
		       "The host is asked to create the agent %s. You will be told when it is "
		       "there; only then can it be written to.",
		       quote(quoted, name, strlen(name)));
}

void tool_host_add_mcp_server(struct call *call, const json_t *arguments)
{
	const struct outbound_message message = { .kind = "system" };
	const char *name = json_member_string(arguments, "name");
	char quoted[QUOTE_SIZE];

	quote(quoted, name, strlen(name));
	if (strlen(name) > TOOL_HOST_NAME_MAX || !tool_host_is_server(name)) {
		call_fail(call,
			  "%s cannot be a server's name: it is letters, digits, _ and -, begins "
			  "with a letter or a digit, and has at most %d of them.",
			  quoted, TOOL_HOST_NAME_MAX);
		return;
	}
	if (strcmp(name, call_context(call)->server_name) == 0) {
		call_fail(call,
			  "%s is the name of the server that this tool is from. Choose "
			  "another one.",
			  quoted);
		return;
	}
	tool_row_write(call, &message,
		       json_pack("{s:s, s:s, s:O, s:o, s:o}", "action", "add_mcp_server", "name",
				 name, "command", json_member(arguments, "command"), "args",
				 tool_host_member(arguments, "args", json_array()), "env",
				 tool_host_member(arguments, "env", json_object())),
		       "An administrator is asked for the MCP server %s. You will be told what was "
		       "decided. If it is yes, your container is restarted and has its tools.",
		       quoted);
}
