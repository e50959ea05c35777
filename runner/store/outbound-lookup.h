#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Single rows of outbound.db, and what stands there about one message. Writes nothing. Fails as the
 * functions of outbound.h do.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/store/outbound.h"

/*
 * The row of this seq: 1, and its id and address (inbound_address_deinit()) are the caller's; 0:
 * there is none.
 */
struct inbound_address;
int outbound_find(struct outbound *outbound, int64_t seq, char **ret_id,
		  struct inbound_address *ret_address, struct err *err);

/* A row of messages_out as it was written. */
struct outbound_row {
	int64_t seq;
	char *content; /* never NULL */
	char *channel_type;
	char *platform_id;
};

/* The row of this id: 1, and *ret_row is to be released; 0: there is none. */
int outbound_read(struct outbound *outbound, const char *id, struct outbound_row *ret_row,
		  struct err *err);
void outbound_row_deinit(struct outbound_row *row);

/* Is this message acknowledged for good? 1 or 0. */
int outbound_is_final(struct outbound *outbound, const char *id, struct err *err);

/* Another number than before: somebody else wrote to the file. */
int outbound_foreign_version(struct outbound *outbound, int64_t *ret_version, struct err *err);

/* The attempts at a message that is not acknowledged yet. */
struct outbound_attempt {
	int64_t starts;	     /* how often it was claimed */
	int64_t broken;	     /* how many of them did not end in order, a running one included */
	char *script_output; /* of its pre-task script, JSON; NULL: none */
	char *turn;	     /* those with the same one shared a turn */
};

/* 1, and *ret_attempt is to be released; 0: it was never claimed, or is acknowledged. */
int outbound_attempt(struct outbound *outbound, const char *id,
		     struct outbound_attempt *ret_attempt, struct err *err);
void outbound_attempt_deinit(struct outbound_attempt *attempt);

/* A row that was sent in answer to a message. NULL strings are null; all are borrowed. */
struct outbound_sent {
	const char *content; /* never NULL */
	const char *channel_type;
	const char *platform_id;
	const char *thread_id;
};

/*
 * Hands over what was sent in answer to this message, or to those of the turn that it was first
 * claimed in: the last limit of them, oldest first, until fn() returns <0, which is returned then.
 * Walks the whole table.
 */
typedef int outbound_sent_fn(void *userdata, const struct outbound_sent *sent);
int outbound_sent_for(struct outbound *outbound, const char *id, int limit, outbound_sent_fn *fn,
		      void *userdata, struct err *err);

/* The claims of a file that another process owns, for the health check. */
struct outbound_claim_age {
	size_t count;
	int64_t oldest_s;	 /* Unix time of the oldest claim */
	int64_t tool_timeout_ms; /* declared by the tool in flight; 0: none */
};

/*
 * Reads them through a read-only connection of its own, which waits for nothing. ret_age may be
 * NULL: only whether the file can be read. 0; -EAGAIN: not now; or another -errno.
 */
int outbound_oldest_claim(const char *path, struct outbound_claim_age *ret_age, struct err *err);
