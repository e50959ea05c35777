/* SPDX-License-Identifier: MIT */
#include "runner/mcp/protocol.h"

#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"

#define PROTOCOL_META_VERSION "io.modelcontextprotocol/protocolVersion"
#define PROTOCOL_META_SERVER  "io.modelcontextprotocol/serverInfo"
#define PROTOCOL_META_CLIENT  "io.modelcontextprotocol/clientCapabilities"

/* The tools do not change while a server lives, but the next container may have others. */
#define PROTOCOL_KEEP_MS 60000

/* Newest first. */
static const struct {
	const char *name;
	enum protocol_era era;
} protocol_versions[] = {
	{ "2026-07-28", PROTOCOL_STATELESS }, { "2025-11-25", PROTOCOL_STATEFUL },
	{ "2025-06-18", PROTOCOL_STATEFUL },  { "2025-03-26", PROTOCOL_STATEFUL },
	{ "2024-11-05", PROTOCOL_STATEFUL },
};

/* The version that a request names, NULL if it names none. */
static const char *protocol_named(const json_t *params)
{
	return json_member_string(json_member(params, "_meta"), PROTOCOL_META_VERSION);
}

enum protocol_era protocol_era_of(const json_t *params)
{
	const char *name = protocol_named(params);

	if (!name)
		return PROTOCOL_STATEFUL;
	for (size_t i = 0; i < ARRAY_LEN(protocol_versions); i++)
		if (protocol_versions[i].era == PROTOCOL_STATELESS &&
		    strcmp(name, protocol_versions[i].name) == 0)
			return PROTOCOL_STATELESS;
	return PROTOCOL_UNKNOWN;
}

const char *protocol_fault(const json_t *params)
{
	const json_t *client = json_member(json_member(params, "_meta"), PROTOCOL_META_CLIENT);

	return json_is_object(client) ? NULL
				      : "\"_meta\" must have an object \"" PROTOCOL_META_CLIENT
					"\"";
}

static void protocol_append_text(struct strbuf *out, const char *text)
{
	json_append_string(out, text, strlen(text));
}

static void protocol_append_server(const struct protocol_identity *identity, struct strbuf *out)
{
	strbuf_puts(out, "{\"name\":");
	protocol_append_text(out, identity->name);
	strbuf_puts(out, ",\"version\":\"" AGENT_RUNNER_VERSION "\"}");
}

static void protocol_append_instructions(const struct protocol_identity *identity,
					 struct strbuf *out)
{
	if (!identity->instructions)
		return;
	strbuf_puts(out, ",\"instructions\":");
	protocol_append_text(out, identity->instructions);
}

/* An array of the names of one era's versions. */
static void protocol_append_versions(enum protocol_era era, struct strbuf *out)
{
	const char *separator = "";

	strbuf_putc(out, '[');
	for (size_t i = 0; i < ARRAY_LEN(protocol_versions); i++) {
		if (protocol_versions[i].era != era)
			continue;
		strbuf_printf(out, "%s\"%s\"", separator, protocol_versions[i].name);
		separator = ",";
	}
	strbuf_putc(out, ']');
}

int protocol_append_result(const struct protocol_identity *identity, enum protocol_era era,
			   bool may_be_kept, const char *members, struct strbuf *out)
{
	strbuf_putc(out, '{');
	strbuf_puts(out, members);
	if (era == PROTOCOL_STATELESS) {
		strbuf_printf(out, "%s\"resultType\":\"complete\",", *members ? "," : "");
		if (may_be_kept)
			strbuf_printf(out, "\"ttlMs\":%d,\"cacheScope\":\"private\",",
				      PROTOCOL_KEEP_MS);
		strbuf_puts(out, "\"_meta\":{\"" PROTOCOL_META_SERVER "\":");
		protocol_append_server(identity, out);
		strbuf_putc(out, '}');
	}
	return strbuf_putc(out, '}');
}

int protocol_append_initialize(const struct protocol_identity *identity, const json_t *params,
			       struct strbuf *out)
{
	const char *asked = json_member_string(params, "protocolVersion"), *chosen = NULL;

	for (size_t i = 0; i < ARRAY_LEN(protocol_versions); i++) {
		const char *name = protocol_versions[i].name;

		if (protocol_versions[i].era != PROTOCOL_STATEFUL)
			continue;
		if (!chosen || (asked && strcmp(asked, name) == 0))
			chosen = name;
	}
	strbuf_printf(out,
		      "{\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{}},\"serverInfo\":",
		      chosen);
	protocol_append_server(identity, out);
	protocol_append_instructions(identity, out);
	return strbuf_putc(out, '}');
}

int protocol_append_discover(const struct protocol_identity *identity, struct strbuf *out)
{
	cleanup_strbuf struct strbuf members = STRBUF_EMPTY;

	strbuf_puts(&members, "\"supportedVersions\":");
	protocol_append_versions(PROTOCOL_STATELESS, &members);
	strbuf_puts(&members, ",\"capabilities\":{\"tools\":{}}");
	protocol_append_instructions(identity, &members);
	if (members.error)
		return out->error = members.error;
	return protocol_append_result(identity, PROTOCOL_STATELESS, true, members.data, out);
}

int protocol_append_unsupported(const json_t *params, struct strbuf *out)
{
	const char *named = protocol_named(params);

	strbuf_puts(out, "{\"supported\":");
	protocol_append_versions(PROTOCOL_STATELESS, out);
	strbuf_puts(out, ",\"requested\":");
	protocol_append_text(out, named ? named : "");
	return strbuf_putc(out, '}');
}
