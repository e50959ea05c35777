#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * That one loop at a time works on a session folder. The kernel's word for it is a lock on a byte of
 * outbound.db, which it drops by itself when the loop dies. Where there are no locks, or another
 * kernel may hold one that is not seen here, claims and the heartbeat have to tell.
 *
 * Changes nothing in the folder but that a missing outbound.db comes to be, without a byte. What
 * this cannot see, the fence of runner/store/fence.h catches later.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct lease;
struct mend;

struct lease_options {
	const char *workspace; /* for the texts */
	const char *outbound_path;
	const char *heartbeat_path;
	struct mend *mend; /* for what an agent has closed; NULL: nothing is done about it */
	int64_t lock_ms;   /* for so long a predecessor may be dying */
	int64_t fresh_ms;  /* of a heartbeat older than this its loop is dead */
	int64_t watch_ms;  /* in this time one that lives beats again */
};

#define LEASE_LOCK_MS  1000
#define LEASE_FRESH_MS 7000
#define LEASE_WATCH_MS 4500

/*
 * Before outbound.db is opened in any other way: closing any descriptor of a file drops the locks
 * that SQLite holds on it (fcntl_locking(2)). 0; -EBUSY: another works there; -ENOMEM. A file that
 * cannot be opened is for outbound_open() to complain of.
 */
int lease_take(const struct lease_options *options, struct lease **ret_lease, struct err *err);

/* Is it certain that nobody else has the folder? */
bool lease_is_certain(const struct lease *lease);

/* -errno with which the file could not be opened for it, 0: it could. */
int lease_error(const struct lease *lease);

/* After outbound.db was closed in any other way. */
void lease_free(struct lease *lease);
