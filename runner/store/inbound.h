#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * inbound.db, which the host owns: read-only, through a file opened fresh for each look and closed
 * again (an open one can be stale on VirtioFS and NFS). Never parses a message's content.
 *
 * Tables and columns that an older host lacks are no error. -EAGAIN from any function: try again
 * with a fresh look (locked, replaced, hot journal, missing, empty, not to be opened). -EBADMSG:
 * the same, but the file looks damaged. -ENOTSUP: write-ahead log, which no retry mends. -EIO: the
 * tables are none that a host makes (one without rowids, for instance). -ENOMEM: a damaged record
 * can look so to SQLite, too.
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

/* One look: a connection and a read transaction, so that everything read belongs together. */
struct inbound;

int inbound_open(const char *path, struct inbound **ret_inbound, struct err *err);
/* The same without waiting for a lock, for who can try again later. */
int inbound_try(const char *path, struct inbound **ret_inbound, struct err *err);
void inbound_close(struct inbound *inbound);

/*
 * The same for who looks often: *inbound is NULL, or rests since an earlier look, whose schema and
 * statements serve again if the file still has this schema. NULL after a failure.
 */
int inbound_resume(const char *path, struct inbound **inbound, struct err *err);
/* The end of a look: nothing is open until inbound_resume(). *inbound is NULL if that cannot be had. */
void inbound_rest(struct inbound **inbound);

/* Can the file be read? As inbound_open(), but waits for no lock. For the health check. */
int inbound_probe(const char *path, struct err *err);

/* One row of messages_in. Strings are owned by the row; NULL where the column is null. */
struct inbound_row {
	int64_t rowid;
	int64_t seq;   /* -1: null, or no number that a seq can be */
	bool wakes;    /* trigger != 0 */
	bool oversize; /* content was longer than INBOUND_CONTENT_MAX and was not read */
	bool given_up; /* set by who picks it: not to be tried again */
	bool is_new;   /* set by who picks it: no attempt at it is known */
	bool resumed;  /* set by who looks: an earlier attempt at it broke off */
	char *id;      /* never NULL; NUL bytes in it and in the other texts are U+FFFD */
	char *kind;    /* never NULL */
	char *timestamp;
	char *platform_id;
	char *channel_type;
	char *thread_id;
	char *content; /* JSON, or any text; never NULL */
	size_t content_len;
};

int inbound_read_row(struct inbound *inbound, int64_t rowid, struct inbound_row *ret_row,
		     struct err *err);
void inbound_row_deinit(struct inbound_row *row);

/* What the walk over the due rows shows of each. */
struct inbound_due {
	int64_t rowid;
	const char *id; /* valid until the next step */
	bool wakes;	/* or is of kind system: nothing of it is context */
	bool odd_time;	/* process_after is nothing that SQLite understands: due now */
	bool on_wake;	/* for the start of a container only */
};

/*
 * Of the rows before this number the walk, and what falls due next, show those alone that open names:
 * numbers of INBOUND_OPEN_WIDTH characters. Borrowed; settled.h makes it. Without it all are shown.
 */
#define INBOUND_OPEN_WIDTH 20
void inbound_pass_over(struct inbound *inbound, int64_t from, const char *open);

/*
 * Starts the walk: rows of kind system, then the others, each in the order of seq (null last, then
 * by rowid).
 */
int inbound_due_start(struct inbound *inbound, struct err *err);
/* 1: *ret_due is the next row; 0: there is none. */
int inbound_due_next(struct inbound *inbound, struct inbound_due *ret_due, struct err *err);

/*
 * Real time in ms at which the next row that wakes falls due; -1: none is scheduled. Known since
 * inbound_due_next() was first called.
 */
int64_t inbound_next_due_ms(const struct inbound *inbound);

/* Does processing_ack bear this id? 1, 0, or <0: it cannot be said, and the look fails with it. */
typedef int inbound_acked_fn(void *userdata, const char *id);

/* The newest row with this address that is_acked() knows: 1, and the row is the caller's; 0. */
int inbound_newest_from(struct inbound *inbound, const char *channel_type, const char *platform_id,
			inbound_acked_fn *is_acked, void *userdata, struct inbound_row *ret_row,
			struct err *err);

/* The largest seq of messages_in, 0 if there is none. */
int inbound_max_seq(struct inbound *inbound, int64_t *ret_seq, struct err *err);

struct inbound_destination {
	char *name;	    /* never NULL */
	char *display_name; /* the name if the host gave none */
	bool is_agent;
	char *channel_type; /* "agent" for agents */
	char *platform_id;  /* agent_group_id for agents */
};

struct inbound_destinations {
	struct inbound_destination *rows; /* sorted by name */
	size_t count;
};

int inbound_destinations(struct inbound *inbound, struct inbound_destinations *ret_destinations,
			 struct err *err);
void inbound_destinations_deinit(struct inbound_destinations *destinations);

/* Where the session itself belongs (session_routing). 1, and the strings are the caller's; 0: none. */
struct inbound_address {
	char *channel_type;
	char *platform_id;
	char *thread_id;
};
int inbound_session_address(struct inbound *inbound, struct inbound_address *ret_address,
			    struct err *err);
void inbound_address_deinit(struct inbound_address *address);

CLEANUP_DEFINE(inbound, struct inbound *, inbound_close);
#define cleanup_inbound CLEANUP(cleanup_inbound_fn)
