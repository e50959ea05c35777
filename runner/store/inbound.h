#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * inbound.db, which the host owns: read-only, through a connection opened fresh for each look and
 * closed again (a cached one can be stale on VirtioFS and NFS). Never parses a message's content.
 *
 * Missing tables and columns of older hosts are no error. Transient failures (locked, replaced,
 * hot journal, unreadable for now) return -EAGAIN, to be tried again later.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct inbound;

/* One row of messages_in. Strings are owned by the row; NULL where the column is null. */
struct inbound_row {
	int64_t rowid;
	int64_t seq; /* -1: null */
	bool wakes;  /* trigger != 0 */
	char *id;
	char *kind;
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
