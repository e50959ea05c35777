/* SPDX-License-Identifier: MIT */
#include "runner/group.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

void group_mark_deinit(struct group_mark *mark)
{
	free(mark->value);
	*mark = (struct group_mark){ .key = NULL };
}

void group_mark_move(struct group_mark *to, struct group_mark *from)
{
	if (!from->key)
		return;
	group_mark_deinit(to);
	*to = (struct group_mark){ from->key, steal_ptr(from->value) };
	from->key = NULL;
}

void group_free(struct group *group)
{
	if (!group)
		return;
	for (size_t i = 0; i < group->count; i++)
		inbound_row_deinit(&group->rows[i]);
	for (size_t i = 0; i < group->passed_over_count; i++)
		free(group->passed_over[i]);
	free(group->rows);
	free(group->passed_over);
	free(group->text);
	group_mark_deinit(&group->mark);
	free(group);
}

struct group *group_new(struct inbound_row *rows, size_t count, char *const *passed_over,
			size_t passed_over_count)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group) {
		for (size_t i = 0; i < count; i++)
			inbound_row_deinit(&rows[i]);
		free(rows);
		return NULL;
	}
	group->rows = rows;
	group->count = count;
	group->passed_over = calloc(passed_over_count + 1, sizeof(char *));
	for (size_t i = 0; group->passed_over && i < passed_over_count; i++) {
		group->passed_over[i] = strdup(passed_over[i]);
		if (group->passed_over[i])
			group->passed_over_count++;
	}
	if (!group->passed_over || group->passed_over_count < passed_over_count) {
		group_free(group);
		return NULL;
	}
	return group;
}

void groups_deinit(struct groups *groups)
{
	while (groups->first)
		groups_drop(groups, &groups->first);
}

void groups_append(struct groups *groups, struct group *group)
{
	struct group **end = &groups->first;

	while (*end)
		end = &(*end)->next;
	*end = group;
	groups->count++;
}

struct group *groups_shift(struct groups *groups)
{
	struct group *group = groups->first;

	if (!group)
		return NULL;
	groups->first = steal_ptr(group->next);
	groups->count--;
	return group;
}

void groups_drop(struct groups *groups, struct group **link)
{
	struct group *group = *link;

	*link = group->next;
	groups->count--;
	group_free(group);
}

static bool group_holds(const struct group *group, const char *id)
{
	for (size_t i = 0; i < group->count; i++)
		if (strcmp(group->rows[i].id, id) == 0)
			return true;
	for (size_t i = 0; i < group->passed_over_count; i++)
		if (strcmp(group->passed_over[i], id) == 0)
			return true;
	return false;
}

bool groups_hold(const struct groups *groups, const char *id)
{
	for (const struct group *g = groups->first; g; g = g->next)
		if (group_holds(g, id))
			return true;
	return false;
}

static bool group_is_among(const struct group *group, int64_t up_to)
{
	return up_to == GROUP_EVERY_PUSH || (group->push_id > 0 && group->push_id <= up_to);
}

const struct inbound_row **groups_rows(const struct groups *groups, int64_t up_to,
				       size_t *ret_count)
{
	const struct inbound_row **rows;
	size_t count = 0, used = 0;

	for (const struct group *g = groups->first; g; g = g->next)
		count += g->count;
	rows = calloc(count + 1, sizeof(struct inbound_row *));
	for (const struct group *g = groups->first; rows && g; g = g->next)
		for (size_t i = 0; group_is_among(g, up_to) && i < g->count; i++)
			rows[used++] = &g->rows[i];
	*ret_count = used;
	return rows;
}

struct group *groups_unpushed(const struct groups *groups)
{
	for (struct group *g = groups->first; g; g = g->next)
		if (g->push_id == 0)
			return g;
	return NULL;
}

void groups_rewind(struct groups *groups, int64_t up_to)
{
	struct group **link = &groups->first;

	while (*link) {
		struct group *group = *link;

		if (group->push_id > up_to) {
			link = &group->next;
		} else if (group->count > 0) {
			group->push_id = 0;
			link = &group->next;
		} else {
			/* A nudge speaks of an answer that the next try may not need. */
			groups_drop(groups, link);
		}
	}
}

void groups_include_unpushed(struct groups *groups)
{
	for (struct group *g = groups->first; g; g = g->next)
		if (g->push_id == 0)
			g->push_id = GROUP_EVERY_PUSH;
}
