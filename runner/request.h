#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One request as v1 hosts write it to stdin: JSON with a prompt. Its secrets are taken out of it
 * when it is read: they are for the agent's environment, never for a file or a log.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/strbuf.h"

struct request {
	json_t *root;	    /* without the secrets; what the strings below live in */
	const char *prompt; /* may hold NUL bytes */
	size_t prompt_len;
	const char *session;	    /* the conversation to be resumed; NULL: a new one */
	const char *assistant_name; /* NULL: not told */
	const char *script; /* decides whether a scheduled task wakes the agent; NULL: none */
	bool is_main;
	bool is_scheduled;
	char **env; /* the secrets as "NAME=value", NULL-terminated */
};

/*
 * 0; -EINVAL: not JSON, or no object with a prompt; -EFBIG; -ENOMEM. No error text shows anything
 * of the request. A secret that cannot be a variable is left out, and its name logged.
 */
int request_parse(const char *text, size_t len, struct request **ret_request, struct err *err);

/* Overwrites the secrets and frees all of it. Accepts NULL. */
void request_free(struct request *request);

/*
 * Where the copy belongs: input.json below TMPDIR, or below /tmp if that is not set or no absolute
 * path. The caller's to free; NULL: out of memory.
 */
char *request_copy_path(void);

/*
 * Writes the request, without its secrets, to a file that only its owner can read. The file is made
 * anew: one that somebody prepared there, or a link, is replaced and never written to. 0 or -errno.
 */
int request_keep_copy(const struct request *request, const char *path, struct err *err);

/*
 * Appends the prompt as the agent gets it: a scheduled one is marked as such. script_output: what
 * the script handed on; NULL: none ran. 0 or -ENOMEM.
 */
int request_append_prompt(const struct request *request, const json_t *script_output,
			  struct strbuf *out);

CLEANUP_DEFINE(request, struct request *, request_free);
#define cleanup_request CLEANUP(cleanup_request_fn)
