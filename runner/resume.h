#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What earlier attempts at messages left behind: the agent is told what it has sent already, so that
 * it neither repeats itself nor begins anew. Reads outbound.db, writes nothing.
 */
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound.h"

struct resume_options {
	struct outbound *outbound;
	const struct inbound_destinations *destinations;
	/*
	 * Is handed each text that was sent; to: the destination of today, NULL if there is none;
	 * thread NULL: none. May be called again for the same text.
	 */
	void (*sent)(void *userdata, const char *to, const char *thread, const char *text);
	void *userdata;
};

/*
 * Looks at the attempts at these rows. claimed: the one that begins now is counted already. Appends
 * a line to note if an earlier one broke off, or ended with its container, marks the rows of which
 * that is true, and tells whether the one that begins is the last that one of the rows gets. Context
 * does not count. 0 or <0 as outbound_attempt().
 */
int resume_look(const struct resume_options *options, struct inbound_row *rows, size_t count,
		bool claimed, struct strbuf *note, bool *ret_is_last, struct err *err);
