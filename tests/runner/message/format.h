#pragma once
/* SPDX-License-Identifier: MIT */
/* Rows to be rendered, one after the other: say() them, then look at the prompt. */
#include "runner/message/format.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/test.h"

#define ROWS_MAX 8

static struct {
	struct inbound_row rows[ROWS_MAX];
	struct format_item items[ROWS_MAX];
	size_t count;
	struct format_context context;
	bool failed[ROWS_MAX];
	struct strbuf out;
	struct err err;
} world;

/* Rows own their strings, but nobody changes them here. */
static inline char *constant(const char *text)
{
	return (char *)(uintptr_t)text;
}

static inline int setup(void **state)
{
	static struct inbound_destination rows[2];
	static const struct inbound_destinations destinations = { rows, 2 };

	(void)state;
	rows[0] = (struct inbound_destination){ constant("be & ta"), constant("Beta"), true,
						constant("agent"), constant("ag-2") };
	rows[1] = (struct inbound_destination){ constant("casa"), constant("Casa"), false,
						constant("slack"), constant("C1") };
	setenv("TZ", "UTC", 1);
	tzset();
	world.count = 0;
	world.context = (struct format_context){
		.destinations = &destinations,
		.timezone = "UTC",
		.workspace = "/workspace",
	};
	world.out = STRBUF_EMPTY;
	world.err.text[0] = '\0';
	return 0;
}

static inline void clear(void)
{
	world.count = 0;
	strbuf_deinit(&world.out);
}

static inline int teardown(void **state)
{
	(void)state;
	clear();
	return 0;
}

/* A further row, from casa; what is to be different is changed in what is returned. */
static inline struct inbound_row *say(const char *kind, const char *content)
{
	struct inbound_row *row = &world.rows[world.count];

	assert_true(world.count < ROWS_MAX);
	*row = (struct inbound_row){
		.seq = 4,
		.wakes = true,
		.id = constant("in-1"),
		.kind = constant(kind),
		.timestamp = constant("2026-02-04T13:30:00.000Z"),
		.channel_type = constant("slack"),
		.platform_id = constant("C1"),
		.content = constant(content),
		.content_len = strlen(content),
	};
	world.items[world.count++] = (struct format_item){ .row = row };
	return row;
}

static inline void render(void)
{
	assert_int_equal(format_prompt(&world.context, world.items, world.count, world.failed,
				       &world.out, &world.err),
			 0);
}

/* The prompt of what was said is this, and no row failed. Then everything starts over. */
static inline void assert_prompt(const char *expected)
{
	render();
	for (size_t i = 0; i < world.count; i++)
		assert_false(world.failed[i]);
	assert_int_equal(strlen(world.out.data), world.out.len);
	assert_string_equal(world.out.data, expected);
	clear();
}
