#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * When to look at inbound.db: at once where inotify works, else at the next poll that finds the
 * file changed, when a scheduled message falls due, and again after a look that failed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "runner/config.h"
#include "runner/io/loop.h"

/* This many damaged looks in a row over at least this time end the container. */
#define LOOKOUT_DAMAGED_LOOKS 10
#define LOOKOUT_DAMAGED_MS    5000

struct lookout;

/*
 * Called from the loop. changed: the file may have changed since the last look, or a message fell
 * due; false: only lookout_soon() asked for it. Answers with lookout_done() or lookout_failed(), or
 * with neither if there was no need to look.
 */
typedef void lookout_fn(void *userdata, bool changed);

/* 0 or -errno. */
int lookout_new(struct loop *loop, const char *inbound_path, const struct config *config,
		lookout_fn *look, void *userdata, struct lookout **ret_lookout);
void lookout_free(struct lookout *lookout);

/* Another time than LOOKOUT_DAMAGED_MS, so that a test does not wait for it. */
void lookout_set_damage_ms(struct lookout *lookout, int64_t damaged_ms);

/* Before the file is read: what changes from now on is noticed. */
void lookout_begin(struct lookout *lookout);

/*
 * The look succeeded. next_due_ms: real time at which a message falls due, -1: none. is_busy: a
 * turn runs, so that follow-ups are looked for more often.
 */
void lookout_done(struct lookout *lookout, int64_t next_due_ms, bool is_busy);

/*
 * The look failed with r; says so once and looks again soon. Returns 0, or the code with which the
 * process has to end because no retry will help.
 */
int lookout_failed(struct lookout *lookout, int r, const char *text);

/* Has the file changed since lookout_begin()? */
bool lookout_has_changed(struct lookout *lookout);

/* Look as soon as the loop comes round, whether the file changed or not. */
void lookout_soon(struct lookout *lookout);
