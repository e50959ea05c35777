#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the agent is told about us, in our words: how its text reaches people, and what went wrong
 * when it did not. Names come from hosts and from strangers (a chat's title): each stays on its line
 * and between its quotes, written as the agent has to write it.
 */
#include "common/strbuf.h"
#include "runner/store/inbound.h"

/*
 * Appends the addendum to the agent's system prompt, Markdown. Compose it anew for each query:
 * destinations change while the agent lives. assistant_name may be NULL or "". send_tool: the tool
 * that sends a message while a turn goes on, NULL: there is none. 0 or -ENOMEM.
 */
int instructions_compose(const char *assistant_name, const struct inbound_destinations *d,
			 const char *send_tool, struct strbuf *out);

/*
 * Appends the <system> note that is pushed when an answer was not delivered: because it stood in
 * no block, or, if unknown is not NULL, because that is no destination's name. 0 or -ENOMEM.
 */
int instructions_nudge(const struct inbound_destinations *d, const char *unknown,
		       struct strbuf *out);
