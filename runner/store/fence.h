#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Keeps the loop that was here before from writing to outbound.db: a row of session_state names the
 * loop that took the folder over last, and each transaction looks at it before it writes.
 *
 * Only another's name counts. A row that is missing is written anew: hosts clear the table.
 */
#include <stdbool.h>

#include "common/err.h"
#include "runner/store/db.h"

/* The key in session_state. */
#define FENCE_KEY	"lease"

#define FENCE_NAME_SIZE 48

struct fence {
	char id[FENCE_NAME_SIZE];     /* our name; "": nothing is fenced */
	char before[FENCE_NAME_SIZE]; /* whose name stood there when we came; "": nobody's */
	bool is_up;		      /* it stands in the file, or did */
	bool is_rising;		      /* it does once the transaction that runs is committed */
	bool is_lost;		      /* another's name was found there */
	void (*lost)(void *userdata); /* told once; may be NULL */
	void *userdata;
};

/*
 * At the start, inside a transaction: whose name stands there, who is gone by now. 0 or <0. Another
 * one there later than that came after us, also if ours was never written.
 */
int fence_begin(struct fence *fence, struct db *db, struct err *err);

/* Inside a transaction that is going to write: our name is put there, whoever's was. 0 or <0. */
int fence_raise(struct fence *fence, struct db *db, struct err *err);

/*
 * Inside a transaction, before it writes: 0; -ESTALE: another loop has taken over; or another -errno.
 * Raises the fence if that was not done yet.
 */
int fence_pass(struct fence *fence, struct db *db, struct err *err);

/* The transaction has ended. */
void fence_settle(struct fence *fence, bool committed);

/* Outside of transactions, only to know: as fence_pass(), and nothing is written. */
int fence_look(struct fence *fence, struct db *db, struct err *err);
