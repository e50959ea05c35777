/* SPDX-License-Identifier: MIT */
#include "runner/mcp/awaited.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"

static const char *const awaited_fields[] = {
	[AWAITED_QUESTION] = "questionId",
	[AWAITED_REQUEST] = "requestId",
};
TABLE_COVERS(awaited_fields, AWAITED_KINDS);

struct awaited_entry {
	struct awaited *awaited;
	struct awaited_entry *next;
	struct awaited_entry **place; /* what points here */
	enum awaited_kind kind;
	char *id;
	awaited_fn *fn;
	void *userdata;
};

struct awaited {
	struct awaited_entry *first;
	size_t counts[AWAITED_KINDS];
};

struct awaited *awaited_new(void)
{
	return calloc(1, sizeof(struct awaited));
}

void awaited_free(struct awaited *awaited)
{
	assert(!awaited || !awaited->first);
	free(awaited);
}

struct awaited_entry *awaited_add(struct awaited *awaited, enum awaited_kind kind, const char *id,
				  awaited_fn *fn, void *userdata)
{
	struct awaited_entry *entry = calloc(1, sizeof(*entry));

	if (!entry || !(entry->id = strdup(id))) {
		free(entry);
		return NULL;
	}
	entry->awaited = awaited;
	entry->kind = kind;
	entry->fn = fn;
	entry->userdata = userdata;
	entry->next = awaited->first;
	entry->place = &awaited->first;
	if (entry->next)
		entry->next->place = &entry->next;
	awaited->first = entry;
	awaited->counts[kind]++;
	return entry;
}

void awaited_remove(struct awaited_entry *entry)
{
	if (!entry)
		return;
	*entry->place = entry->next;
	if (entry->next)
		entry->next->place = entry->place;
	entry->awaited->counts[entry->kind]--;
	free(entry->id);
	free(entry);
}

const char *awaited_id(enum awaited_kind kind, const json_t *content)
{
	const json_t *id = json_member(content, awaited_fields[kind]);
	size_t len = json_string_length(id);

	/* An id with a NUL in it is none of ours, and would pass for its beginning. */
	return len > 0 && !memchr(json_string_value(id), '\0', len) ? json_string_value(id) : NULL;
}

bool awaited_offer(struct awaited *awaited, const json_t *content)
{
	for (struct awaited_entry *entry = awaited->first; entry; entry = entry->next) {
		const char *id = awaited_id(entry->kind, content);

		if (!id || strcmp(id, entry->id) != 0)
			continue;
		entry->fn(entry->userdata, content);
		return true;
	}
	return false;
}

size_t awaited_count(const struct awaited *awaited, enum awaited_kind kind)
{
	return awaited->counts[kind];
}
