#pragma once
/* SPDX-License-Identifier: MIT */
/* The connection to outbound.db, for the files here that read through it: outbound-<what>.c. */
#include "runner/store/db.h"
#include "runner/store/outbound-sql.h"
#include "runner/store/outbound.h"

/* Owned by outbound. */
struct db *outbound_db(struct outbound *outbound);
