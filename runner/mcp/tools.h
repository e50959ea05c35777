#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The tools that an agent is given: one table of rows (tools-table.c, data only), from which
 * tools/list is printed and calls are carried out. Handlers live in tool-<group>.c; a row names what
 * it does to the world, so that a client can tell what is safe.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/strbuf.h"
#include "runner/mcp/call.h"
#include "runner/mcp/schema.h"

/* Carries out a call with checked arguments; see call.h for how it ends. */
typedef call_run_fn tools_fn;

struct tools_row {
	const char *name;
	const char *title;	 /* for people */
	const char *description; /* for a model that has to choose */
	const struct schema_field *fields;
	size_t field_count;
	bool is_read_only;   /* changes nothing */
	bool is_destructive; /* what it takes away does not come back */
	bool is_idempotent;  /* once more changes nothing more */
	bool is_open_world;  /* reaches people or other systems outside */
	tools_fn *run;
};

/* All rows, in the order in which they are listed. */
const struct tools_row *tools_table(size_t *ret_count);

/* NULL: there is none of this name. */
const struct tools_row *tools_find(const char *name);

/* What of the table is offered, and under which names. */
struct tools_offer {
	const char *prefix;	    /* put before each name; "" for none */
	const char *const *enabled; /* names without the prefix, NULL-terminated; NULL: all */
};

/* The row that is offered under this name; NULL: none is. */
const struct tools_row *tools_offered(const struct tools_offer *offer, const char *name);

/* Appends the JSON array of tools/list. 0 or -ENOMEM. */
int tools_append_list(const struct tools_offer *offer, struct strbuf *out);

/* Checks the arguments, then runs it; what is wrong with them is an error of the tool. */
void tools_run(const struct tools_row *row, struct call *call, const json_t *arguments);
