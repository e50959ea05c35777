/* SPDX-License-Identifier: MIT */
#include "runner/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "runner/inflight.h"

struct pulse {
	struct outbound *outbound;
	char *path;
	enum pulse_need (*need)(void *userdata);
	void (*silence)(void *userdata, int64_t silent_ms); /* NULL: nobody asks */
	void *userdata;
	struct loop_timer *timer;
	struct inflight *inflight;
	bool has_published;		   /* the host knows of a tool: */
	char published[INFLIGHT_NAME_MAX]; /* its id */
	bool is_stale;			   /* what the host knows could not be changed */
	int64_t alive_ms;		   /* monotonic */
	int64_t every_ms;
	int64_t patience_ms;
	bool complained; /* of the file */
	bool beats;	 /* something is claimed, as far as we know */
	bool is_wedged;	 /* said once, until the agent lives again */
};

/* Sets the file's mtime to now, and creates it if it is missing. */
static int pulse_touch(const char *path)
{
	cleanup_close int fd = -1;

	if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	return fd < 0 ? -errno : 0;
}

static void pulse_beat(struct pulse *pulse)
{
	int r = pulse_touch(pulse->path);

	if (r < 0 && !pulse->complained)
		log_warning("cannot touch %s: %s: the host may take this container for dead",
			    pulse->path, strerror(-r));
	pulse->complained = r < 0;
}

static bool pulse_shows(const struct pulse *pulse, const struct inflight_tool *tool)
{
	if (!tool || !pulse->has_published)
		return !tool && !pulse->has_published;
	return strcmp(tool->id, pulse->published) == 0;
}

static void pulse_publish(struct pulse *pulse)
{
	const struct inflight_tool *tool = inflight_published(pulse->inflight);
	struct err err;
	int r;

	if (pulse_shows(pulse, tool))
		return;
	r = outbound_set_tool(pulse->outbound, tool ? tool->name : NULL,
			      tool ? tool->timeout_ms : -1, tool ? tool->started_ms : -1, &err);
	if (r < 0) {
		/* With a tool that ended long ago the host is patient for too long: tried again. */
		if (!pulse->is_stale && r != -ESTALE)
			log_warning("%s", err.text);
		pulse->is_stale = true;
		if (!loop_timer_is_armed(pulse->timer))
			loop_timer_arm(pulse->timer, pulse->every_ms);
		return;
	}
	pulse->is_stale = false;
	pulse->has_published = tool != NULL;
	(void)snprintf(pulse->published, sizeof(pulse->published), "%s", tool ? tool->id : "");
}

/* How long the agent may be silent at present. */
static int64_t pulse_patience(const struct pulse *pulse)
{
	const struct inflight_tool *tool = inflight_published(pulse->inflight);

	if (tool && tool->timeout_ms + PULSE_TOOL_MS > pulse->patience_ms)
		return tool->timeout_ms + PULSE_TOOL_MS;
	return pulse->patience_ms;
}

/* Beats, unless the agent is silent for longer than it may be. */
static void pulse_check(struct pulse *pulse)
{
	int64_t silent_ms = clock_monotonic_ms() - pulse->alive_ms;

	if (silent_ms < pulse_patience(pulse)) {
		pulse->is_wedged = false;
		pulse_beat(pulse);
		return;
	}
	if (pulse->is_wedged)
		return;
	pulse->is_wedged = true;
	log_warning("no sign of life from the agent for %lld s: the heartbeat stops",
		    (long long)(silent_ms / 1000));
	if (pulse->silence)
		pulse->silence(pulse->userdata, silent_ms);
}

/* The next beat, or the end of the agent's time if that comes first. */
static void pulse_arm(struct pulse *pulse)
{
	int64_t left_ms = pulse->alive_ms + pulse_patience(pulse) - clock_monotonic_ms();

	if (left_ms <= 0 || left_ms > pulse->every_ms)
		left_ms = pulse->every_ms;
	loop_timer_arm(pulse->timer, left_ms);
}

static void pulse_on_timer(void *userdata)
{
	struct pulse *pulse = userdata;
	enum pulse_need need = pulse->need(pulse->userdata);

	if (need == PULSE_WAITING)
		pulse_alive(pulse);
	pulse->beats = need != PULSE_IDLE;
	if (pulse->beats) {
		pulse_check(pulse);
		pulse_arm(pulse);
	}
	if (pulse->is_stale)
		pulse_publish(pulse);
}

int pulse_new(struct loop *loop, struct outbound *outbound, const char *path,
	      enum pulse_need (*need)(void *userdata), void *userdata, struct pulse **ret_pulse)
{
	struct pulse *pulse = calloc(1, sizeof(*pulse));

	if (!pulse)
		return -ENOMEM;
	pulse->outbound = outbound;
	pulse->need = need;
	pulse->userdata = userdata;
	pulse->every_ms = PULSE_EVERY_MS;
	pulse->patience_ms = PULSE_PATIENCE_MS;
	pulse->path = strdup(path);
	pulse->inflight = inflight_new();
	if (!pulse->path || !pulse->inflight ||
	    loop_timer_new(loop, pulse_on_timer, pulse, &pulse->timer) < 0) {
		pulse_free(pulse);
		return -ENOMEM;
	}
	*ret_pulse = pulse;
	return 0;
}

void pulse_free(struct pulse *pulse)
{
	if (!pulse)
		return;
	loop_timer_free(pulse->timer);
	inflight_free(pulse->inflight);
	free(pulse->path);
	free(pulse);
}

void pulse_set_pace(struct pulse *pulse, int64_t every_ms, int64_t patience_ms)
{
	pulse->every_ms = every_ms;
	pulse->patience_ms = patience_ms;
}

void pulse_set_silence(struct pulse *pulse, int64_t patience_ms,
		       void (*fn)(void *userdata, int64_t silent_ms))
{
	pulse->patience_ms = patience_ms;
	pulse->silence = fn;
}

void pulse_start(struct pulse *pulse)
{
	/* What joins others is no sign of life of the agent. */
	if (!pulse->beats)
		pulse_alive(pulse);
	pulse->beats = true;
	pulse_beat(pulse);
	pulse_arm(pulse);
}

void pulse_alive(struct pulse *pulse)
{
	pulse->alive_ms = clock_monotonic_ms();
}

void pulse_tool_start(struct pulse *pulse, const char *id, const char *name, int64_t timeout_ms)
{
	inflight_start(pulse->inflight, id, name, timeout_ms);
	pulse_publish(pulse);
}

void pulse_tool_end(struct pulse *pulse, const char *id)
{
	inflight_end(pulse->inflight, id);
	pulse_publish(pulse);
}

void pulse_no_tools(struct pulse *pulse)
{
	inflight_clear(pulse->inflight);
	pulse_publish(pulse);
}
