#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Answers that somebody waits for: rows of kind system that the host writes into inbound.db, told
 * apart by a field of their content. A question's answer bears its questionId, the answer to a
 * command of the ncl client its requestId. The field decides, never a text that looks like it.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum awaited_kind {
	AWAITED_QUESTION, /* content.questionId */
	AWAITED_REQUEST,  /* content.requestId */
	AWAITED_KINDS,
};

struct awaited; /* all that is waited for */
struct awaited_entry;

/* content is the row's, borrowed. The callback may free its entry. */
typedef void awaited_fn(void *userdata, const json_t *content);

/* NULL: out of memory. Free it after its entries. */
struct awaited *awaited_new(void);
void awaited_free(struct awaited *awaited);

/* Waits for the answer to id (copied). The entry is the caller's. NULL: out of memory. */
struct awaited_entry *awaited_add(struct awaited *awaited, enum awaited_kind kind, const char *id,
				  awaited_fn *fn, void *userdata);
/* Waits no more. Accepts NULL. */
void awaited_remove(struct awaited_entry *entry);

/* Hands a system row's content to who waits for it. False: nobody does. */
bool awaited_offer(struct awaited *awaited, const json_t *content);

/* Would awaited_offer() be true? */
bool awaited_has(const struct awaited *awaited, const json_t *content);

/* The id in a field of this kind; NULL: there is none. Borrowed from content. */
const char *awaited_id(enum awaited_kind kind, const json_t *content);

/* How many wait for an answer of this kind. */
size_t awaited_count(const struct awaited *awaited, enum awaited_kind kind);
