#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Command line options from one table of rows: the parser, the environment's counterparts and the
 * text of --help all read it, so that they cannot disagree. Knows no option by name.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

/* A row's number must fit into the set of what was seen. */
#define OPTIONS_ROWS_MAX 64

struct options_row {
	const char *name;     /* "grace" for --grace */
	const char *value;    /* what to call its value in the help; NULL: a flag */
	const char *variable; /* with a value only: environment variable of the same meaning */
	const char *help;     /* lines are divided by newlines */
	char letter;	      /* 'g' for -g; 0: none */
	size_t flag;	      /* of a flag: where in target the bool is that it sets */
	/*
	 * Of others: stores value into target. 0, or -errno with a text that need not name the
	 * option. May be called several times: the last value counts.
	 */
	int (*set)(void *target, const char *value, struct err *err);
};

struct options {
	const struct options_row *rows;
	size_t count;
};

/*
 * Reads options from *index on, up to the first word that is none or behind "--". *index is then
 * the first word that was not read, and the bits of *seen tell the rows that occurred.
 * 0; 1: ended by "--"; -EINVAL: err names the option.
 */
int options_parse(const struct options *options, int argc, char *const *argv, void *target,
		  int *index, uint64_t *seen, struct err *err);

/* Sets what the environment says; an empty variable counts as not set. 0, or -EINVAL. */
int options_parse_environment(const struct options *options, void *target, struct err *err);

/* A row each, "  -g, --group          help"; further lines of the help stand below its first. */
void options_print(const struct options *options, FILE *out);
