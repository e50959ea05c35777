#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The script before a task: bash decides, without the agent, whether there is work for it. The
 * last line of its output is JSON: {"wakeAgent": true, "data": …}. Runs in the agent's role and in
 * its own session; whatever it does, its outcome is known shortly after the limit.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/io/child.h"
#include "runner/io/loop.h"

/* At this age the script's process group gets SIGTERM, and SIGKILL after the grace. */
#define SCRIPT_LIMIT_MS	   (30 * 1000)
#define SCRIPT_GRACE_MS	   1000

#define SCRIPT_OUTPUT_MAX  (1024 * 1024) /* bytes of stdout; more is a failure */
#define SCRIPT_PROBLEM_MAX ERR_TEXT_MAX

struct script;

struct script_spec {
	const char *text;
	const char *cwd;  /* NULL: ours */
	const char *id;	  /* the task's, $0 of the script; may be NULL */
	int64_t limit_ms; /* 0: SCRIPT_LIMIT_MS */
	int64_t grace_ms; /* 0: SCRIPT_GRACE_MS */
};

struct script_outcome {
	bool wake;
	json_t *data;	     /* NULL: none. Valid during the call: json_incref() to keep it */
	const char *problem; /* NULL, or one line for the log: why it failed. wake is false then */
};

typedef void script_done_fn(void *userdata, const struct script_outcome *outcome);

/*
 * Starts the script. done is called once, from the loop, never from here; it may free the script.
 * The text goes to bash through stdin, since arguments are limited to 128 KiB: what the script
 * reads from its stdin is empty. spec is borrowed for the call. 0 or -errno.
 */
int script_start(struct loop *loop, struct children *children, const struct script_spec *spec,
		 script_done_fn *done, void *userdata, struct script **ret_script, struct err *err);

/* Kills it if it still runs; done is not called any more. Accepts NULL. */
void script_free(struct script *script);

/*
 * The script in a task row's content. 1 with a heap string owned by the caller; 0: there is none,
 * and the task goes to the agent at once; -ENOMEM.
 */
int script_text(const char *content, size_t len, char **ret_text);
