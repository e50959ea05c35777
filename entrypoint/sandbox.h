#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the host's configuration changes about a role, as the words of the command line say it: a
 * value to be filled by options, nothing else. Paths and names are borrowed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "entrypoint/policy.h"

#define SANDBOX_PATHS_MAX 64
#define SANDBOX_PORTS_MAX 64

struct sandbox_paths {
	const char *items[SANDBOX_PATHS_MAX];
	size_t count;
	bool is_given; /* also if it is empty */
};

struct sandbox_ports {
	uint16_t items[SANDBOX_PORTS_MAX];
	size_t count;
	bool is_given;
};

struct sandbox {
	struct sandbox_paths write;   /* more that may be written */
	struct sandbox_paths read;    /* if given: all that is read beside the role's own */
	struct sandbox_ports connect; /* if given: all that TCP connects to */
	struct sandbox_ports bind;    /* if given: all that TCP listens on */
	enum policy_mode modes[POLICY_PROTECTION_COUNT];
	bool has_mode[POLICY_PROTECTION_COUNT];
	bool is_session; /* the workspace is a session's or a group's, whatever it looks like */
	bool allows_namespaces; /* user namespaces, for sandboxes of the agent's own programs */
};

/* Each adds one value. 0, or -EINVAL with a text that says what is expected. "none" adds nothing. */
int sandbox_add_path(struct sandbox_paths *paths, const char *value, struct err *err);
int sandbox_add_port(struct sandbox_ports *ports, const char *value, struct err *err);

/* The same for "NAME=MODE", NAME as in AGENT_PROTECTION_<NAME>. */
int sandbox_set_mode(struct sandbox *sandbox, const char *value, struct err *err);

/* Reads "NAME=MODE"; prefix is what the text puts before the name. 0 or -EINVAL. */
int sandbox_read_mode(const char *prefix, const char *text, enum policy_protection *ret_protection,
		      enum policy_mode *ret_mode, struct err *err);

/*
 * Puts over on top of sandbox: the lists add up, a mode of over's wins. 0, or -EINVAL with a text:
 * a list is too long.
 */
int sandbox_add(struct sandbox *sandbox, const struct sandbox *over, struct err *err);

/* Does it take something from the role that only Landlock can take? */
bool sandbox_narrows(const struct sandbox *sandbox);
