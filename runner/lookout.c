/* SPDX-License-Identifier: MIT */
#include "runner/lookout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit-code.h"
#include "common/log.h"
#include "runner/store/watch.h"

#define LOOKOUT_RETRY_MS 250
/* A failure that comes and goes, as the locks of a busy host do, is said so often. */
#define LOOKOUT_REPEAT_MS (60 * 1000)

struct lookout {
	const struct config *config;
	struct watch *watch;
	struct loop_source *source;
	struct loop_timer *timer;
	lookout_fn *look;
	void *userdata;
	int64_t next_due_ms;
	bool is_busy;
	bool soon;    /* a look is wanted, changed or not */
	bool is_seen; /* the watch has just looked at the file */
	int damaged_looks;
	int64_t damaged_since_ms; /* monotonic */
	int64_t damaged_ms;
	char *path;
	char complaint[ERR_TEXT_MAX]; /* the failure that was logged last; "": none */
	int64_t complaint_ms;	      /* when; monotonic */
	bool complained;	      /* of this failure, which lasts */
};

static void lookout_arm(struct lookout *lookout)
{
	const struct config *config = lookout->config;
	int64_t wait = lookout->is_busy ? config->poll_active_ms : config->poll_idle_ms;

	if (lookout->next_due_ms >= 0) {
		int64_t due = lookout->next_due_ms - clock_realtime_ms();

		if (due < wait)
			wait = due;
	}
	/* It may have been asked for while the last look went on. */
	loop_timer_arm(lookout->timer, lookout->soon ? 0 : wait);
}

static void lookout_on_timer(void *userdata)
{
	struct lookout *lookout = userdata;
	bool is_due = lookout->next_due_ms >= 0 && lookout->next_due_ms <= clock_realtime_ms();
	bool changed = is_due || watch_changed(lookout->watch);
	bool wanted = changed || lookout->soon;

	lookout->soon = false;
	if (is_due)
		lookout->next_due_ms = -1;
	/* Armed first: whatever look() does, the next poll comes. */
	lookout_arm(lookout);
	lookout->is_seen = !is_due;
	if (wanted)
		lookout->look(lookout->userdata, changed);
	lookout->is_seen = false;
}

static void lookout_on_watch(void *userdata, uint32_t events)
{
	struct lookout *lookout = userdata;

	(void)events;
	if (!watch_drain(lookout->watch) || !watch_changed(lookout->watch))
		return;
	lookout->is_seen = true;
	lookout->look(lookout->userdata, true);
	lookout->is_seen = false;
}

int lookout_new(struct loop *loop, const char *inbound_path, const struct config *config,
		lookout_fn *look, void *userdata, struct lookout **ret_lookout)
{
	struct lookout *lookout = calloc(1, sizeof(*lookout));
	int r = -ENOMEM;

	if (!lookout)
		return -ENOMEM;
	lookout->config = config;
	lookout->look = look;
	lookout->userdata = userdata;
	lookout->next_due_ms = -1;
	lookout->damaged_ms = LOOKOUT_DAMAGED_MS;
	lookout->path = strdup(inbound_path);
	if (lookout->path)
		r = watch_new(inbound_path, config->use_inotify, &lookout->watch, NULL);
	if (r == 0)
		r = loop_timer_new(loop, lookout_on_timer, lookout, &lookout->timer);
	if (r == 0 && watch_fd(lookout->watch) >= 0)
		r = loop_add_fd(loop, watch_fd(lookout->watch), EPOLLIN, lookout_on_watch, lookout,
				&lookout->source);
	if (r < 0) {
		lookout_free(lookout);
		return r;
	}
	*ret_lookout = lookout;
	return 0;
}

void lookout_free(struct lookout *lookout)
{
	if (!lookout)
		return;
	loop_source_free(lookout->source);
	loop_timer_free(lookout->timer);
	watch_free(lookout->watch);
	free(lookout->path);
	free(lookout);
}

void lookout_set_damage_ms(struct lookout *lookout, int64_t damaged_ms)
{
	lookout->damaged_ms = damaged_ms;
}

void lookout_begin(struct lookout *lookout)
{
	lookout->soon = false;
	if (lookout->is_seen)
		watch_mark_seen(lookout->watch);
	else
		watch_mark(lookout->watch);
}

bool lookout_has_changed(struct lookout *lookout)
{
	return watch_changed(lookout->watch);
}

void lookout_done(struct lookout *lookout, int64_t next_due_ms, bool is_busy)
{
	if (lookout->complained)
		log_info("the inbox is served again");
	lookout->complained = false;
	lookout->damaged_looks = 0;
	lookout->next_due_ms = next_due_ms;
	lookout->is_busy = is_busy;
	lookout_arm(lookout);
}

/* Says what failed, but not again and again. */
static void lookout_complain(struct lookout *lookout, int r, const char *text)
{
	int64_t now = clock_monotonic_ms();

	if (strcmp(lookout->complaint, text) == 0 &&
	    (lookout->complained || now - lookout->complaint_ms < LOOKOUT_REPEAT_MS))
		return;
	log_write(r == -ENOTSUP ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s", text);
	(void)snprintf(lookout->complaint, sizeof(lookout->complaint), "%s", text);
	lookout->complaint_ms = now;
	lookout->complained = true;
}

/* Counts failures that look like damage. True: there were too many, for too long. */
static bool lookout_is_lost(struct lookout *lookout, int r)
{
	int64_t now = clock_monotonic_ms();

	if (r != -EBADMSG)
		lookout->damaged_looks = 0;
	else if (lookout->damaged_looks++ == 0)
		lookout->damaged_since_ms = now;
	return lookout->damaged_looks >= LOOKOUT_DAMAGED_LOOKS &&
	       now - lookout->damaged_since_ms >= lookout->damaged_ms;
}

int lookout_failed(struct lookout *lookout, int r, const char *text)
{
	watch_unmark(lookout->watch);
	lookout_complain(lookout, r, text);
	if (r == -ENOTSUP)
		return EXIT_CODE_CONFIG;
	if (lookout_is_lost(lookout, r)) {
		log_error("%s: ending, so that the host can mount the folder anew or restore the "
			  "file",
			  text);
		return EXIT_CODE_TEMPORARY;
	}
	/* Damage that a writer is about to mend is not to be counted ten times in a second. */
	loop_timer_arm(lookout->timer, r == -EBADMSG ? lookout->damaged_ms / LOOKOUT_DAMAGED_LOOKS
						     : LOOKOUT_RETRY_MS);
	return 0;
}

void lookout_soon(struct lookout *lookout)
{
	lookout->soon = true;
	loop_timer_arm(lookout->timer, 0);
}
