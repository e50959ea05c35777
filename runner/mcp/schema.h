#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a tool as a table of fields: what a model is told of them (a JSON schema), and
 * what is checked before a handler sees them. One table serves both, so they cannot disagree.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"

enum schema_type {
	SCHEMA_STRING,	/* not blank where it is required; without NUL characters */
	SCHEMA_SEQ,	/* a message's number: a positive integer, or the same as a string */
	SCHEMA_SECONDS, /* a number above 0 and up to SCHEMA_SECONDS_MAX */
	SCHEMA_OBJECT,
	SCHEMA_STRINGS,	  /* an array of strings */
	SCHEMA_VARIABLES, /* an object of strings: environment variables */
	SCHEMA_OPTIONS,	  /* choices: each a string, or an object with at least a label */
	SCHEMA_TYPES,
};

#define SCHEMA_SECONDS_MAX 604800 /* seven days */
/* An array longer than this is refused. */
#define SCHEMA_ITEMS_MAX 100

struct schema_field {
	const char *name;
	enum schema_type type;
	bool is_required;
	const char *description; /* for the model */
};

/*
 * Checks the arguments of a call. What is missing or null is not there; unknown ones are ignored.
 * arguments may be NULL: none. 0; -EINVAL: err names the argument, what was expected and found.
 */
int schema_check(const struct schema_field *fields, size_t count, const json_t *arguments,
		 struct err *err);

/* Appends the JSON schema of the arguments: an object's. 0 or -ENOMEM. */
int schema_append(const struct schema_field *fields, size_t count, struct strbuf *out);

/* A checked SCHEMA_SEQ; 0: not there. */
json_int_t schema_seq(const json_t *arguments, const char *name);
