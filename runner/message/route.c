/* SPDX-License-Identifier: MIT */
#include "runner/message/route.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool route_equals(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

const struct inbound_destination *route_by_name(const struct inbound_destinations *d,
						const char *name)
{
	const struct inbound_destination *found = NULL;
	size_t matches = 0;

	for (size_t i = 0; i < d->count; i++)
		if (route_equals(d->rows[i].name, name))
			return &d->rows[i];
	for (size_t i = 0; i < d->count; i++) {
		if (!d->rows[i].name || strcasecmp(d->rows[i].name, name) != 0)
			continue;
		found = &d->rows[i];
		matches++;
	}
	return matches == 1 ? found : NULL;
}

const struct inbound_destination *route_by_address(const struct inbound_destinations *d,
						   const char *channel_type,
						   const char *platform_id)
{
	bool is_agent;

	if (!channel_type || !channel_type[0] || !platform_id || !platform_id[0])
		return NULL;
	is_agent = strcmp(channel_type, "agent") == 0;
	for (size_t i = 0; i < d->count; i++) {
		const struct inbound_destination *row = &d->rows[i];

		if (row->is_agent == is_agent && route_equals(row->platform_id, platform_id) &&
		    (is_agent || route_equals(row->channel_type, channel_type)))
			return row;
	}
	return NULL;
}

/* Agents share one channel: they are told apart by their id. */
static const char *route_channel(const struct inbound_destination *to)
{
	return to->is_agent ? "agent" : to->channel_type;
}

const struct inbound_row *route_newest(const struct inbound_destination *from,
				       const struct inbound_row *const *rows, size_t count)
{
	for (size_t i = count; i > 0; i--)
		if (route_equals(rows[i - 1]->channel_type, route_channel(from)) &&
		    route_equals(rows[i - 1]->platform_id, from->platform_id))
			return rows[i - 1];
	return NULL;
}

void route_reply(const struct inbound_destination *to, const struct inbound_row *const *rows,
		 size_t count, const struct inbound_row *older, const char *turn_in_reply_to,
		 struct route *ret)
{
	const struct inbound_row *source = route_newest(to, rows, count);

	if (!source)
		source = older;
	*ret = (struct route){
		.channel_type = route_channel(to),
		.platform_id = to->platform_id,
		.thread_id = source ? source->thread_id : NULL,
		.in_reply_to = source ? source->id : turn_in_reply_to,
	};
}

void route_origin(const struct inbound_row *row, struct route *ret)
{
	*ret = (struct route){
		.channel_type = row->channel_type,
		.platform_id = row->platform_id,
		.thread_id = row->thread_id,
		.in_reply_to = row->id,
	};
}
