#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Slash commands: which chat rows are one, and who carries it out. The first word counts, as a
 * whole and with case ignored: "/clear now" and "/Clear" are commands, "/clearly not" is a sentence.
 */
#include <stdbool.h>

#include "runner/store/inbound.h"

enum command {
	COMMAND_NONE,  /* a message like any other */
	COMMAND_CLEAR, /* the runner forgets the conversation */
	COMMAND_STOP,  /* the runner interrupts the turn */
	COMMAND_AGENT, /* goes raw to the agent, alone in its turn */
};

/*
 * Does the agent itself know this command? word has its slash, and is asked for as it was typed and
 * then in lower case.
 */
typedef bool command_known_fn(void *userdata, const char *word);

/*
 * Only rows of kind chat and chat-sdk that wake the agent are commands: context that was
 * accumulated is not addressed to it. COMMAND_AGENT is what a table here lists, whatever the agent,
 * and what known() confirms (NULL: nothing more).
 *
 * 0 with the command, and for COMMAND_AGENT the trimmed text as a heap string owned by the caller
 * in *ret_text (left alone otherwise; ret_text may be NULL), its first word spelled as the agent
 * knows it; -ENOMEM.
 */
int command_classify(const struct inbound_row *row, command_known_fn *known, void *userdata,
		     enum command *ret_command, char **ret_text);

/*
 * Might the row be a command once the agent has told which ones it knows: does the text of a row
 * as above begin with a slash? Also true where memory ran out.
 */
bool command_is_candidate(const struct inbound_row *row);
