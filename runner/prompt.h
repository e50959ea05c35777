#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The text of a group: what the agent is given for messages that are claimed. What cannot be put
 * into words leaves the group, acknowledged as failed, with a word to its sender: nobody may wait for
 * it in vain. Fills the outbox; commits nothing.
 */
#include <jansson.h>
#include <stdbool.h>

#include "common/strbuf.h"
#include "runner/group.h"
#include "runner/notes.h"
#include "runner/outbox.h"
#include "runner/store/inbound.h"

struct prompt_options {
	struct outbox *outbox;
	const struct inbound_destinations *destinations;
	const char *timezone;
	const char *workspace;
};

/*
 * Notes, then recalled (a line on earlier attempts, or nothing), then the rows. The notes are given
 * with it, unless no row is left. script_output: of the only row; NULL: none.
 */
void prompt_compose(const struct prompt_options *options, struct group *group, struct notes *notes,
		    const struct strbuf *recalled, const json_t *script_output);

/* The text is given: a command, or words of ours behind recalled. */
void prompt_use_text(const struct prompt_options *options, struct group *group,
		     const struct strbuf *recalled, const char *text, bool is_command);
