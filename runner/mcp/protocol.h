#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The versions of MCP (https://modelcontextprotocol.io/specification) and what differs between them
 * for a server that has tools only. Up to 2025-11-25 client and server agree on a version once, by
 * `initialize`; from 2026-07-28 on there is no such exchange: every request names its version in
 * _meta, `server/discover` tells which there are, and every result says what it is.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/strbuf.h"

enum protocol_era {
	PROTOCOL_STATEFUL,  /* agreed on by initialize; also what names no version at all */
	PROTOCOL_STATELESS, /* named by the request */
	PROTOCOL_UNKNOWN,   /* named, but not supported */
};

/* What a server says of itself. */
struct protocol_identity {
	const char *name;
	const char *instructions; /* for the model; NULL: none */
};

/* The code of the answer to a request of PROTOCOL_UNKNOWN. */
#define PROTOCOL_UNSUPPORTED_VERSION (-32022)

/* The era of a request with these params (NULL: none). */
enum protocol_era protocol_era_of(const json_t *params);

/* What a request of PROTOCOL_STATELESS lacks besides, in words; NULL: nothing. */
const char *protocol_fault(const json_t *params);

/*
 * Appends a result with these members ("\"a\":1,\"b\":2", "" for none), and what its era wants
 * besides. may_be_kept: the client may ask for it less often. 0 or -ENOMEM.
 */
int protocol_append_result(const struct protocol_identity *identity, enum protocol_era era,
			   bool may_be_kept, const char *members, struct strbuf *out);

/*
 * Appends the result of `initialize`: the version that the client asked for if there is such a
 * stateful one, else the newest of them. 0 or -ENOMEM.
 */
int protocol_append_initialize(const struct protocol_identity *identity, const json_t *params,
			       struct strbuf *out);

/* Appends the result of `server/discover`. 0 or -ENOMEM. */
int protocol_append_discover(const struct protocol_identity *identity, struct strbuf *out);

/* Appends what belongs to PROTOCOL_UNSUPPORTED_VERSION: which there are. 0 or -ENOMEM. */
int protocol_append_unsupported(const json_t *params, struct strbuf *out);
