#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * inbound.db, which the host owns: read-only, through a connection opened fresh for each look and
 * closed again (a cached one can be stale on VirtioFS and NFS). Never parses a message's content.
 *
 * Tables and columns that an older host lacks are no error. -EAGAIN from any function: try again
 * with a fresh look (locked, replaced, hot journal, missing, empty). -EBADMSG: the same, but the
 * file looks damaged. -ENOTSUP: write-ahead log, which no retry mends.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

/* The longest content of a row that is read, in bytes; a longer one is marked oversize. */
#define INBOUND_CONTENT_MAX (16 * 1024 * 1024)

/*
 * How long a statement waits for the host's lock. The loop waits meanwhile, so it is short, and
 * the look is repeated by a timer instead.
 */
#define INBOUND_BUSY_MS 100

/* One row of messages_in. Strings are owned by the row; NULL where the column is null. */
struct inbound_row {
	int64_t rowid;
	int64_t seq;   /* -1: null */
	bool wakes;    /* trigger != 0 */
	bool oversize; /* content was longer than INBOUND_CONTENT_MAX and was not read */
	char *id;      /* never NULL */
	char *kind;    /* never NULL */
	char *timestamp;
	char *platform_id;
	char *channel_type;
	char *thread_id;
	char *content; /* JSON, or any text; never NULL; a NUL byte in it was replaced by U+FFFD */
	size_t content_len;
};

void inbound_row_deinit(struct inbound_row *row);

/* One row of destinations. */
struct inbound_destination {
	char *name;
	char *display_name; /* the name if the host gave none */
	bool is_agent;
	char *channel_type; /* "agent" for agents */
	char *platform_id;  /* agent_group_id for agents */
};

struct inbound_destinations {
	struct inbound_destination *rows; /* sorted by name */
	size_t count;
};

void inbound_destinations_deinit(struct inbound_destinations *destinations);

/* One look: a connection and a read transaction, so that everything read belongs together. */
struct inbound;

int inbound_open(const char *path, struct inbound **ret_inbound, struct err *err);
void inbound_close(struct inbound *inbound);

/* What the caller makes of a due row that may wake the agent, in order. */
enum inbound_pick {
	INBOUND_TAKE,	   /* into the batch */
	INBOUND_TAKE_ONLY, /* this row alone is the batch: no context goes with it */
	INBOUND_ASIDE,	   /* into the list beside the batch; does not count against the limit */
	INBOUND_LEAVE,	   /* not now */
};

struct inbound_choice {
	bool first_look; /* rows with on_wake are due too */
	size_t limit;	 /* rows of the batch */
	void *userdata;
	/* Does processing_ack bear this id? */
	bool (*is_acked)(void *userdata, const char *id);
	enum inbound_pick (*pick)(void *userdata, const struct inbound_row *row);
};

struct inbound_batch {
	struct inbound_row *rows; /* in order; empty: nothing wakes the agent */
	size_t count;
	struct inbound_row *aside;
	size_t aside_count;
	char **passed_over; /* ids of context rows that found no room; to be acknowledged too */
	size_t passed_over_count;
	bool more;	     /* further rows that wake are due already */
	int64_t next_due_ms; /* real time at which a row falls due; -1: none is scheduled */
};

void inbound_batch_deinit(struct inbound_batch *batch);

/*
 * The batch rule: the oldest due rows that wake the agent, at most limit; what room is left goes to
 * the most recent context rows before the last of them. Rows of kind system never take part.
 */
int inbound_due(struct inbound *inbound, const struct inbound_choice *choice,
		struct inbound_batch *ret_batch, struct err *err);

int inbound_destinations(struct inbound *inbound, struct inbound_destinations *ret_destinations,
			 struct err *err);

/*
 * The newest row with this address that is_acked() knows: 1, and *ret_row is the caller's to
 * deinit; 0: none.
 */
int inbound_newest_from(struct inbound *inbound, const struct inbound_choice *choice,
			const char *channel_type, const char *platform_id,
			struct inbound_row *ret_row, struct err *err);

/* Where the session itself belongs (session_routing). 1, and the strings are the caller's; 0: none. */
struct inbound_address {
	char *channel_type;
	char *platform_id;
	char *thread_id;
};
int inbound_session_address(struct inbound *inbound, struct inbound_address *ret_address,
			    struct err *err);
void inbound_address_deinit(struct inbound_address *address);

/* The largest seq of messages_in, 0 if there is none. */
int inbound_max_seq(struct inbound *inbound, int64_t *ret_seq, struct err *err);

CLEANUP_DEFINE(inbound, struct inbound *, inbound_close);
#define cleanup_inbound CLEANUP(cleanup_inbound_fn)
