/* SPDX-License-Identifier: MIT */
#include "runner/idle.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum idle_limit {
	IDLE_AGENT,
	IDLE_EXIT,
	IDLE_LIMITS,
};

struct idle {
	struct {
		struct loop_timer *timer;
		int64_t after_ms;
		idle_fn *fn;
	} limits[IDLE_LIMITS];
	void *userdata;
	bool is_idle;
};

static void idle_on_time(struct idle *idle, enum idle_limit which)
{
	if (idle->limits[which].fn(idle->userdata) == -EBUSY && idle->is_idle)
		loop_timer_arm(idle->limits[which].timer, idle->limits[which].after_ms);
}

static void idle_on_agent(void *userdata)
{
	idle_on_time(userdata, IDLE_AGENT);
}

static void idle_on_exit(void *userdata)
{
	idle_on_time(userdata, IDLE_EXIT);
}

int idle_new(const struct idle_options *options, struct idle **ret_idle)
{
	struct idle *idle = calloc(1, sizeof(*idle));
	int r;

	if (!idle)
		return -ENOMEM;
	idle->userdata = options->userdata;
	idle->limits[IDLE_AGENT].after_ms = options->agent_ms;
	idle->limits[IDLE_AGENT].fn = options->agent;
	idle->limits[IDLE_EXIT].after_ms = options->exit_ms;
	idle->limits[IDLE_EXIT].fn = options->exit;
	r = loop_timer_new(options->loop, idle_on_agent, idle, &idle->limits[IDLE_AGENT].timer);
	if (r == 0)
		r = loop_timer_new(options->loop, idle_on_exit, idle,
				   &idle->limits[IDLE_EXIT].timer);
	if (r < 0) {
		idle_free(idle);
		return r;
	}
	*ret_idle = idle;
	return 0;
}

void idle_free(struct idle *idle)
{
	if (!idle)
		return;
	for (size_t i = 0; i < IDLE_LIMITS; i++)
		loop_timer_free(idle->limits[i].timer);
	free(idle);
}

void idle_begin(struct idle *idle)
{
	if (idle->is_idle)
		return;
	idle->is_idle = true;
	for (size_t i = 0; i < IDLE_LIMITS; i++)
		if (idle->limits[i].after_ms > 0)
			loop_timer_arm(idle->limits[i].timer, idle->limits[i].after_ms);
}

void idle_restart(struct idle *idle)
{
	if (!idle->is_idle)
		return;
	idle_end(idle);
	idle_begin(idle);
}

void idle_end(struct idle *idle)
{
	idle->is_idle = false;
	for (size_t i = 0; i < IDLE_LIMITS; i++)
		loop_timer_disarm(idle->limits[i].timer);
}
