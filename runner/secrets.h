#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Keys that the container was given in its environment for the agent CLI: taken out of the
 * environment, so that neither another child nor /proc/PID/environ shows them, and handed to the
 * agent alone, each time it is started. Which variables these are the providers say: a cloud's only
 * where the agent uses that cloud, and what other programs know as well (GH_TOKEN) only where its
 * agent is the configured one, for a script may have to.
 *
 * Their bytes are nowhere but in this module and, while the agent is being started, in what is
 * composed for it; both overwrite them. PID 1 keeps its environment: the next loop needs it.
 */

struct secrets;

struct provider_type;

/*
 * Moves the secrets of all providers that share none out of the environment, which is wiped where they stood. 0 or
 * -ENOMEM.
 */
int secrets_take(struct secrets **ret_secrets);

/* The same with those of the configured provider, if it shares them. type: NULL does nothing. */
int secrets_take_shared(struct secrets *secrets, const struct provider_type *type);

/* Overwrites and frees them. Accepts NULL. */
void secrets_free(struct secrets *secrets);

/*
 * The environment for an agent: all of env ("NAME=value", or "NAME" to remove it; NULL: nothing),
 * and the secrets that env does not name. The array is the caller's to free, its strings are
 * borrowed from both. NULL: out of memory. secrets may be NULL.
 */
const char **secrets_join(const struct secrets *secrets, const char *const *env);
