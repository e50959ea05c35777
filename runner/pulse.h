#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The signs of life that the host reads: /workspace/.heartbeat, whose mtime also shows "typing" to
 * the user while it is younger than six seconds, and container_state, the tool in flight.
 *
 * The heartbeat beats only while something is claimed, and only while the agent gives signs of life
 * itself: a wedged agent is not vouched for.
 */
#include <stdbool.h>
#include <stdint.h>

#include "runner/io/loop.h"
#include "runner/store/outbound.h"

#define PULSE_EVERY_MS 3000
/*
 * Without a sign of life from the agent for this long it stops. A tool that declared a limit of its
 * own has that long, and a while for the agent to say that it ran out.
 */
#define PULSE_PATIENCE_MS (10 * 60 * 1000)
#define PULSE_TOOL_MS	  (30 * 1000)

struct pulse;

enum pulse_need {
	PULSE_IDLE,    /* nothing is claimed: no heartbeat */
	PULSE_AGENT,   /* the agent works: its signs of life count */
	PULSE_WAITING, /* we wait on purpose (for another try, a script): silence is no trouble */
};

/* need() is asked at each beat. path is copied. 0 or -ENOMEM. */
int pulse_new(struct loop *loop, struct outbound *outbound, const char *path,
	      enum pulse_need (*need)(void *userdata), void *userdata, struct pulse **ret_pulse);
void pulse_free(struct pulse *pulse);

/*
 * Has fn() called, with the userdata of need(), once each time that the agent was silent for
 * patience_ms, or as long as its tool allows: it hangs, and somebody has to deal with it.
 */
void pulse_set_silence(struct pulse *pulse, int64_t patience_ms,
		       void (*fn)(void *userdata, int64_t silent_ms));

/* Other times than PULSE_EVERY_MS and PULSE_PATIENCE_MS, so that a test does not wait for them. */
void pulse_set_pace(struct pulse *pulse, int64_t every_ms, int64_t patience_ms);

/*
 * Something was claimed: beats now, and goes on by itself until need() says PULSE_IDLE. The agent's
 * time begins, unless it has begun.
 */
void pulse_start(struct pulse *pulse);

/* The agent gave a sign of life. */
void pulse_alive(struct pulse *pulse);

/* Tools, published to the host when the one that counts changes (see inflight.h). */
void pulse_tool_start(struct pulse *pulse, const char *id, const char *name, int64_t timeout_ms);
void pulse_tool_end(struct pulse *pulse, const char *id);
void pulse_no_tools(struct pulse *pulse);
