#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The session folder for as long as it is ours: that nobody else works on it, that outbound.db is
 * open, and that an agent which closes files to us gets nowhere by it. Owns the lease and
 * outbound.db, and names the files.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/store/outbound.h"

enum tenure_file {
	TENURE_INBOUND,
	TENURE_OUTBOUND,
	TENURE_HEARTBEAT,
	TENURE_CONFIG,
	TENURE_FILES,
};

/* Between two looks whether an agent has locked us out of our files. */
#define TENURE_MEND_MS 1000
/* The same where something failed, which it may be the cause of. */
#define TENURE_MEND_AGAIN_MS 200

struct tenure;

/* Opens nothing, and gives back to the owner what an agent closed. workspace is borrowed. 0, -ENOMEM. */
int tenure_new(const char *workspace, struct tenure **ret_tenure);
void tenure_free(struct tenure *tenure);

/* Its path below the workspace. */
const char *tenure_path(const struct tenure *tenure, enum tenure_file file);

/*
 * Takes the lease, then opens and takes over outbound.db. Waits for half a minute where somebody
 * holds a lock. on_taken: another has come, see outbound_on_taken(). 0; -EINTR: SIGTERM or SIGINT,
 * which have to be blocked, came meanwhile; or as lease_take() and outbound_open().
 */
int tenure_begin(struct tenure *tenure, void (*on_taken)(void *userdata), void *userdata,
		 struct err *err);
/* Gives both back. */
void tenure_end(struct tenure *tenure);

/* From tenure_begin() to tenure_end(), else NULL. */
struct outbound *tenure_outbound(const struct tenure *tenure);

/*
 * Gives the owner back what was closed, unless it was looked after less than every_ms ago. The host
 * may be locked out, too, of what we still hold open.
 */
void tenure_mend(struct tenure *tenure, int64_t every_ms);

/* Why outbound.db is one that only a new start can mend; NULL: it is not. */
const char *tenure_lost(struct tenure *tenure);
